"""Another model takes over while requests run; a bad one never does."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from tests.service.conftest import running
from tests.service.test_problems import assert_problem

ADMIN = "admin-key-0123456789"
AS_ADMIN = {"X-API-Key": ADMIN}
ASKED = {"history": ["i1", "i2"], "count": 5}


def put(source: Path, place: Path, version: str, **changes: object) -> None:
    """Put a bundle in place as the export does: beside it, then by rename."""
    fresh, old = place.with_name("fresh"), place.with_name("old")
    shutil.copytree(source, fresh)
    manifest = json.loads((fresh / "manifest.json").read_text())
    text = json.dumps(manifest | {"model_version": version, **changes})
    (fresh / "manifest.json").write_text(text)
    if place.exists():
        place.rename(old)
    fresh.rename(place)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def serving(bundle: Path, redis_url: str, poll: float = 3600) -> Iterator[httpx.Client]:
    settings = Settings.model_validate(
        {
            "bundle": bundle,
            "redis_url": redis_url,
            "redis_timeout": 5,
            "bundle_poll": poll,
            "api_keys": f"ops:read+admin:{ADMIN}",
        }
    )
    with running(create_app(settings)) as client:
        client.headers.update(AS_ADMIN)
        yield client


@pytest.fixture
def place(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle path that holds model `one`."""
    place = tmp_path / "bundle"
    put(tiny_bundle, place, "one")
    return place


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def version(client: httpx.Client) -> str:
    return str(client.get("/readyz").json()["model_version"])


def test_reload_swaps_the_model_and_says_so(tiny_bundle: Path, place: Path, redis_url: str) -> None:
    with serving(place, redis_url) as client:
        before = client.post("/recommend", json=ASKED).json()
        unchanged = client.post("/admin/reload").json()
        assert unchanged == {"status": "unchanged", "model_version": "one"}
        put(tiny_bundle, place, "two")
        assert client.post("/admin/reload").json() == {"status": "loaded", "model_version": "two"}
        after = client.post("/recommend", json=ASKED).json()
        assert (before["model_version"], after["model_version"]) == ("one", "two")
        explained = client.get(f"/explain/{before['recommendation_id']}")
        assert_problem(explained, 404)
        assert explained.json()["detail"].endswith("made by model one, and two is in use")
        assert client.get(f"/explain/{after['recommendation_id']}").status_code == 200
        metrics = client.get("/metrics").text
        assert 'streamrec_model_info{version="two"} 1.0' in metrics
        assert 'streamrec_model_info{version="one"} 0.0' in metrics
        assert 'streamrec_model_reloads_total{result="loaded"} 1.0' in metrics


def test_a_changed_path_is_noticed(tiny_bundle: Path, place: Path, redis_url: str) -> None:
    with serving(place, redis_url, poll=0.05) as client:
        put(tiny_bundle, place, "two")
        until(lambda: version(client) == "two")


def test_a_switched_link_is_noticed(tiny_bundle: Path, tmp_path: Path, redis_url: str) -> None:
    for name in ("one", "two"):
        put(tiny_bundle, tmp_path / name, name)
    link, fresh = tmp_path / "current", tmp_path / "fresh-link"
    link.symlink_to("one")
    with serving(link, redis_url, poll=0.05) as client:
        fresh.symlink_to("two")
        fresh.rename(link)
        until(lambda: version(client) == "two")


def flip_a_byte(bundle: Path) -> None:
    file = bundle / "graphs" / "think.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(bundle: Path) -> None:
    file = bundle / "graphs" / "encode.onnx"
    file.write_bytes(file.read_bytes()[:100])


def truncate_under_a_right_checksum(bundle: Path) -> None:
    truncate(bundle)
    from model_export.contract.bundle import read_manifest, seal_bundle

    seal_bundle(bundle, read_manifest(bundle))


@pytest.mark.parametrize(
    ("changes", "spoil", "reason"),
    [
        ({}, flip_a_byte, "graphs/think.onnx differs from its checksum"),
        ({}, truncate, "graphs/encode.onnx differs from its checksum"),
        ({}, truncate_under_a_right_checksum, "graphs/encode.onnx cannot be loaded"),
        ({"format_version": 99}, None, "has format 99"),
        ({"verified": False}, None, "was never verified"),
    ],
)
def test_a_bad_bundle_is_refused_and_the_old_model_stays(
    tiny_bundle: Path,
    place: Path,
    redis_url: str,
    changes: dict[str, object],
    spoil: Callable[[Path], None] | None,
    reason: str,
    tmp_path: Path,
) -> None:
    bad = tmp_path / "bad"
    put(tiny_bundle, bad, "bad", **changes)
    if spoil:
        spoil(bad)
    with serving(place, redis_url) as client:
        shutil.copytree(place, tmp_path / "good")
        place.rename(tmp_path / "old")
        bad.rename(place)
        refused = client.post("/admin/reload")
        assert_problem(refused, 409)
        ready = client.get("/readyz")
        assert ready.status_code == 200
        (problem,) = ready.json()["problems"]
        for said in (problem, refused.json()["detail"]):
            assert reason in said
            assert "model one stays in use" in said
            assert str(tmp_path) not in said
        assert client.post("/recommend", json=ASKED).json()["model_version"] == "one"
        shutil.rmtree(place)
        (tmp_path / "good").rename(place)
        assert client.post("/admin/reload").json()["status"] == "loaded"
        assert client.get("/readyz").json()["problems"] == []


def test_no_request_fails_or_mixes_models_while_they_change(
    tiny_bundle: Path, place: Path, redis_url: str
) -> None:
    versions: list[list[str]] = []
    failed: list[httpx.Response] = []
    stop = threading.Event()

    def ask(client: httpx.Client) -> None:
        seen: list[str] = []
        versions.append(seen)
        while not stop.is_set():
            answer = client.post("/recommend", json={**ASKED, "explain": True})
            if answer.status_code != 200:
                failed.append(answer)
                continue
            body = answer.json()
            assert body["model_version"] == body["explanation"]["model_version"]
            seen.append(body["model_version"])

    with serving(place, redis_url) as client:
        threads = [threading.Thread(target=ask, args=(client,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for name in ("two", "three", "four"):
            put(tiny_bundle, place, name)
            assert client.post("/admin/reload").json()["model_version"] == name
        until(lambda: all(seen[-1:] == ["four"] for seen in versions))
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed
    order = ["one", "two", "three", "four"]
    for seen in versions:
        assert seen == sorted(seen, key=order.index)
        assert seen[0] == "one"


def test_a_bundle_named_as_the_sentences_name_it_is_told_of_in_plain_words(
    tiny_bundle: Path, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = Path("bundle")
    put(tiny_bundle, place, "one")
    with serving(place, redis_url) as client:
        place.rename("elsewhere")
        said = client.post("/admin/reload").json()["detail"]
    assert "it is not a bundle (no manifest.json)" in said
