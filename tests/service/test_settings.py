"""Settings and their way to the worker processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings


def test_a_worker_reads_the_same_settings_back(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings.model_validate(
        {
            "bundle": "b",
            "port": 1234,
            "redis_url": "redis://:secret@host",
            "history_ttl": 60,
            "event_weights": "purchase=3,view=1",
        }
    )
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == given  # type: ignore[call-arg]


def test_the_password_is_not_shown() -> None:
    settings = Settings.model_validate({"bundle": Path("b"), "redis_url": "redis://:secret@host"})
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    "text", ["purchase", "=3", "purchase=", "a=-1", "a=nan", "a=1,a=2", "a=101"]
)
def test_wrong_event_weights_are_named(text: str) -> None:
    with pytest.raises(ValidationError, match=text.split(",")[0].split("=")[0] or "TYPE=WEIGHT"):
        Settings.model_validate({"bundle": Path("b"), "event_weights": text})
