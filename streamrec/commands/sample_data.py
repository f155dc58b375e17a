"""`streamrec sample-data`: a made-up shop to try everything on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamrec.options import new_folder


def sample_data(
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="Folder to write into.", callback=new_folder),
    ],
    seed: Annotated[int, typer.Option(help="Another seed makes another shop.")] = 0,
) -> None:
    """Write the sample shop: 1,500 items, 3,500 visitors, and a README on how they behave.

    \b
    Example:
      streamrec sample-data shop
    """
    from streamrec.console import remark
    from training.data.sample_shop import write_sample_shop

    write_sample_shop(out, seed)
    remark(f"wrote {out / 'interactions.csv'} and {out / 'items.csv'}")
