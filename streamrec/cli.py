"""The `streamrec` command line: from raw files to a running service."""

from __future__ import annotations

import typer

from streamrec.commands.evaluate import evaluate
from streamrec.commands.export import export
from streamrec.commands.info import info
from streamrec.commands.load_histories import load_histories
from streamrec.commands.recommend import recommend
from streamrec.commands.sample_data import sample_data
from streamrec.commands.serve import serve
from streamrec.commands.train import train
from streamrec.outcome import Commands

app = typer.Typer(
    cls=Commands,
    help="""A recommender that thinks before it answers.

    From raw files to a running service (`streamrec sample-data shop` writes some to try):

    \b
      streamrec train --interactions events.csv --items items.csv --run run
      streamrec evaluate run
      streamrec export run --bundle bundle
      streamrec load-histories --interactions events.csv
      streamrec serve --bundle bundle
    """,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (sample_data, train, evaluate, export, info, load_histories, recommend, serve):
    app.command()(command)


def main() -> None:
    """Run the command that the arguments name."""
    app()
