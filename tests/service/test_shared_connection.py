"""The connection that all requests share: whose answer is whose, and what happens when it breaks."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from service.errors import StoreError
from service.stores.connection import Connection
from tests.service.redis_servers import client, free_ports, server, wait_for


def with_server(folder: Path, check: Callable[..., Awaitable[None]], timeout: float = 10) -> None:
    """Run an async check of a connection, its Redis process and the port of it."""
    (port,) = free_ports(1)

    async def run(process: object) -> None:
        connection = Connection(f"redis://127.0.0.1:{port}", timeout, max_connections=8)
        try:
            await check(connection, process, port)
        finally:
            await connection.close()

    with server(folder, port) as process:
        asyncio.run(run(process))


def test_each_gets_its_own_answers_over_one_connection(tmp_path: Path) -> None:
    async def check(connection: Connection, _: object, port: int) -> None:
        async def one(number: int) -> None:
            key = f"k{number}"
            answers = await connection.ask(("SET", key, number), ("INCR", key), ("GET", key))
            assert answers == [b"OK", number + 1, str(number + 1).encode()]

        await asyncio.gather(*map(one, range(200)))
        # The client that looks and the one looked at, once Redis has missed those that waited for it.
        wait_for(lambda: len(client(port).client_list()), 2)

    with_server(tmp_path, check)


def test_what_comes_too_late_goes_to_nobody(tmp_path: Path) -> None:
    """The event loop stands still beyond the limit, and then finds timer and answers at once."""

    async def check(connection: Connection, *_: object) -> None:
        names = ["ann", "bob", "cid"]
        for name in names:
            await connection.ask(("SET", name, name))
        for turns in range(1, 6):
            asked = [asyncio.create_task(connection.ask(("GET", name))) for name in names]
            for _ in range(turns):
                await asyncio.sleep(0)
            time.sleep(0.4)
            for name, found in zip(
                names, await asyncio.gather(*asked, return_exceptions=True), strict=True
            ):
                assert isinstance(found, StoreError) or found == [name.encode()]
            assert await connection.ask(("GET", "ann")) == [b"ann"]

    with_server(tmp_path, check, timeout=0.3)


def test_a_command_that_cannot_be_sent_takes_nobodys_answer(tmp_path: Path) -> None:
    async def check(connection: Connection, *_: object) -> None:
        with pytest.raises(UnicodeEncodeError):
            await connection.ask(("SET", "a", "1"), ("SET", "a", "\ud800"))
        assert await connection.ask(("GET", "a")) == [None]

    with_server(tmp_path, check)


def test_a_refused_command_fails_alone(tmp_path: Path) -> None:
    async def check(connection: Connection, *_: object) -> None:
        wrong = connection.ask(("SET", "text", "x"), ("INCR", "text"), ("SET", "after", "y"))
        found = await asyncio.gather(
            wrong, connection.ask(("GET", "after")), return_exceptions=True
        )
        assert isinstance(found[0], StoreError)
        assert found[1] == [b"y"]

    with_server(tmp_path, check)


def test_answers_that_nobody_waits_for_go_to_nobody_else(tmp_path: Path) -> None:
    async def check(connection: Connection, *_: object) -> None:
        await connection.ask(("SET", "a", "1"))
        leaving = asyncio.create_task(connection.ask(("GET", "a"), ("GET", "a")))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await connection.ask(("GET", "b")) == [None]

    with_server(tmp_path, check)


def test_a_lost_connection_fails_whoever_waits_and_is_opened_again(tmp_path: Path) -> None:
    async def check(connection: Connection, _: object, port: int) -> None:
        waiting = asyncio.create_task(connection.ask(("BLPOP", "nothing", 0)))
        await asyncio.sleep(0.2)
        client(port).client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(StoreError):
            await waiting
        assert await connection.ask(("PING",)) == [b"PONG"]

    with_server(tmp_path, check)


def test_a_server_that_hangs_is_given_up_though_nobody_waits_for_long(tmp_path: Path) -> None:
    async def check(connection: Connection, process: object, _: int) -> None:
        before = await connection.ask(("CLIENT", "ID"))
        process.send_signal(signal.SIGSTOP)  # type: ignore[attr-defined]
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connection.ask(("GET", "a"))
        await asyncio.sleep(1.2)
        process.send_signal(signal.SIGCONT)  # type: ignore[attr-defined]
        assert await connection.ask(("CLIENT", "ID")) != before

    with_server(tmp_path, check, timeout=1)


def test_a_server_that_hangs_is_given_up_in_time_and_found_again(tmp_path: Path) -> None:
    async def check(connection: Connection, process: object, _: int) -> None:
        await connection.ask(("SET", "a", "1"))
        process.send_signal(signal.SIGSTOP)  # type: ignore[attr-defined]
        asked = [connection.ask(("GET", "a")) for _ in range(5)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(error, StoreError) for error in found)
        process.send_signal(signal.SIGCONT)  # type: ignore[attr-defined]
        assert await connection.ask(("GET", "a")) == [b"1"]

    with_server(tmp_path, check, timeout=1)


def test_no_call_swallows_a_cancellation(tmp_path: Path) -> None:
    async def check(connection: Connection, *_: object) -> None:
        async def call_for_ever() -> None:
            while True:
                async with connection.calls() as redis:
                    await redis.get("a")

        for turns in range(400):
            calling = asyncio.create_task(call_for_ever())
            for _ in range(turns % 40):
                await asyncio.sleep(0)
            calling.cancel()
            await asyncio.wait({calling}, timeout=1)
            assert calling.cancelled()

    with_server(tmp_path, check)
