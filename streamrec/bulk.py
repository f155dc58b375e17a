"""Answers for every user of a file, in parts that an interruption does not lose."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl

from model_export.contract.errors import DataError
from model_export.contract.files import atomic_path
from service.api.schemas import RecommendRequest
from service.bulk import BulkRecommender
from streamrec.histories import UserHistory

PART = 500
"""Users whose answers are kept together."""
BATCH = 50
"""Users who are answered together."""
SCHEMA = {
    "user_id": pl.String,
    "rank": pl.Int64,
    "item_id": pl.String,
    "score": pl.Float64,
    "reason": pl.String,
}
SINKS: dict[str, Callable[[pl.LazyFrame, Path], object]] = {
    ".csv": pl.LazyFrame.sink_csv,
    ".jsonl": pl.LazyFrame.sink_ndjson,
    ".ndjson": pl.LazyFrame.sink_ndjson,
    ".parquet": pl.LazyFrame.sink_parquet,
}


def sink_of(out: Path) -> Callable[[pl.LazyFrame, Path], object]:
    """What writes a file of this name.

    Raises:
        DataError: the extension is unknown.
    """
    try:
        return SINKS[out.suffix.lower()]
    except KeyError:
        raise DataError(
            f"{out} has an unknown extension; use .csv, .jsonl, .ndjson or .parquet"
        ) from None


def answer_part(
    recommender: BulkRecommender, users: Sequence[UserHistory], request: RecommendRequest
) -> pl.DataFrame:
    """One row a recommended item (see SCHEMA), users in order, best item first."""
    rows: list[tuple[str, int, str, float, str]] = []
    for start in range(0, len(users), BATCH):
        asking = dict(users[start : start + BATCH])
        for user, answer in zip(asking, recommender.answer(asking, request), strict=True):
            rows.extend(
                (user, item["rank"], item["item_id"], item["score"], item["reasons"][0]["text"])
                for item in answer["items"]
            )
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


class Parts:
    """Finished parts of one output file, in a folder beside it.

    Args:
        out: the output file.
        key: all that the answers depend on; parts made under another key are thrown away.
    """

    def __init__(self, out: Path, key: object) -> None:
        self._out = out
        self._folder = out.with_name(f".{out.name}.parts")
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        mark = self._folder / "key"
        if not mark.is_file() or mark.read_bytes() != digest.encode():
            shutil.rmtree(self._folder, ignore_errors=True)
            with atomic_path(mark) as partial:
                partial.write_text(digest)

    def missing(self, users: Sequence[UserHistory]) -> Iterator[tuple[int, Sequence[UserHistory]]]:
        """Number and users of every part that is not finished."""
        for number, start in enumerate(range(0, len(users), PART)):
            if not self._path(number).is_file():
                yield number, users[start : start + PART]

    def put(self, number: int, answers: pl.DataFrame) -> None:
        """Keep a finished part."""
        with atomic_path(self._path(number)) as partial:
            answers.write_parquet(partial)

    def finish(self) -> None:
        """Write the output file as a whole, then forget the parts."""
        parts = sorted(self._folder.glob("*.parquet"))
        with atomic_path(self._out) as partial:
            sink_of(self._out)(pl.scan_parquet(parts), partial)
        shutil.rmtree(self._folder)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.parquet"
