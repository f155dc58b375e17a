"""Real Redis servers in other arrangements than one: a cluster, and a pair that a Sentinel watches."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from service.embedded_redis import _server_program

SLOTS = 16384


def free_ports(count: int) -> list[int]:
    """Ports below 30000 that are free, and free 10000 above, where a cluster's nodes talk."""
    found: list[int] = []
    for port in range(21000 + int(time.time() * 1000) % 8000, 30000):
        try:
            for tried in (port, port + 10000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", tried))
        except OSError:
            continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")


@contextmanager
def server(folder: Path, port: int, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A Redis server that forgets everything when it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [
            _server_program(), *map(str, arguments),
            "--port", str(port), "--dir", str(folder), "--bind", "127.0.0.1",
            "--save", "", "--logfile", str(folder / "redis.log"),
        ]
    )  # fmt: skip
    try:
        wait_for(lambda: client(port).ping(), True)
        yield process
    finally:
        process.kill()
        process.wait()


def client(port: int) -> Any:
    return Redis(port=port, decode_responses=True)


def wait_for(ask: Callable[[], Any], answer: Any) -> None:
    """Ask again and again, for up to 30 seconds."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if ask() == answer:
                return
        except RedisError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"never answered {answer!r}")


def join(ports: list[int]) -> None:
    """Make a cluster of empty nodes, each with an equal part of the slots."""
    for number, port in enumerate(ports):
        begin, end = (SLOTS * (number + k) // len(ports) for k in (0, 1))
        client(port).execute_command("CLUSTER ADDSLOTS", *range(begin, end))
        client(port).execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        client(port).execute_command("CLUSTER MEET", "127.0.0.1", ports[0])
    whole = {"cluster_state": "ok", "cluster_slots_ok": str(SLOTS), "cluster_size": str(len(ports))}
    wait_for(
        lambda: all(whole.items() <= client(port).cluster("INFO").items() for port in ports), True
    )


def follow(replica: int, masters: list[int]) -> None:
    """Make an empty node the replica of the first of a cluster, which all others know of."""
    client(replica).execute_command("CLUSTER MEET", "127.0.0.1", masters[0])
    known = str(len(masters) + 1)
    for port in (replica, *masters):
        wait_for(lambda port=port: client(port).cluster("INFO")["cluster_known_nodes"], known)
    name = client(masters[0]).execute_command("CLUSTER MYID")
    client(replica).execute_command("CLUSTER REPLICATE", name)
    wait_for(lambda: client(replica).info("replication")["master_link_status"], "up")
