"""A made-up shop whose visitors behave by known rules, so that a model's reasons can be checked.

1,500 items in twelve departments and 3,500 visitors over about a year; everything follows from one
seed. How a visitor behaves:

- Long-term taste: a visitor follows two to four journeys (camera → lens → tripod → camera bag →
  gallery frame; tent → sleeping bag → camp stove → headlamp → field guide; …) and prefers one
  style (heritage, compact, pro, eco or nordic) in all of them. A whole history shows the style more
  clearly than its last item does.
- Short-term intent: a visit serves one journey. The next visit, days later, may serve another; a
  journey goes on where it stopped, and a finished one makes room for a new one.
- Steps: most purchases are the next product type of the journey; some leave one out.
- Repeats of theme: some purchases are another item of the type bought before. No visitor buys the
  same item twice.
- Popularity: journeys, and the items of one shelf, are chosen by Zipf's law.
- Noise: some purchases are anything at all, the popular first.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_export.contract.catalog import Item
from model_export.contract.files import atomic_path
from training.data import columns
from training.data.sample_catalog import CATALOG_SHAPE, STEPS, STYLES, make_catalog
from training.data.values import SEPARATOR

USERS = 3500
MIN_PURCHASES = 4
MEAN_PURCHASES = 10
PURCHASES_PER_VISIT = 2.5

NOISE = 0.12
"""Share of purchases that are anything at all."""
REPEAT_OF_THEME = 0.2
"""Share that stay with the product type bought before."""
SKIPPED_STEP = 0.1
"""Share of steps that leave one product type out."""
OTHER_STYLE = 0.3
"""Share that pick a style at random instead of the preferred one."""

OPENING = 1_704_067_200
"""2024-01-01 in Unix seconds."""
DAY = 86_400
DAYS_BETWEEN_VISITS = 12

SHELVES = np.arange(np.prod(CATALOG_SHAPE)).reshape(CATALOG_SHAPE)
"""(journeys, steps, styles, places) positions in the catalogue."""


def write_sample_shop(out: Path, seed: int = 0) -> None:
    """Write interactions.csv (in time order), items.csv and README.md into the folder `out`."""
    rng = np.random.default_rng(seed)
    catalog = make_catalog(rng)
    popularity = _cumulative(rng.permutation(_zipf(len(catalog))))
    purchases = [
        (timestamp, f"user-{number:04}", catalog[item].item_id)
        for number in range(1, USERS + 1)
        for item, timestamp in _purchases(rng, popularity).items()
    ]
    _write_csv(
        out / "interactions.csv",
        (columns.USER_ID, columns.ITEM_ID, columns.TIMESTAMP),
        ((user, item, timestamp) for timestamp, user, item in sorted(purchases)),
    )
    _write_items(out / "items.csv", catalog)
    with atomic_path(out / "README.md") as partial:
        partial.write_text(f"# The sample shop\n\n{__doc__}\nSeed: {seed}\n", encoding="utf-8")


@dataclass
class Pursuit:
    """A journey that a visitor follows, and the step bought last (-1: none yet)."""

    journey: int
    step: int = -1


def _purchases(rng: np.random.Generator, popularity: NDArray[np.float64]) -> dict[int, int]:
    """All that one visitor buys: item → Unix seconds, oldest first."""
    style = int(rng.integers(len(STYLES)))
    pursuits = [Pursuit(_popular_journey(rng)) for _ in range(rng.integers(2, 5))]
    total = MIN_PURCHASES - 1 + rng.geometric(1 / (MEAN_PURCHASES - MIN_PURCHASES + 1))
    time = OPENING + rng.uniform(0, 300 * DAY)
    bought: dict[int, int] = {}
    while len(bought) < total:
        pursuit = pursuits[int(len(pursuits) * rng.random() ** 2)]  # the first is the favourite
        for _ in range(rng.geometric(1 / PURCHASES_PER_VISIT)):
            noise = rng.random() < NOISE
            item = _draw(rng, popularity) if noise else _follow(rng, pursuit, style)
            if item not in bought and len(bought) < total:
                bought[item] = int(time)
                time += rng.uniform(60, 900)
        time += rng.exponential(DAYS_BETWEEN_VISITS * DAY)
    return bought


def _follow(rng: np.random.Generator, pursuit: Pursuit, style: int) -> int:
    """The next item of a journey, mostly in the preferred style; an ended one makes room."""
    if pursuit.step < 0 or rng.random() >= REPEAT_OF_THEME:
        pursuit.step += 2 if rng.random() < SKIPPED_STEP else 1
    if pursuit.step >= STEPS:
        pursuit.journey, pursuit.step = _popular_journey(rng), 0
    if rng.random() < OTHER_STYLE:
        style = int(rng.integers(len(STYLES)))
    shelf = SHELVES[pursuit.journey, pursuit.step, style]
    return int(shelf[_draw(rng, PLACE_POPULARITY)])


def _popular_journey(rng: np.random.Generator) -> int:
    return _draw(rng, JOURNEY_POPULARITY)


def _zipf(count: int) -> NDArray[np.float64]:
    """(count,) chances that fall with the rank."""
    weights = 1 / np.arange(1, count + 1, dtype=np.float64)
    return np.asarray(weights / weights.sum())


def _cumulative(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(chances)[:-1]


def _draw(rng: np.random.Generator, cumulative: NDArray[np.float64]) -> int:
    """A position, drawn by chances that `_cumulative` summed up."""
    return int(np.searchsorted(cumulative, rng.random(), side="right"))


JOURNEY_POPULARITY = _cumulative(_zipf(CATALOG_SHAPE[0]))
PLACE_POPULARITY = _cumulative(_zipf(CATALOG_SHAPE[-1]))


def _write_items(path: Path, catalog: Sequence[Item]) -> None:
    names = (columns.ITEM_ID, columns.TITLE, columns.CATEGORIES, columns.BRAND, columns.DESCRIPTION)
    _write_csv(
        path,
        (*names, *catalog[0].properties),
        (
            (
                item.item_id,
                item.title,
                SEPARATOR.join(item.categories),
                item.brand,
                item.description,
                *item.properties.values(),
            )
            for item in catalog
        ),
    )


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with (
        atomic_path(path) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
