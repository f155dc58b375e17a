"""API keys: where they come from, and that nothing shows them."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from types import SimpleNamespace

import pytest

from service.errors import StartError
from service.security import keys as security_keys
from service.security.access import needed_scope
from service.security.keys import ApiKeys, presented
from service.settings import Settings

READER, WRITER = "r" * 16, "w" * 32


def keys_of(**settings: object) -> ApiKeys:
    return ApiKeys.of(Settings.model_validate({"bundle": "b", **settings}))


def test_keys_from_the_environment_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# the shop\n\n  shop:read+write:{WRITER}  \n")
    keys = keys_of(api_keys=f"app:read:{READER}\nops:admin:{'o' * 20}", api_keys_file=file)
    reader, writer = keys.find(READER), keys.find(WRITER)
    assert reader is not None
    assert writer is not None
    assert (reader.name, reader.scopes) == ("app", {"read"})
    assert (writer.name, writer.scopes) == ("shop", {"read", "write"})
    for wrong in ("", READER[:-1], READER + "r", READER.upper(), "ü\udcff"):
        assert keys.find(wrong) is None
    assert not keys_of()


@pytest.mark.parametrize(
    ("secret", "name"),
    [("a" * 16, "first"), ("c" * 16, "last"), ("x" * 16, None), ("", None), ("a" * 15, None)],
)
def test_every_key_is_compared_in_constant_time_whichever_it_is(
    monkeypatch: pytest.MonkeyPatch, secret: str, name: str | None
) -> None:
    """Neither the place of a key nor how much of it was guessed shows in the time."""
    keys = keys_of(api_keys=f"first:read:{'a' * 16} middle:read:{'b' * 16} last:read:{'c' * 16}")
    compared: list[tuple[bytes, bytes]] = []

    def compare(ours: bytes, theirs: bytes) -> bool:
        compared.append((ours, theirs))
        return hmac.compare_digest(ours, theirs)

    monkeypatch.setattr(security_keys, "hmac", SimpleNamespace(compare_digest=compare))
    found = keys.find(secret)
    assert (found and found.name) == name
    assert len({ours for ours, _ in compared}) == len(compared) == 3
    assert {theirs for _, theirs in compared} == {hashlib.sha256(secret.encode()).digest()}


@pytest.mark.parametrize(
    "entry", ["s3cret", f"app:{READER}", f"app:root:{READER}", f"app::{READER}", "app:read:short"]
)
def test_a_wrong_entry_is_named_by_its_place_alone(entry: str) -> None:
    with pytest.raises(StartError, match="STREAMREC_API_KEYS, entry 2 is not") as error:
        keys_of(api_keys=f"ok:read:{READER} {entry}")
    assert entry not in str(error.value)


def test_two_keys_of_one_name_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="two keys are named 'a'"):
        keys_of(api_keys=f"a:read:{READER} a:write:{WRITER}")
    with pytest.raises(StartError, match="cannot be read"):
        keys_of(api_keys_file=tmp_path / "none")


def test_secrets_are_not_shown() -> None:
    keys = keys_of(api_keys=f"a:read:{READER}")
    settings = Settings.model_validate({"bundle": "b", "api_keys": f"a:read:{READER}"})
    for shown in (settings, keys, keys.find(READER)):
        assert READER not in repr(shown)


def test_both_headers() -> None:
    assert presented({"authorization": f"Bearer {READER}"}) == READER
    assert presented({"authorization": f"bearer  {READER}"}) == READER
    assert presented({"x-api-key": READER}) == READER
    assert presented({"authorization": f"Basic {READER}"}) is None
    assert presented({}) is None


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/livez", None),
        ("GET", "/page/main.js", None),
        ("GET", "/metrics", "read"),
        ("POST", "/recommend", "read"),
        ("GET", "/users/u/history", "read"),
        ("POST", "/events", "write"),
        ("DELETE", "/users/u", "write"),
        ("PUT", "/of-the-future", "write"),
        ("POST", "/admin/reload", "admin"),
        ("GET", "/admin", "admin"),
    ],
)
def test_a_call_that_nobody_listed_is_guarded(method: str, path: str, scope: str | None) -> None:
    assert needed_scope(method, path) == scope
