"""`streamrec recommend --engine ray` on a real Ray of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import streamrec
from tests.service.conftest import tiny_bundle
from tests.service.tiny_bundle import ITEMS

__all__ = ["tiny_bundle"]

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own are none of ours


@pytest.fixture(scope="module", autouse=True)
def small_ray() -> Iterator[None]:
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def recommend(bundle: Path, users: Path, out: Path, *more: object) -> str:
    result = streamrec("recommend", "--bundle", bundle, "--users", users, "--out", out, *more)
    assert result.exit_code == 0, result.output
    return str(result.stderr)


def test_both_engines_give_the_same_answers(tiny_bundle: Path, tmp_path: Path) -> None:
    """Events of one user lie in several files, and each worker sees only some of the users."""
    events = pl.DataFrame(
        [
            {
                "user_id": f"u{user}",
                "item_id": f"i{(user * 7 + step * 3) % ITEMS}",
                "timestamp": step,
            }
            for step in range(4)
            for user in range(40)
        ]
    )
    (tmp_path / "events").mkdir()
    for number in range(3):
        events[number::3].write_parquet(tmp_path / "events" / f"{number}.parquet")
    events.write_parquet(tmp_path / "events.parquet")
    options = ["--count", 5, "--effort", "deep"]
    recommend(tiny_bundle, tmp_path / "events.parquet", tmp_path / "local.parquet", *options)
    told = recommend(
        tiny_bundle, tmp_path / "events", tmp_path / "spread", *options,
        "--engine", "ray", "--workers", 2,
    )  # fmt: skip
    assert "200 recommendations" in told
    keys = ["user_id", "rank"]
    local = pl.read_parquet(tmp_path / "local.parquet").sort(keys)
    spread = pl.read_parquet(tmp_path / "spread").sort(keys)
    assert spread.drop("score").equals(local.drop("score"))
    assert spread["score"].to_list() == pytest.approx(local["score"].to_list(), abs=1e-4)


@pytest.mark.parametrize(
    ("users", "items", "named"),
    [
        (["u", None], ["i1", "i2"], "a row without a user, column user_id: the id is empty"),
        (["u", "v"], ["i1", None], "a row of user 'v', column item_id: the id is empty"),
    ],
)
def test_a_wrong_row_is_named_by_its_user(
    tiny_bundle: Path, tmp_path: Path, users: list[str], items: list[str], named: str
) -> None:
    """Its number would be that of a block, not of the file."""
    pl.DataFrame({"user_id": users, "item_id": items}).write_parquet(tmp_path / "events.parquet")
    result = streamrec(
        "recommend", "--bundle", tiny_bundle, "--users", tmp_path / "events.parquet",
        "--out", tmp_path / "out", "--engine", "ray", "--workers", 1,
    )  # fmt: skip
    assert result.exit_code == 1
    assert named in result.stderr.replace("\n", " ")
