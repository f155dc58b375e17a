"""On the sample shop: without the items that an explanation names, the answer is another one."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from model_export.contract.bundle import open_bundle
from service.model import LoadedModel
from service.reasoning import OnnxReasoner
from tests.conftest import streamrec, train
from tests.service.faithfulness import measure
from tests.tiny_shop import CONFIG

VISITORS = 250
ASKED = 40


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with some visitors of the sample shop and a bundle trained on them for seconds."""
    folder = tmp_path_factory.mktemp("sample")
    assert streamrec("sample-data", folder).exit_code == 0
    file = folder / "interactions.csv"
    with file.open(newline="") as lines:
        header, *rows = csv.reader(lines)
    kept = {f"user-{number:04}" for number in range(1, VISITORS + 1)}
    user = header.index("user_id")
    with file.open("w", newline="") as lines:
        csv.writer(lines).writerows([header, *(row for row in rows if row[user] in kept)])
    (folder / "config.toml").write_text(CONFIG.replace("candidates = 10", "candidates = 50"))
    result = train(folder, folder / "run")
    assert result.exit_code == 0, result.output
    assert streamrec("export", folder / "run", "--bundle", folder / "bundle").exit_code == 0
    return folder


def test_what_is_named_matters_far_more_than_what_is_not(sample: Path) -> None:
    bundle = open_bundle(sample / "bundle")
    reasoner = OnnxReasoner(bundle, threads=1)
    model = LoadedModel(bundle, reasoner, queue_size=1, max_batch=1)
    histories: dict[str, list[str]] = {}
    with (sample / "interactions.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            histories.setdefault(row["user_id"], []).append(row["item_id"])
    found = measure(model, reasoner, histories.values(), ASKED)
    assert found.histories == ASKED
    assert found.named > 2 * found.random + 0.1, found
