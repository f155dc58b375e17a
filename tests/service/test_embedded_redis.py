"""The embedded Redis: persists, is held by one service, and ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from service.embedded_redis import embedded_redis
from service.errors import StartError
from tests.system_processes import runs


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30) / "redis"
    with embedded_redis(folder) as url, redis.Redis.from_url(url) as client:
        client.rpush("list", "a", "b")
    with embedded_redis(folder) as url, redis.Redis.from_url(url) as client:
        assert client.lrange("list", 0, -1) == [b"a", b"b"]


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with (
        embedded_redis(tmp_path),
        pytest.raises(StartError, match="another service"),
        embedded_redis(tmp_path),
    ):
        pass


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="cannot keep its data"), embedded_redis(tmp_path / "file"):
        pass


def test_it_ends_with_a_killed_service_and_loses_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from service.embedded_redis import *\n"
        "with embedded_redis(Path(sys.argv[1])) as url:\n"
        "    print(url, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        url = service.stdout.readline().strip()
        with redis.Redis.from_url(url) as client:
            client.set("kept", "yes")
            server = client.info("server")["process_id"]
        service.kill()
        service.wait()
    deadline = time.monotonic() + 10
    while runs(server):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with embedded_redis(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.get("kept") == b"yes"


def test_a_killed_server_is_started_again(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as url, redis.Redis.from_url(url) as client:
        for number in range(3):
            client.rpush("list", number)
            os.kill(client.info("server")["process_id"], signal.SIGKILL)
            deadline = time.monotonic() + 10
            while not _answers(url):
                assert time.monotonic() < deadline
                time.sleep(0.02)
        assert client.lrange("list", 0, -1) == [b"0", b"1", b"2"]


def test_a_server_that_cannot_be_started_again_at_once_is_later(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as url, redis.Redis.from_url(url) as client:
        (tmp_path / "redis.log").unlink()
        (tmp_path / "redis.log").mkdir()
        os.kill(client.info("server")["process_id"], signal.SIGKILL)
        time.sleep(1)
        assert not _answers(url)
        (tmp_path / "redis.log").rmdir()
        deadline = time.monotonic() + 10
        while not _answers(url):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_killed_server_loses_no_acknowledged_write(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as url, redis.Redis.from_url(url) as client:
        for number in range(200):
            client.rpush("list", number)
        os.kill(client.info("server")["process_id"], signal.SIGKILL)
    with embedded_redis(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.llen("list") == 200


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def test_a_server_that_reads_much_data_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in its place, as no small file takes real Redis long."""
    program = tmp_path / "redis-server"
    program.write_text(f"#!{sys.executable}\n{SLOW_READER}")
    program.chmod(0o700)
    monkeypatch.setattr("service.embedded_redis._server_program", lambda: str(program))
    monkeypatch.setattr("service.embedded_redis._START_SECONDS", 2.0)
    with embedded_redis(tmp_path / "data") as url:
        assert url.endswith("redis.sock")


SLOW_READER = """
import socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[sys.argv.index("--unixsocket") + 1])
server.listen()
started = time.monotonic()
while True:
    connection, _ = server.accept()
    connection.recv(64)
    reading = time.monotonic() < started + 3
    connection.sendall(b"-LOADING the dataset\\r\\n" if reading else b"+PONG\\r\\n")
    connection.close()
"""
