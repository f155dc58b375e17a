"""`serve` as its own process: real bundle, embedded Redis, real HTTP, signals."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from model_export.contract.bundle import read_manifest, seal_bundle

CODE = """
from model_export.contract.errors import StreamRecError
from service.server import serve
from service.settings import Settings
if __name__ == "__main__":
    try:
        serve(Settings())
    except StreamRecError as error:
        raise SystemExit(str(error)) from None
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def start(folder: Path, bundle: Path, port: int, workers: int = 1) -> subprocess.Popen[str]:
    script = folder / "run.py"
    script.write_text(CODE)
    given = {
        "STREAMREC_BUNDLE": str(bundle),
        "STREAMREC_PORT": str(port),
        "STREAMREC_WORKERS": str(workers),
        "STREAMREC_REDIS_FOLDER": str(folder / "redis"),
    }
    inherited = {key: value for key, value in os.environ.items() if key != "REDIS_URL"}
    return subprocess.Popen(
        [sys.executable, script],
        env=inherited | given,
        cwd=Path.cwd(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


Running = tuple[subprocess.Popen[str], httpx.Client]


@contextmanager
def running(folder: Path, bundle: Path, workers: int = 1) -> Iterator[Running]:
    """A service that is ready; of it and its workers nothing is left afterwards."""
    port = free_port()
    process = start(folder, bundle, port, workers)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            deadline = time.monotonic() + 30
            while not _ready(client):
                assert process.poll() is None, process.communicate()[0]
                assert time.monotonic() < deadline, "not ready in time"
                time.sleep(0.02)
            yield process, client
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers, too, which hold its output open
        process.communicate()


@contextmanager
def serving(folder: Path, bundle: Path, workers: int = 1) -> Iterator[httpx.Client]:
    with running(folder, bundle, workers) as (process, client):
        yield client
        client.close()
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=30)
        assert process.returncode == 0, log
        assert "i3" not in log


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_from_an_event_to_an_explanation_and_over_a_restart(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is learnt from the events changes answers, and when it does is a matter of a second.
    monkeypatch.setenv("STREAMREC_LEARN_FROM_EVENTS", "false")
    with serving(tmp_path, tiny_bundle) as client:
        events = [{"user_id": "u", "item_id": item} for item in ("i3", "i4")]
        assert client.post("/events", json={"events": events}).json()["accepted"] == 2
        body = {"user_id": "u", "count": 5, "effort": "deep"}
        answer = client.post("/recommend", json=body).json()
        assert len(answer["items"]) == 5
        assert answer["reasoning_steps"] == 4
        assert not answer["degraded"]
        assert not {"i3", "i4"} & {item["item_id"] for item in answer["items"]}
        explanation = client.get(f"/explain/{answer['recommendation_id']}").json()
        assert len(explanation["steps"]) == 5
        assert explanation["steps"][1]["written"]["label"].startswith("label ")
        assert [item["item_id"] for item in explanation["items"]] == [
            item["item_id"] for item in answer["items"]
        ]
        even = {**body, "count": 15, "filter": {"categories": {"any": ["even"]}}}
        filtered = client.post("/recommend", json=even).json()["items"]
        assert len(filtered) == 15
        assert all(int(item["item_id"][1:]) % 2 == 0 for item in filtered)
    with serving(tmp_path, tiny_bundle) as client:
        history = client.get("/users/u/history").json()["events"]
        assert [event["item_id"] for event in history] == ["i3", "i4"]
        again = client.post("/recommend", json=body).json()
        assert [item["item_id"] for item in again["items"]] == [
            item["item_id"] for item in answer["items"]
        ]


def test_workers_share_histories_and_metrics(tiny_bundle: Path, tmp_path: Path) -> None:
    with serving(tmp_path, tiny_bundle, workers=2) as client:
        for number in range(20):
            event = {"user_id": "u", "item_id": f"i{number}"}
            headers = {"connection": "close"}
            client.post("/events", json={"events": [event]}, headers=headers)
            client.post("/recommend", json={"user_id": "u"}, headers=headers)
        history = client.get("/users/u/history").json()["events"]
        assert [event["item_id"] for event in history] == [f"i{number}" for number in range(20)]
        text = client.get("/metrics").text
        assert 'route="/recommend",status="200"} 20.0' in text
        assert 'streamrec_model_info{version="tiny-1"} 1.0' in text


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda bundle: (bundle / "manifest.json").unlink(), "is not a bundle"),
        (lambda bundle: (bundle / "tables" / "codes.npy").write_bytes(b"x"), "is damaged"),
    ],
)
def test_a_bad_bundle_is_one_clear_sentence(
    tiny_bundle: Path, tmp_path: Path, spoil: object, message: str
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    assert callable(spoil)
    spoil(bundle)
    process = start(tmp_path, bundle, free_port())
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert message in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_wrong_redis_url_is_one_clear_sentence(
    monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path, tmp_path: Path, workers: int
) -> None:
    monkeypatch.setenv("STREAMREC_REDIS_URL", "http://:hunter2@localhost")
    process = start(tmp_path, tiny_bundle, free_port(), workers)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert output.startswith("REDIS_URL is no address of Redis; write redis://")
    assert "hunter2" not in output
    assert len(output.splitlines()) == 1


def test_a_taken_port_is_one_clear_sentence(tiny_bundle: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start(tmp_path, tiny_bundle, taken.getsockname()[1])
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "cannot listen on 127.0.0.1" in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_that_cannot_be_loaded_is_a_failure(
    tiny_bundle: Path, tmp_path: Path, workers: int
) -> None:
    """The parent of several workers does not load it."""
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    (bundle / "graphs" / "answer.onnx").write_bytes(b"no graph")
    seal_bundle(bundle, read_manifest(tiny_bundle))
    process = start(tmp_path, bundle, free_port(), workers)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "answer.onnx cannot be loaded" in output


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_outlives_a_service_that_is_killed(
    tiny_bundle: Path, tmp_path: Path, workers: int
) -> None:
    with running(tmp_path, tiny_bundle, workers) as (process, client):
        process.kill()
        process.communicate(timeout=20)  # until nobody holds its output open
        _await_refusal((client.base_url.host, client.base_url.port or 0))


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_lets_what_runs_finish(tiny_bundle: Path, tmp_path: Path, workers: int) -> None:
    with serving(tmp_path, tiny_bundle, workers) as client:  # asserts exit code 0
        address = (client.base_url.host, client.base_url.port)
        body = b'{"history": ["i1"]}'
        head = b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with socket.create_connection(address, timeout=20) as connection:
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
            time.sleep(0.2)
            server = _server_of(client)
            os.kill(server, signal.SIGTERM)
            if workers == 1:  # the parent of several keeps the address until they have ended
                _await_refusal(address)
            connection.sendall(body[5:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def _server_of(client: httpx.Client) -> int:
    """Process id of the `serve` command, which the test started."""
    port = f"STREAMREC_PORT={client.base_url.port}".encode()
    children = (
        int(pid)
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
    )
    return next(pid for pid in children if port in Path(f"/proc/{pid}/environ").read_bytes())


def _await_refusal(address: tuple[str, int]) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            socket.create_connection(address, timeout=1).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.02)
    raise AssertionError("the server still accepts connections")
