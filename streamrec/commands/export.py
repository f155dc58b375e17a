"""`streamrec export`: a verified bundle that a service can load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamrec.options import FreshEvidence, RunArgument, new_folder


def export(
    run: RunArgument,
    bundle: Annotated[
        Path,
        typer.Option(help="Directory to write; replaced as a whole.", callback=new_folder),
    ],
    fresh_evidence: FreshEvidence = False,
) -> None:
    """Write the model as ONNX graphs and tables, and verify them.

    Torch and ONNX Runtime must give the same answers on real histories, or no bundle is written.
    A bundle that holds the same model already is left alone.

    \b
    Examples:
      streamrec export run --bundle bundle
      streamrec export run --bundle bundle --fresh-evidence
    """
    from streamrec.torch_loading import load_torch

    load_torch()
    from model_export.export import export_bundle
    from streamrec.console import REMARKS, remark
    from training.run import Run

    opened = Run.open(run)
    with REMARKS.status("exporting"):
        if fresh_evidence:
            opened = opened.knowing(opened.sequences)
        manifest = export_bundle(opened, bundle, remark)
    remark(f"{bundle} holds model {manifest.model_version}")
