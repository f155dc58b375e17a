"""Settings of the service as a command reads them."""

from __future__ import annotations

import pytest

from model_export.contract.errors import ConfigError
from streamrec.service_settings import misspelt, service_settings
from tests.conftest import streamrec


def test_a_misspelt_variable_is_named_and_the_right_one_guessed() -> None:
    given = ["STREAMREC_HISTROY_CAP", "STREAMREC_HISTORY_CAP", "STREAMREC_DEBUG", "HISTROY", "PATH"]
    (sentence,) = misspelt(given)
    assert sentence.startswith("STREAMREC_HISTROY_CAP is no setting")
    assert sentence.endswith("did you mean STREAMREC_HISTORY_CAP?")


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("STREAMREC_HISTORY_CAP", "many", "a valid integer"),
        ("STREAMREC_HISTORY_CAP", "0", "greater than or equal to 1"),
        ("STREAMREC_PAGE", "maybe", "must be true or false"),
        ("STREAMREC_EVENT_WEIGHTS", "purchase", "write for example purchase=3,view=1"),
    ],
)
def test_a_wrong_value_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, fault: str
) -> None:
    monkeypatch.setenv(variable, value)
    refused = streamrec("serve", "--bundle", "bundle")
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"error: {variable}: ")
    assert fault in refused.stderr
    assert refused.stderr.endswith("; docs/operations.md lists every setting\n")


def test_all_wrong_values_are_told_and_none_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret may have got into the wrong variable."""
    for name in ("QUEUE_SIZE", "REDIS_TIMEOUT"):
        monkeypatch.setenv(f"STREAMREC_{name}", "hunter2")
    with pytest.raises(ConfigError) as refused:
        service_settings(bundle="bundle")
    said = str(refused.value)
    assert "STREAMREC_QUEUE_SIZE: " in said
    assert "STREAMREC_REDIS_TIMEOUT: " in said
    assert "hunter2" not in said
