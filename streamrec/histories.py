"""Histories of users from a file: one row an interaction, or one row a user."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from service.stores.histories import Interaction

if TYPE_CHECKING:
    import polars as pl

    from service.event_weights import EventWeights
    from training.data.table import Table

UserHistory = tuple[str, list[Interaction]]


def read_histories(path: Path) -> list[UserHistory]:
    """Every user of a file with the history, oldest first, in order of first appearance.

    The file has one row an interaction (user_id, item_id; timestamp and event_type are optional), or
    one row a user (user_id, and history: item ids, oldest first, as a list or separated by |).

    Raises:
        DataError: the file is wrong; names the file, the row and the column.
    """
    from training.data.formats import read_table

    return histories_of_table(read_table(path))


def histories_of_table(table: Table) -> list[UserHistory]:
    """The same of a table that is read already.

    Raises:
        DataError: the table is wrong.
    """
    from training.data import columns
    from training.data.interactions import interactions_of
    from training.data.values import read_ids, split_cell

    if columns.HISTORY not in table:
        return list(histories_of(interactions_of(table, keep_types=True).frame))
    users = read_ids(table, columns.USER_ID)
    repeated = (~users.is_first_distinct()).arg_true()
    if len(repeated):
        record = int(repeated[0])
        problem = f"{users[record]!r} has a row already; keep one row a user"
        raise table.error(record, columns.USER_ID, problem)
    now = int(time.time() * 1000)
    return [
        (
            user,
            [Interaction(item_id, now) for item_id in split_cell(table, columns.HISTORY, n, cell)],
        )
        for n, (user, cell) in enumerate(zip(users, table[columns.HISTORY].to_list(), strict=True))
    ]


def histories_of(frame: pl.DataFrame) -> Iterator[UserHistory]:
    """Every user's interactions, oldest first; those without a timestamp happened now."""
    import polars as pl

    from training.data import columns

    if columns.TIMESTAMP not in frame.columns:
        frame = frame.with_columns(pl.lit(time.time()).alias(columns.TIMESTAMP))
    if columns.EVENT_TYPE not in frame.columns:
        frame = frame.with_columns(pl.lit(None, pl.String).alias(columns.EVENT_TYPE))
    users = frame.select(columns.USER_ID).unique(maintain_order=True)
    by_user = (
        frame.sort(columns.TIMESTAMP, maintain_order=True)
        .select(
            columns.USER_ID,
            columns.ITEM_ID,
            (pl.col(columns.TIMESTAMP) * 1000).cast(pl.Int64),
            columns.EVENT_TYPE,
        )
        .group_by(columns.USER_ID, maintain_order=True)
        .agg(pl.all())
    )
    for user, *values in users.join(by_user, columns.USER_ID, maintain_order="left").iter_rows():
        yield user, [Interaction(*row) for row in zip(*values, strict=True)]


def counting(history: list[Interaction], weights: EventWeights, cap: int) -> list[Interaction]:
    """What a stored history holds of these: the newest `cap` of those that weigh anything."""
    return [seen for seen in history if weights.of(seen.event_type)][-cap:]
