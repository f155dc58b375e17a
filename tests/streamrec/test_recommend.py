"""Bulk answers from a bundle, and that they are those of the service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.app import create_app
from service.settings import Settings
from streamrec import bulk
from streamrec.histories import read_histories
from tests.conftest import streamrec
from tests.service.conftest import redis_url, running, tiny_bundle
from tests.service.tiny_bundle import ITEMS

__all__ = ["redis_url", "tiny_bundle"]

USERS = 60
EVENTS = ["user_id,item_id,timestamp,event_type"] + [
    f"u{user},i{(user * 7 + step * (step + user)) % ITEMS},{100 - step},{kind}"
    for user in range(USERS)
    for step, kind in enumerate(["view", "purchase", "impression", "view"][: 1 + user % 4])
]


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Histories of one to four events; and one of an item that the catalogue lacks."""
    path = tmp_path / "events.csv"
    path.write_text("\n".join([*EVENTS, "stranger,ghost,1,view", ""]))
    return path


def recommend(bundle: Path, users: Path, out: Path, *more: object) -> pl.DataFrame:
    result = streamrec("recommend", "--bundle", bundle, "--users", users, "--out", out, *more)
    assert result.exit_code == 0, result.output
    read = {".csv": pl.read_csv, ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}[out.suffix]
    return read(out)


def refused(bundle: Path, users: Path, out: Path, *more: object) -> str:
    result = streamrec("recommend", "--bundle", bundle, "--users", users, "--out", out, *more)
    assert result.exit_code != 0
    assert not out.exists()
    return str(result.stderr)


def test_the_answers_are_those_of_the_service(
    tiny_bundle: Path, redis_url: str, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMREC_EVENT_WEIGHTS", "purchase=3,impression=0")
    options = ["--count", 7, "--effort", "deep", "--diversity", 0.2]
    rows = recommend(tiny_bundle, events, tmp_path / "out.parquet", *options)
    loaded = streamrec("load-histories", "--interactions", events, "--redis-url", redis_url)
    assert loaded.exit_code == 0, loaded.output

    given = {"bundle": tiny_bundle, "redis_url": redis_url, "redis_timeout": 5}
    with running(create_app(Settings.model_validate(given))) as client:
        for (user,), answer in rows.group_by("user_id", maintain_order=True):
            body = {"user_id": user, "count": 7, "effort": "deep", "diversity": 0.2}
            items = client.post("/recommend", json=body).json()["items"]
            assert answer["item_id"].to_list() == [item["item_id"] for item in items], user
            assert answer["rank"].to_list() == [item["rank"] for item in items]
            assert answer["score"].to_list() == pytest.approx(
                [item["score"] for item in items], abs=1e-3
            )
            assert answer["reason"].to_list() == [item["reasons"][0]["text"] for item in items]
    assert rows["user_id"].unique(maintain_order=True).to_list() == [
        *(f"u{user}" for user in range(USERS)), "stranger",
    ]  # fmt: skip
    assert rows.filter(user_id="stranger")["reason"].unique().to_list() == ["popular with everyone"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_format_in_and_out(tiny_bundle: Path, tmp_path: Path, suffix: str) -> None:
    listed = [["i1", "i2"], ["i3"], []]
    users = tmp_path / f"users{suffix}"
    frame = pl.DataFrame({"user_id": ["a", "b", "c"], "history": listed})
    if suffix == ".csv":
        frame.with_columns(pl.col("history").list.join("|")).write_csv(users)
    elif suffix == ".jsonl":
        frame.write_ndjson(users)
    else:
        frame.write_parquet(users)
    assert [[seen.item_id for seen in history] for _, history in read_histories(users)] == listed
    rows = recommend(tiny_bundle, users, tmp_path / f"out{suffix}", "--count", 3)
    assert rows.columns == list(bulk.SCHEMA)
    assert rows["user_id"].to_list() == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
    assert not set(rows.filter(user_id="a")["item_id"]) & {"i1", "i2"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"out{suffix}", f"users{suffix}"]


def test_an_interrupted_run_goes_on_where_it_was(
    tiny_bundle: Path, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PART", 10)
    answered: list[int] = []
    answer_part = bulk.answer_part

    def counting(recommender: Any, users: Any, request: Any) -> pl.DataFrame:
        if len(answered) == 3:
            answered.append(0)
            raise KeyboardInterrupt
        answered.append(len(users))
        return answer_part(recommender, users, request)

    whole = recommend(tiny_bundle, events, tmp_path / "whole.csv")
    monkeypatch.setattr(bulk, "answer_part", counting)
    out = tmp_path / "out.csv"
    assert "interrupted" in refused(tiny_bundle, events, out)
    assert recommend(tiny_bundle, events, out).equals(whole)
    assert answered == [10, 10, 10, 0, 10, 10, 10, 1]
    # Nobody knows what parts with a damaged key are answers to.
    answered[:] = [1, 2, 3]
    refused(tiny_bundle, events, tmp_path / "third.csv")
    (tmp_path / ".third.csv.parts" / "key").write_bytes(b"\xff")
    answered[:] = [1, 2, 3, 4]
    recommend(tiny_bundle, events, tmp_path / "third.csv")
    assert sum(answered[4:]) == USERS + 1
    # Parts of other settings would be answers to another question.
    answered[:] = [1, 2, 3]
    refused(tiny_bundle, events, tmp_path / "other.csv")
    answered[:] = [1, 2, 3, 4]
    recommend(tiny_bundle, events, tmp_path / "other.csv", "--count", 2)
    assert sum(answered[4:]) == USERS + 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("u.csv", "user_id,item_id\na,\n", "u.csv, row 2, column item_id: the id is empty"),
        ("u.csv", "user,history\na,b\n", "u.csv has no column user_id"),
        ("u.csv", "user_id,history\na,b\na,c\n", "u.csv, row 3, column user_id: 'a' has a row"),
        ("u.jsonl", json.dumps({"user_id": "a", "history": {}}) + "\n", "row 1, column history"),
        ("u.txt", "user_id\n", "unknown extension"),
    ],
)
def test_wrong_files_are_named_with_their_row(
    tiny_bundle: Path, tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    assert message in refused(tiny_bundle, tmp_path / name, tmp_path / "out.csv")


def test_a_wrong_output_is_refused_before_any_work(tiny_bundle: Path, tmp_path: Path) -> None:
    assert "unknown extension" in refused(tiny_bundle, tmp_path / "none.csv", tmp_path / "out.xml")


def test_wrong_event_weights_are_one_sentence(
    tiny_bundle: Path, events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMREC_EVENT_WEIGHTS", "purchase=much")
    found = refused(tiny_bundle, events, tmp_path / "out.csv")
    assert "STREAMREC_EVENT_WEIGHTS: 'purchase=much' is not TYPE=WEIGHT" in found
