"""Clients that never finish the head of a request."""

from __future__ import annotations

import socket

import httpx
import pytest

from model_export.contract.bundle import Bundle
from tests.service.conftest import running_shop


def connected(client: httpx.Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)


def test_a_slow_head_is_given_up(
    shop: Bundle, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.http_protocol.HEAD_SECONDS", 0.3)
    with (
        running_shop(shop, redis_url) as client,
        connected(client) as slow,
        connected(client) as mute,
    ):
        slow.sendall(b"GET /livez HTTP/1.1\r\nX-A: ")
        assert client.get("/livez").status_code == 200
        assert slow.recv(1000) == b""
        assert mute.recv(1000) == b""


def test_a_huge_head_is_refused_and_a_large_one_is_not(client: httpx.Client) -> None:
    with connected(client) as huge:
        huge.sendall(b"GET /livez HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            huge.sendall(b"X-Filler: 0123456789\r\n" * 1_000_000)
    assert client.get("/livez", headers={"X-Filler": "0" * 30_000}).status_code == 200
