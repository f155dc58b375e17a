"""What the service says of itself: structured, with the request id, and never a secret or a history."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.service.test_server import CODE, _ready, free_port

KEY = "very-secret-api-key-0123"
PASSWORD = "very-secret-password"
USER, ITEM = "private-user", "i7"


@pytest.mark.parametrize("workers", [1, 2])
def test_every_line_is_json_with_a_request_id_and_nothing_private(
    tiny_bundle: Path, tmp_path: Path, workers: int
) -> None:
    port = free_port()
    (tmp_path / "run.py").write_text(CODE)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, tmp_path / "run.py"],
            env={
                **os.environ,
                "STREAMREC_BUNDLE": str(tiny_bundle),
                "STREAMREC_PORT": str(port),
                "STREAMREC_WORKERS": str(workers),
                "STREAMREC_API_KEYS": f"shop:read+write+admin:{KEY}",
                # Nothing listens there, so what fails is logged too.
                "REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0",
            },
            cwd=Path.cwd(),
            stdout=log,
            stderr=log,
        )
    try:
        headers = {"X-API-Key": KEY, "X-Request-ID": "asked-by-us"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20) as http:
            while not _alive(http):
                assert process.poll() is None, (tmp_path / "log").read_text()
            assert not _ready(http)
            answers = (
                http.post("/recommend", json={"user_id": USER, "history": [ITEM]}),
                http.post("/recommend", json={"user_id": USER, "history": [ITEM], "x": 1}),
                http.post("/events", json={"events": [{"user_id": USER, "item_id": ITEM}]}),
                http.get(f"/users/{USER}/history"),
                http.delete(f"/users/{USER}"),
                http.post("/admin/reload"),
                http.post("/recommend", json={}, headers={"X-API-Key": "wrong-but-still-secret"}),
                http.get("/metrics"),
            )
            said = [answer.text for answer in answers]
    finally:
        process.terminate()
        process.wait(30)
    log_text = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in log_text.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert all(line["request_id"] for line in requests)
    assert sum(line["request_id"] == "asked-by-us" for line in requests) >= 8
    refused = [line for line in requests if line["status"] == 401]
    assert refused
    assert not any("client" in line for line in refused)
    assert any(line.get("client") == "shop" for line in requests)
    for secret in (KEY, PASSWORD, USER, "wrong-but-still-secret"):
        assert secret not in log_text
    assert f'"{ITEM}"' not in log_text
    for text in said:
        for secret in (KEY, PASSWORD, "Traceback", str(tiny_bundle)):
            assert secret not in text


def _alive(http: httpx.Client) -> bool:
    try:
        return http.get("/livez").status_code == 200
    except httpx.TransportError:
        return False
