"""From a CSV over all three stages to an answer over HTTP, with a real Redis, without torch."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.blocked_imports import blocking
from tests.conftest import streamrec

PROGRAM = Path(sys.executable).with_name("streamrec")
NOT_FOR_SERVING = ("torch", "onnx", "polars", "scipy", "sklearn", "matplotlib", "training")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def service(
    shop: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """`streamrec serve` in a process of its own, its Redis filled by `streamrec load-histories`."""
    folder = tmp_path_factory.mktemp("service")
    loaded = streamrec(
        "load-histories", "--interactions", shop / "interactions.csv",
        "--redis-folder", folder / "redis",
    )  # fmt: skip
    assert loaded.exit_code == 0, loaded.output
    blocked = blocking(folder, NOT_FOR_SERVING)
    with started(["serve", "--bundle", bundle], folder, blocked) as client:
        yield client


@contextmanager
def started(
    arguments: Sequence[object], folder: Path, variables: Mapping[str, str]
) -> Iterator[httpx.Client]:
    """`streamrec` as a service on a port of its own, in a folder; it must end well."""
    port = free_port()
    process = subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        cwd=folder, env=os.environ | variables | {"STREAMREC_PORT": str(port)},
    )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_until_ready(client, process)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the service ended"
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the service did not become ready")


def post(service: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = service.post(path, json=body)
    assert response.status_code in (200, 202), response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_a_stored_history_leads_to_what_comes_next(service: httpx.Client) -> None:
    answer = post(service, "/recommend", {"user_id": "user-0", "count": 5, "effort": "deep"})
    ids = [item["item_id"] for item in answer["items"]]
    assert len(ids) == 5
    assert "item-5" in ids, "user-0 went from item-0 to item-4, one by one"
    assert not set(ids) & {f"item-{number}" for number in range(5)}
    assert answer["reasoning_steps"] == 2
    assert not answer["degraded"]


def test_an_inline_history_is_answered_with_titles(service: httpx.Client) -> None:
    body = {"history": ["item-10", "item-11", "gone"], "include_properties": True}
    answer = post(service, "/recommend", body)
    assert answer["unknown_items"] == ["gone"]
    assert all(item["properties"]["title"] for item in answer["items"])


def test_every_reasoning_step_is_explained(service: httpx.Client) -> None:
    answer = post(service, "/explain", {"user_id": "user-0", "count": 3, "effort": "deep"})
    assert [step["step"] for step in answer["steps"]] == [0, 1, 2]
    assert answer["steps"][0]["written"] is None
    assert answer["steps"][2]["written"]["label"]
    assert len(answer["history"]) == 5
    assert all(len(item["ranks_by_step"]) == 3 for item in answer["items"])


def test_a_recommendation_can_be_explained_later(service: httpx.Client) -> None:
    answer = post(service, "/recommend", {"user_id": "user-1", "count": 3})
    later = service.get(f"/explain/{answer['recommendation_id']}").json()
    told = [item["item_id"] for item in later["items"]]
    assert told == [item["item_id"] for item in answer["items"]]


def test_an_event_changes_the_next_answer(service: httpx.Client) -> None:
    before = post(service, "/recommend", {"user_id": "newcomer", "count": 5})
    assert {reason["kind"] for item in before["items"] for reason in item["reasons"]} == {"popular"}
    receipt = post(service, "/events", {"events": [{"user_id": "newcomer", "item_id": "item-20"}]})
    assert receipt["accepted"] == 1
    after = post(service, "/recommend", {"user_id": "newcomer", "count": 5})
    assert after["items"] != before["items"]
    assert "item-20" not in [item["item_id"] for item in after["items"]]


def test_effort_chooses_the_steps(service: httpx.Client) -> None:
    taken = [
        post(service, "/recommend", {"user_id": "user-2", "effort": effort})["reasoning_steps"]
        for effort in ("fast", "balanced", "deep")
    ]
    assert taken == [0, 1, 2]


def test_not_everybody_gets_what_is_popular(service: httpx.Client) -> None:
    popular = post(service, "/recommend", {"user_id": "nobody", "count": 5})["items"]
    answers = [
        [item["item_id"] for item in post(service, "/recommend", {"user_id": f"user-{n}"})["items"]]
        for n in range(20)
    ]
    found = {item_id for answer in answers for item_id in answer}
    assert len(found) > 20
    assert not found <= {item["item_id"] for item in popular}
    assert all(len(set(answer)) == len(answer) for answer in answers)
