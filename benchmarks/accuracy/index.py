"""What an index over the catalogue costs in accuracy, on a trained run that needs none.

python -m benchmarks.accuracy.index RUN
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from model_export.contract import scoring
from model_export.contract.reasoning import ReasoningLoop
from model_export.indexing import build_index
from training.data.sequences import Holdout
from training.evaluate import evaluate_loop, own_batches, step_name, unseen_mask
from training.run import Run

SHARES = (0.008, 0.02, 0.05, 0.1, 0.2)
"""Of the catalogue, read through the index; the first is that of the default with a million items."""
DEMAND_SHARE = scoring.IN_DEMAND / 1_000_000


def main() -> None:
    """Print one line for exact ranking and one for each share."""
    parser = argparse.ArgumentParser(prog="benchmarks.accuracy.index", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    holdout, steps = run.sequences.holdout("valid"), run.config.inference.efforts.deep
    exact = run.loop(run.model(), run.scorer, run.deliberator)
    vectors = exact.tables.item_vectors
    scoring.IN_DEMAND = max(1, round(DEMAND_SHARE * len(vectors)))
    _tell({"share": 1.0} | _accuracy(exact, holdout, run, steps))
    for share in arguments.shares:
        reach = round(share * len(vectors))
        indexed = exact.reading(build_index(vectors, reach, run.seed))
        recall = _recall(exact, indexed, holdout)
        _tell({"share": share} | recall | _accuracy(indexed, holdout, run, steps))


def _accuracy(loop: ReasoningLoop, holdout: Holdout, run: Run, steps: int) -> dict[str, float]:
    figures = evaluate_loop(loop, holdout, run.items.evidence.popularity, [steps])
    return {"ndcg@10": round(figures[step_name(steps)]["ndcg@10"], 4)}


def _recall(exact: ReasoningLoop, indexed: ReasoningLoop, holdout: Holdout) -> dict[str, float]:
    """Shares of the best 10 and 100 of the exact mix among the candidates, and the mean pool."""
    pairs = [*_candidates(exact, indexed, holdout)]
    return {
        "looked at": round(float(np.mean([size for _, _, size in pairs]))),
        **{
            f"recall@{count}": round(
                float(np.mean([np.isin(best[:count], found).mean() for best, found, _ in pairs])), 4
            )
            for count in (10, 100)
        },
    }


def _candidates(
    exact: ReasoningLoop, indexed: ReasoningLoop, holdout: Holdout
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    for part, _ in own_batches(len(holdout.targets), 0, 1):
        histories: Sequence[np.ndarray] = holdout.histories[part]
        allowed = unseen_mask(histories, len(exact.tables.item_vectors))
        [one], [other] = (islice(loop.run(histories, allowed), 1) for loop in (exact, indexed))
        sizes = [len(pool.rows) for pool in other.ranking.pools]
        yield from zip(one.ranking.candidates, other.ranking.candidates, sizes, strict=True)


def _tell(found: dict[str, float]) -> None:
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
