"""Answers for the users of Parquet files as a Ray Data job: the same bundle and answers, many machines.

Rows are read in blocks, those of one user brought together, and every worker answers for the users of
its blocks with a model of its own; nothing passes through one machine as a whole.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl

from model_export.contract.errors import DataError
from service.api.schemas import RecommendRequest
from service.bulk import BulkRecommender
from service.settings import Settings
from streamrec.bulk import BATCH, SCHEMA, answer_part
from streamrec.histories import histories_of_table
from training.data import columns
from training.data.table import Table

PARTITION_ROWS = 100_000
"""Rows that a worker answers for at a time, about."""


def recommend_with_ray(
    users: Path, out: Path, settings: Settings, request: RecommendRequest, workers: int | None
) -> int:
    """Answer every user of `users`, a Parquet file or folder, into the new folder `out`.

    Args:
        settings: name the bundle, which every machine must have under the same path.
        workers: models in use at a time; as many as the cluster has CPUs if not given.

    Returns:
        The number of rows that were written; their columns are bulk.SCHEMA, their order is free.

    Raises:
        DataError: the input is wrong, or `out` is there already.
        BundleError: the bundle cannot be used.
    """
    import ray

    if out.exists():
        raise DataError(f"{out} exists; name a new folder")
    with BulkRecommender(settings, BATCH):  # a wrong bundle is refused before any worker starts
        pass
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call]
    rows = ray.data.read_parquet(str(users))
    if columns.USER_ID not in rows.columns():
        raise DataError(f"{users} has no column user_id; it has {', '.join(rows.columns())}")
    partitions = max(workers, math.ceil(rows.count() / PARTITION_ROWS))
    # Read before any model holds a CPU; and models leave a little of theirs to writing.
    by_user = rows.repartition(partitions, keys=[columns.USER_ID]).materialize()
    answers = by_user.map_batches(
        _Answers, fn_constructor_args=(users, settings, request), batch_size=None,
        batch_format="pyarrow", zero_copy_batch=True, concurrency=(1, workers), num_cpus=0.9,
    )  # fmt: skip
    try:
        answers.write_parquet(str(out), ray_remote_args={"num_cpus": 0.1})
    except ray.exceptions.RayTaskError as error:
        raise DataError(str(error.cause)) from error
    return int(ray.data.read_parquet(str(out)).count())


class _Block(Table):
    """Rows from all over the files: where they stood there is not known."""

    def error(self, record: int, column: str, problem: str) -> DataError:
        user = self.columns[columns.USER_ID][record]
        whose = "a row without a user" if user is None else f"a row of user {user!r}"
        return DataError(f"{self.path}, {whose}, column {column}: {problem}")


class _Answers:
    """One worker, which keeps its model from block to block."""

    def __init__(self, users: Path, settings: Settings, request: RecommendRequest) -> None:
        self._users = users
        self._request = request
        self._recommender = BulkRecommender(settings, BATCH)
        self._recommender.__enter__()

    def __call__(self, block: Any) -> Any:
        frame = pl.from_arrow(block)
        assert isinstance(frame, pl.DataFrame)
        if not frame.height:
            return pl.DataFrame(schema=SCHEMA).to_arrow()
        numbers = pl.int_range(1, frame.height + 1, dtype=pl.Int64, eager=True)
        table = _Block(self._users, frame.to_dict(), numbers)
        return answer_part(self._recommender, histories_of_table(table), self._request).to_arrow()
