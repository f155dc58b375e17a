"""How a command ends: exit code 0, or one clear sentence on stderr and another code.

1    something is wrong with the data, the run, the bundle or the machine
2    something is wrong with the command line itself
130  Ctrl-C
"""

from __future__ import annotations

import os
import re
from importlib.metadata import requires

import typer
from typer.core import TyperGroup

from model_export.contract.errors import StreamRecError

DEBUG = "STREAMREC_DEBUG"


class Commands(TyperGroup):
    """The group of all commands; no failure of theirs reaches a user as a stack trace.

    With STREAMREC_DEBUG=1 every failure does.
    """

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo(
                "\ninterrupted; the same command goes on from the last thing it finished", err=True
            )
            raise typer.Exit(130) from None
        except typer.BadParameter as error:
            from model_export.contract.validation import plain

            error.message = plain(error.message)
            raise
        except Exception as error:
            if os.environ.get(DEBUG) or _handled_by_typer(error):
                raise
            typer.echo(f"error: {_sentence(error)}", err=True)
            raise typer.Exit(1) from error


def _handled_by_typer(error: Exception) -> bool:
    """Whether it is typer's own way to end: exit codes, wrong usage, a closed pipe."""
    return isinstance(error, (typer.Exit, typer.Abort, BrokenPipeError)) or (
        hasattr(error, "exit_code")
    )


def _sentence(error: Exception) -> str:
    if isinstance(error, StreamRecError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the system says'}: {error.strerror}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return (
            f"this command needs the package {error.name!r}, which is not installed; "
            f"{_how_to_install(error.name.partition('.')[0])}"
        )
    return (
        f"{type(error).__name__}: {error}. This should not happen; run the command again with "
        f"{DEBUG}=1 to see where, and report it"
    )


def _how_to_install(package: str) -> str:
    """The smallest extra that brings a package which the project names; or the package by itself."""
    known_as = {"sklearn": "scikit-learn"}.get(package, package.replace("_", "-"))
    for requirement in requires("stream-rec") or []:
        named = re.match(r"[\w-]+", requirement)
        extra = re.search(r"extra == ['\"]([\w-]+)", requirement)
        if named and extra and named[0] == known_as:
            return f"pip install 'stream-rec[{extra[1]}]' (from a checkout: pip install '.[{extra[1]}]')"
    return f"pip install {known_as}"
