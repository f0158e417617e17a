"""The command ``vrpo``: one file per subcommand."""

from __future__ import annotations

from typing import Annotated

import typer

from vrpo_theory import __version__
from vrpo_theory.cli._commands import Commands
from vrpo_theory.cli.options import HELP
from vrpo_theory.runs.console import show

app = typer.Typer(cls=Commands, rich_markup_mode=None, no_args_is_help=True, context_settings=HELP)


def _version(wanted: bool) -> None:
    if wanted:
        show(f"vrpo {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Bias and variance of preference optimisation on masked diffusion language models."""


def main() -> None:
    """Entry point of the ``vrpo`` script."""
    app(prog_name="vrpo")
