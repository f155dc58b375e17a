"""CPU time of one recommendation in a batch, without HTTP and Redis, by size of the catalogue.

python -m benchmarks.scale.answer_rate --items 12000 100000
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.serving.catalogues import write_untrained
from model_export.contract.bundle import open_bundle
from service.api.schemas import RecommendRequest
from service.bulk import BulkRecommender
from service.settings import Settings
from service.stores.histories import Interaction
from training.args import RunConfig

BATCH = 16
HISTORY = 20


def main() -> None:
    """Print one line for each catalogue and effort."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale.answer_rate", description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[12_000, 100_000])
    parser.add_argument("--batches", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for n_items in arguments.items:
            path = Path(folder) / str(n_items)
            write_untrained(path, RunConfig(), n_items)
            _measure(path, arguments.batches)


def _measure(bundle: Path, batches: int) -> None:
    item_ids = [item.item_id for item in open_bundle(bundle).catalog]
    chosen = np.random.default_rng(0).integers(len(item_ids), size=(BATCH, HISTORY))
    histories = {
        f"u{user}": [Interaction(item_ids[row], 1) for row in rows]
        for user, rows in enumerate(chosen)
    }
    with BulkRecommender(Settings(bundle=bundle), BATCH) as recommender:
        for effort in ("fast", "balanced"):
            request = RecommendRequest.model_validate({"effort": effort})
            recommender.answer(histories, request)
            cpu = time.process_time()
            for _ in range(batches):
                recommender.answer(histories, request)
            spent = 1000 * (time.process_time() - cpu) / (batches * BATCH)
            found = {"items": len(item_ids), "effort": effort, "cpu ms": round(spent, 2)}
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
