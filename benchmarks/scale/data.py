"""A synthetic shop of any size: topics of 200 items, users who stay in a few of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

TOPIC = 200
"""Items of one topic; they share words, and the users who meet them."""
TOPIC_WORDS = 20
COMMON_WORDS = 20_000
SHORTEST, MEAN = 3, 6
"""Interactions of a user."""


def write_shop(folder: Path, items: int, users: int, seed: int) -> dict[str, int]:
    """Write items.parquet and interactions.parquet; returns how much is in them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pl.DataFrame({"item_id": np.arange(items), "title": _titles(items, rng)}).write_parquet(
        folder / "items.parquet"
    )
    lengths = SHORTEST + rng.poisson(MEAN - SHORTEST, users)
    user = np.repeat(np.arange(users, dtype=np.int32), lengths)
    topics = -(-items // TOPIC)
    home = rng.integers(topics, size=(users, 2), dtype=np.int32)
    home = home[user, (rng.random(len(user), np.float32) < 0.2).astype(np.int8)]
    # Within a topic a few items are met by most: the quantile u falls on place TOPIC · u³.
    place = (TOPIC * rng.random(len(user), np.float32) ** 3).astype(np.int32)
    pl.DataFrame(
        {
            "user_id": user,
            "item_id": np.minimum(home * TOPIC + place, items - 1),
            "timestamp": np.arange(len(user), dtype=np.int32) + 1_700_000_000,
        }
    ).write_parquet(folder / "interactions.parquet")
    return {"items": items, "users": users, "interactions": len(user)}


def _titles(items: int, rng: np.random.Generator) -> list[str]:
    """Four words of the topic and three that any item may have, the common ones far likelier."""
    own: NDArray[np.int64] = rng.integers(TOPIC_WORDS, size=(items, 4))
    common = (COMMON_WORDS * rng.random((items, 3)) ** 3).astype(np.int64)
    return [
        " ".join([*(f"t{row // TOPIC}w{word}" for word in topic), *(f"c{word}" for word in free)])
        for row, (topic, free) in enumerate(zip(own.tolist(), common.tolist(), strict=True))
    ]
