"""The sample shop is the same every time, looks like a shop and can be learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.data.prepare import Dataset, prepare
from training.data.sample_catalog import CATALOG_SHAPE, JOURNEYS, STEPS
from training.data.sample_shop import write_sample_shop

NAMES = ("interactions.csv", "items.csv", "README.md")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shop")
    write_sample_shop(out)
    return out


@pytest.fixture(scope="module")
def dataset(shop: Path) -> Dataset:
    return prepare(shop / "interactions.csv", shop / "items.csv")


def test_a_seed_gives_the_same_bytes(shop: Path, tmp_path: Path) -> None:
    write_sample_shop(tmp_path / "again")
    write_sample_shop(tmp_path / "other", seed=1)
    for name in NAMES:
        content = (shop / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == content
        assert (tmp_path / "other" / name).read_bytes() != content
    assert sorted(path.name for path in shop.iterdir()) == sorted(NAMES)


def test_journeys_are_well_formed() -> None:
    assert all(len(journey.split(", ")) == STEPS for journey in JOURNEYS.values())


def test_it_looks_like_a_shop(dataset: Dataset) -> None:
    catalog, sequences, report = dataset.catalog, dataset.sequences, dataset.report
    assert len(catalog) == np.prod(CATALOG_SHAPE) == 1500
    assert len({item.title for item in catalog}) == 1500
    assert all(item.brand and item.description and item.properties for item in catalog)
    assert {len(item.categories) for item in catalog} == {2}
    assert (report.users, sum(report.dropped.values())) == (3500, 0)
    assert 8 <= report.interactions / report.users <= 12
    assert sequences.lengths.min() >= 3
    assert all(len(set(sequences[user])) == len(sequences[user]) for user in range(3500))
    assert sequences.timestamps is not None
    assert sequences.timestamps.min() > 1.7e9


def test_what_follows_what_can_be_learnt(dataset: Dataset) -> None:
    """Recall@10 on the test items: transitions beat popularity by far, and leave room above."""
    training, test = dataset.sequences.training(), dataset.sequences.holdout("test")
    popularity = np.bincount(training.items, minlength=len(dataset.catalog))
    follows = np.zeros((len(dataset.catalog), len(dataset.catalog)))
    for user in range(len(training)):
        for gap in range(1, 6):
            np.add.at(follows, (training[user][:-gap], training[user][gap:]), 1 / gap)
    follows /= np.sqrt(np.outer(popularity, popularity)) + 5

    transitions = np.stack([(0.5 ** np.arange(len(h))[::-1]) @ follows[h] for h in test.histories])
    hits = [t in np.argsort(-row)[:10] for t, row in zip(test.targets, transitions, strict=True)]
    popular_hits = np.isin(test.targets, np.argsort(-popularity)[:10])
    assert 0.2 < np.mean(hits) < 0.4
    assert np.mean(popular_hits) < 0.1
