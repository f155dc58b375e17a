"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def new_folder(path: Path) -> Path:
    """A folder to write into, refused before anything slow where a file stands in its way."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise typer.BadParameter(f"{there} is a file; remove it, or name another folder")
    return path


InteractionsFile = Annotated[
    Path,
    typer.Option(
        "--interactions",
        help="CSV, JSONL or Parquet with user_id and item_id; timestamp, rating and event_type "
        "are optional.",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file with settings that differ from the defaults."),
]
FreshEvidence = Annotated[
    bool,
    typer.Option(
        "--fresh-evidence",
        help="Count as evidence all that a running service would have seen by now, also what was "
        "held out to measure accuracy; the weights stay as they were learnt.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        help="CPU cores to work on, by up to four processes with the data in memory each; what one "
        "learns from a seed is the same to the byte.",
        show_default="all",
    ),
]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Directory that `streamrec train` wrote.")
]
BundleOption = Annotated[
    Path,
    typer.Option("--bundle", envvar="STREAMREC_BUNDLE", help="Directory of the bundle."),
]
RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis-url",
        envvar="REDIS_URL",
        show_envvar=True,
        help="redis://, rediss://, redis+sentinel:// or redis+cluster://; without it a Redis is "
        "started that keeps its data in --redis-folder.",
    ),
]
RedisFolder = Annotated[
    Path,
    typer.Option(
        "--redis-folder",
        envvar="STREAMREC_REDIS_FOLDER",
        help="Where a Redis of our own keeps its data.",
    ),
]
