from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.embedded_redis import embedded_redis
from tests.conftest import streamrec


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


def stored(url: str, user: str) -> list[list[object]]:
    with redis.Redis.from_url(url) as client:
        return [json.loads(line) for line in client.lrange(f"streamrec:{{{user}}}:history", 0, -1)]


def load(url: str, path: Path, *more: object) -> str:
    result = streamrec("load-histories", "--interactions", path, "--redis-url", url, *more)
    assert result.exit_code == 0, result.output
    return result.stderr


def test_histories_are_stored_in_time_order_and_replaced(url: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id,timestamp\nu,late,20\nv,other,5\nu,early,10.5\n")
    for _ in range(2):
        assert "2 users" in load(url, path)
    assert stored(url, "u") == [["early", 10_500], ["late", 20_000]]


def test_without_timestamps_the_file_gives_the_order(url: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id\nw,b\nw,a\nw,c\n")
    load(url, path)
    assert [item for item, _ in stored(url, "w")] == ["b", "a", "c"]


def test_the_filters_of_the_configuration_apply(url: str, tmp_path: Path) -> None:
    path, config = tmp_path / "events.csv", tmp_path / "config.toml"
    path.write_text("user_id,item_id,rating\nx,good,5\nx,bad,1\n")
    config.write_text("[data]\nmin_rating = 4\n")
    load(url, path, "--config", config)
    assert [item for item, _ in stored(url, "x")] == ["good"]


def test_without_a_url_they_go_to_a_redis_of_our_own(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id\nu,a\n")
    folder = tmp_path / "redis"
    result = streamrec("load-histories", "--interactions", path, "--redis-folder", folder)
    assert result.exit_code == 0, result.output
    assert f"1 users in {folder}, from where `streamrec serve` reads them" in result.stderr
    with embedded_redis(folder) as own:
        assert len(stored(own, "u")) == 1


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("redis://:hunter2@127.0.0.1:1/0", "redis://127.0.0.1:1/0"),
        ("redis://127.0.0.1:1?password=hunter2", "redis://127.0.0.1:1"),
        ("redis+cluster://u:hunter2@127.0.0.1:1", "redis+cluster://127.0.0.1:1"),
        ("redis+sentinel://:hunter2@127.0.0.1:1/shop", "redis+sentinel://127.0.0.1:1/shop"),
        ("unix:///none.sock", "unix:///none.sock"),
    ],
)
def test_a_redis_that_does_not_answer_is_one_sentence_without_its_password(
    tmp_path: Path, given: str, shown: str
) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id\nu,a\n")
    result = streamrec("load-histories", "--interactions", path, "--redis-url", given)
    assert result.exit_code == 1
    said = result.stderr.splitlines()[-1]
    assert said.startswith(
        f"error: Redis at {shown} does not answer; start it, correct --redis-url"
    )
    assert "hunter2" not in result.output


NO_HISTORIES = "user_id,item_id\n,a\n"


def test_redis_is_found_missing_before_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(NO_HISTORIES)
    missing = ("--redis-url", "redis://127.0.0.1:1")
    assert "does not answer" in streamrec("load-histories", "--interactions", path, *missing).stderr
    with embedded_redis(tmp_path / "redis") as url:
        used = ("--redis-folder", tmp_path / "redis")
        result = streamrec("load-histories", "--interactions", path, *used)
        assert (
            "give another --redis-folder, or let both use one Redis with --redis-url"
            in result.stderr
        )
        there = ("--redis-url", url)
        assert "id is empty" in streamrec("load-histories", "--interactions", path, *there).stderr


def test_a_redis_that_refuses_says_why(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id\nu,a\n")
    with embedded_redis(tmp_path / "redis") as full:
        with redis.Redis.from_url(full) as client:
            client.config_set("maxmemory", 1)
        result = streamrec("load-histories", "--interactions", path, "--redis-url", full)
    assert result.exit_code == 1
    assert "refuses: " in result.stderr
    assert "maxmemory" in result.stderr
