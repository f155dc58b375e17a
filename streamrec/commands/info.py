"""`streamrec info`: what a run or a bundle holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def info(
    path: Annotated[Path, typer.Argument(metavar="RUN|BUNDLE", help="What to describe.")],
) -> None:
    """Print the model card of a bundle, or how far a run has come.

    \b
    Examples:
      streamrec info run
      streamrec info bundle
    """
    from rich.markdown import Markdown

    from model_export.contract.bundle import open_bundle
    from model_export.contract.errors import RunError
    from streamrec.console import OUT
    from streamrec.tables import run_table

    if (path / "manifest.json").is_file():
        bundle = open_bundle(path)
        OUT.print(Markdown((bundle.path / "model_card.md").read_text(encoding="utf-8")))
    elif (path / "run.json").is_file():
        OUT.print(run_table(path))
    else:
        raise RunError(
            f"{path} is neither a run nor a bundle; `streamrec train` makes the one, "
            "`streamrec export` the other"
        )
