"""Baselines on histories that can be checked by hand, and the accuracy benchmark from end to end."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.progress import Progress

from benchmarks.accuracy.__main__ import main
from benchmarks.accuracy.ablation.__main__ import main as ablation
from benchmarks.accuracy.ablation.table import ablation_report
from benchmarks.accuracy.ablation.trial import judged, start_from
from benchmarks.accuracy.ablation.variants import variants
from benchmarks.accuracy.baselines import GRIDS, Grid
from benchmarks.accuracy.baselines.base import Baseline, TooLargeError, decayed
from benchmarks.accuracy.baselines.ease import Ease
from benchmarks.accuracy.baselines.neighbours import ItemKnn, SequenceKnn
from benchmarks.accuracy.baselines.popularity import Popularity
from benchmarks.accuracy.baselines.sasrec import OPTIM, SasRec
from benchmarks.accuracy.baselines.text import MemoryAndText, TextKnn
from benchmarks.accuracy.choose import choose
from benchmarks.accuracy.comparisons import comparisons, paired
from benchmarks.accuracy.judge import Judge, judge
from benchmarks.accuracy.measure import measure_run
from benchmarks.accuracy.reasoner import shipped
from benchmarks.accuracy.tables import report
from model_export.contract.catalog import Catalog, Item
from training.args import RunConfig
from training.data import sample_shop
from training.data.prepare import Dataset, Report
from training.data.sequences import Sequences
from training.lists import CandidateLists
from training.pipeline import train
from training.run import Run

TITLES = ("red cotton shirt", "red cotton scarf", "steel pan", "steel pot", "copper pot", "")
CATALOG = Catalog(Item(item_id=str(row), title=title) for row, title in enumerate(TITLES))


def sequences(*histories: list[int]) -> Sequences:
    offsets = np.cumsum([0, *map(len, histories)])
    names = [f"user {number}" for number in range(len(histories))]
    return Sequences(names, offsets, np.concatenate(histories).astype(np.int64))


TRAINING = sequences([0, 1, 2], [0, 1, 3], [4, 0, 1])


def scores(baseline: Baseline, history: list[int]) -> np.ndarray:
    baseline.fit(TRAINING, CATALOG)
    return baseline.score([history])[0]


@pytest.mark.parametrize(
    "baseline", [Popularity(), ItemKnn(), SequenceKnn(), TextKnn(), MemoryAndText(), Ease(10.0)]
)
def test_fitting_leaves_the_histories_alone(baseline: Baseline) -> None:
    unordered = sequences([3, 1, 2], [5, 0, 4, 1])
    fingerprint = sequences([3, 1, 2], [5, 0, 4, 1]).fingerprint
    baseline.fit(unordered, CATALOG)
    assert unordered.fingerprint == fingerprint
    assert baseline.score([[0, 1], [2]]).shape == (2, len(CATALOG))


def test_newest_items_of_a_history_weigh_most() -> None:
    assert decayed([[4, 2], [2, 1, 2]], 0.5, 5).toarray().tolist() == [
        [0, 0, 1, 0, 0.5],
        [0, 0.5, 1.25, 0, 0],
    ]


def test_popularity_counts() -> None:
    assert scores(Popularity(), [2]).tolist() == [3, 3, 1, 1, 1, 0]


def test_item_knn_is_the_damped_cosine_of_users() -> None:
    after_4 = scores(ItemKnn(shrink=1.0), [4])
    assert after_4 == pytest.approx([1 / (3**0.5 + 1), 1 / (3**0.5 + 1), 0, 0, 0, 0])


def test_sequence_knn_knows_direction_and_distance() -> None:
    after_0 = scores(SequenceKnn(shrink=1.0), [0])
    assert after_0 == pytest.approx([0, 3 / 4, 0.5 / (3**0.5 + 1), 0.5 / (3**0.5 + 1), 0, 0])
    assert not scores(SequenceKnn(), [3]).any()


def test_text_knn_finds_what_reads_alike() -> None:
    after_shirt = scores(TextKnn(), [0])
    assert np.flatnonzero(after_shirt).tolist() == [1]
    after_steel_pot = scores(TextKnn(), [3])
    assert np.flatnonzero(after_steel_pot).tolist() == [2, 4]
    assert not scores(TextKnn(), [5]).any()


def test_memory_and_text_add_up() -> None:
    history = [4, 0]
    together = scores(MemoryAndText(delta=0.5, shrink=7.0, decay=0.3), history)
    memory = scores(SequenceKnn(shrink=7.0, decay=0.3), history)
    assert together == pytest.approx(memory + 0.5 * scores(TextKnn(decay=0.3), history))


def test_ease_is_ridge_regression_of_each_item_on_the_others() -> None:
    met = np.array([[1, 1, 1, 0, 0, 0], [1, 1, 0, 1, 0, 0], [1, 1, 0, 0, 1, 0]], float)
    target, others = met[:, 2], np.delete(met, 2, axis=1)
    ridge = np.linalg.solve(others.T @ others + 2 * np.eye(5), others.T @ target)
    found = [scores(Ease(2.0), [row])[2] for row in range(6)]
    assert np.delete(found, 2) == pytest.approx(ridge, abs=1e-6)
    assert found[2] == 0


def test_ease_refuses_what_memory_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.accuracy.baselines.ease.MAX_ITEMS", 5)
    with pytest.raises(TooLargeError, match="5 items"):
        Ease(1.0).fit(TRAINING, CATALOG)


def test_sasrec_learns_what_comes_next() -> None:
    torch.set_num_threads(1)
    starts = [*range(6)] * 4
    walks = sequences(*([(start + step) % 6 for step in range(6)] for start in starts))
    optim = OPTIM.model_copy(update={"learning_rate": 0.01, "batch_size": 16, "epochs": 20})
    baseline = SasRec(walks.holdout("valid"), 0, d_model=16, dropout=0.0, optim=optim)
    baseline.fit(walks.training(), CATALOG)
    assert baseline.score([[0, 1, 2], [4, 5]]).argmax(1).tolist() == [3, 0]


def dataset(data: Sequences) -> Dataset:
    report = Report(len(data.items), {}, (), 0, len(data), len(CATALOG), len(data.items), 0)
    return Dataset(CATALOG, data, report)


def test_settings_are_chosen_on_validation() -> None:
    users = [[5, 0, 3, 4], [5, 1, 4, 3]] * 3  # what follows 0 is 3, what follows 5 is not
    data = sequences(*users, *[[0, 3], [1, 4], [5, 2], [5, 2]])
    fits, changes = [SequenceKnn(shrink=1.0)], [{"decay": decay} for decay in (50.0, 0.1)]
    chosen = choose(Grid(fits, changes), dataset(data)).baseline
    assert isinstance(chosen, SequenceKnn)
    assert chosen.decay == 0.1


def test_judge_separates_seen_cold_and_rare() -> None:
    collected = Judge(np.array([9, 0, 9, 3]))
    ranking = np.array([[4, 3, 2, 1], [1, 2, 3, 4]], np.float32)
    histories = [np.array([0]), np.array([2])]
    collected.add(ranking, np.array([1, 3]), histories, seconds=1.0)
    assert collected.ranks.tolist() == [1, 1]
    figures = collected.figures()
    assert figures["ndcg@10"] == 1
    assert figures["ndcg@10 seen kept"] == pytest.approx((1 / np.log2(3) + 1) / 2)
    assert (figures["share cold"], figures["share rare"]) == (0.5, 1.0)
    assert "ndcg@10 common" not in figures
    assert collected.ms_per_user == 500


def test_ties_count_against_the_scorer() -> None:
    holdout = TRAINING.holdout("test")
    collected = judge(
        lambda histories: np.zeros((len(histories), 6), np.float32), holdout, np.ones(6)
    )
    assert collected.ranks.tolist() == [4, 4, 4]


def test_pairs_cancel_what_users_share() -> None:
    result = paired(np.array([1, 3, 99]), np.array([3, 3, 99]))
    assert (result.value, result.against) == (pytest.approx(0.5), pytest.approx(1 / 3))
    assert result.standard_error == pytest.approx(0.5 / 3)
    assert result.gain == (pytest.approx(0.5), pytest.approx(0.5))
    assert paired(np.array([1, 20]), np.array([20, 20]), "recall@10").gain is None


def test_variants_differ_from_the_base_and_from_each_other() -> None:
    base = RunConfig()
    found = list(variants(base))
    assert len({variant.name for variant in found}) == len(found)
    configs = [variant.config(base) for variant in found if variant.read_items]
    assert base not in configs
    assert len({config.model_dump_json() for config in configs}) == len(configs)


def test_a_variant_starts_from_the_finished_steps_of_the_base(tmp_path: Path) -> None:
    for step in ("prepare", "items", "stage1"):
        (tmp_path / "base" / step).mkdir(parents=True)
        (tmp_path / "base" / step / "table.npy").write_text("base")
    for step in ("prepare", "items"):
        (tmp_path / "base" / step / "step.json").write_text("{}")
    start_from(tmp_path / "base", tmp_path / "variant")
    assert sorted(path.name for path in (tmp_path / "variant").iterdir()) == ["items", "prepare"]
    start_from(tmp_path / "nowhere", tmp_path / "variant")
    assert (tmp_path / "variant" / "items" / "table.npy").read_text() == "base"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sample_shop, "USERS", 80)
    sample_shop.write_sample_shop(tmp_path / "shop")
    return tmp_path / "shop"


def test_from_a_folder_to_figures(shop: Path, tmp_path: Path) -> None:
    names = [name for name in GRIDS if name not in ("EASE", "SASRec")]
    main(
        shop, tmp_path / "out",
        min_interactions=0, baselines_only=True, baseline=names, threads=1,
    )  # fmt: skip
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    measured = {(row["name"], row["split"]) for row in results["rows"]}
    assert measured == {(name, split) for name in names for split in ("valid", "test")}
    assert all(0 <= row["figures"]["ndcg@10"] <= 1 for row in results["rows"])
    page = (tmp_path / "out" / "results.md").read_text()
    assert all(f"| {name} |" in page for name in names)
    assert (tmp_path / "out" / "cost-test.png").stat().st_size > 0


TINY = RunConfig.model_validate(
    {
        "items": {"text_dims": 8, "behaviour_dims": 4, "codes": 16, "levels": 3},
        "model": {"d_model": 8, "feedforward": 8, "max_history": 5, "max_steps": 1},
        "inference": {"beams": 3, "efforts": {"fast": 0, "balanced": 1, "deep": 1}},
        "stage1": {"optim": {"epochs": 1}},
    }
)


def test_a_run_is_judged_by_every_part_after_every_step(shop: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    run = train(
        shop / "interactions.csv", shop / "items.csv", tmp_path / "run", TINY, 0,
        Progress(disable=True), lambda _: None, "stage1",
    )  # fmt: skip
    rows = list(measure_run(run, ["test"], lambda _: None))
    assert [(row.model.part, row.model.steps) for row in rows] == [
        (part, steps) for part in ("state", "beam", "mix") for steps in (0, 1)
    ]
    assert shipped(run) == rows[-1].model
    found = {c.question for c in comparisons(rows, shipped(run))}
    assert {"deep against zero steps, mix", "shipped against direct generation"} <= found
    assert "| stage1, beam, 1 step |" in report("shop", rows, comparisons(rows, shipped(run)))

    judged_once = judged(run, "base")
    again = judged(Run.open(tmp_path / "run"), "again")
    assert again.ranks.keys() == judged_once.ranks.keys()
    assert "| base |" in ablation_report("shop", judged_once, [again])


SETTINGS = """
[items]
text_dims = 8
behaviour_dims = 4
codes = 16
levels = 3
[model]
d_model = 8
feedforward = 8
max_history = 5
max_steps = 1
[inference]
beams = 3
efforts = { fast = 0, balanced = 1, deep = 1 }
[stage1]
optim = { epochs = 1 }
[stage2]
optim = { epochs = 1 }
[deliberate]
folds = 3
evidence_parts = 1
network = { epochs = 1 }
epochs = 1
[stage3]
steps = 1
users = 8
validate_every = 1
"""


def test_the_ablation_takes_each_kind_of_evidence_out_of_the_mix_and_retrains_variants(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, loaded = CandidateLists.load, Counter[str]()

    def counted(path: Path) -> CandidateLists:
        loaded[path.name] += 1
        return load(path)

    monkeypatch.setattr(CandidateLists, "load", counted)
    (tmp_path / "settings.toml").write_text(SETTINGS)
    ablation(
        shop, tmp_path / "out", tmp_path / "settings.toml",
        min_interactions=0, seed=0, variant=["stage3 without kl"], threads=1,
    )  # fmt: skip
    lines = (tmp_path / "out" / "ablation.md").read_text().splitlines()
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("| ")}
    kinds = {name.removeprefix("mix without ") for name in rows if name.startswith("mix without")}
    assert kinds >= {"wide", "text", "recent"}
    assert not kinds & {"state", "beam"}
    assert "±" in rows["stage3 without kl"]
    assert set(loaded.values()) == {2}, "once by training, once by the ablation"
