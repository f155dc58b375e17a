"""Settings and their way to the worker processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.settings import Settings


def test_a_worker_reads_the_same_settings_back(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings.model_validate(
        {"bundle": "b", "port": 1234, "redis_url": "redis://:secret@host", "history_ttl": 60}
    )
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == given  # type: ignore[call-arg]


def test_the_password_is_not_shown() -> None:
    settings = Settings.model_validate({"bundle": Path("b"), "redis_url": "redis://:secret@host"})
    assert "secret" not in repr(settings)
