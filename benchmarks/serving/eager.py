"""The same app over the same weights in eager PyTorch: `python -m benchmarks.serving.eager [RUN]`.

Everything but the runner of the graphs is the service's own. Without a run the network is untrained.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import uvicorn

from benchmarks.serving.catalogues import untrained
from model_export.contract.bundle import open_bundle
from service.app import create_app
from service.logs import configure_logging
from service.model import LoadedModel
from service.reasoning import OnnxReasoner
from service.settings import Settings
from training.args import RunConfig
from training.graphs import TorchRunner
from training.run import Run


def load_eager(settings: Settings) -> LoadedModel:
    """The bundle's tables with the run's network."""
    torch.set_num_threads(settings.intra_op_threads)
    bundle = open_bundle(settings.bundle)
    if sys.argv[1:]:
        run = Run.open(Path(sys.argv[1]))
        model, deliberator = run.model(), run.deliberator
    else:
        _, model, deliberator = untrained(RunConfig(), len(bundle.catalog))
    runner = TorchRunner(model, deliberator, bundle.manifest.inference.beams)
    reasoner = OnnxReasoner(bundle, settings.intra_op_threads, runner)
    return LoadedModel(bundle, reasoner, settings.queue_size, settings.max_batch)


if __name__ == "__main__":
    configure_logging()
    chosen = Settings()
    app = create_app(chosen, load_eager)
    uvicorn.run(app, port=chosen.port, loop="asyncio", log_config=None, access_log=False)
