"""The command ``vrpo``: one file per subcommand."""

from __future__ import annotations

from typing import Annotated

import typer

from vrpo_theory import __version__
from vrpo_theory.cli._show import ShowingCommand
from vrpo_theory.cli.audit import audit
from vrpo_theory.cli.inspecting import inspect
from vrpo_theory.cli.listing import members
from vrpo_theory.cli.options import HELP, Command
from vrpo_theory.cli.plan import plan
from vrpo_theory.cli.reproduce import reproduce
from vrpo_theory.cli.score import score
from vrpo_theory.cli.train import train
from vrpo_theory.runs.console import show

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, context_settings=HELP)
for name, command, summary in (
    ("reproduce", reproduce, "Recompute the paper's tables and figures."),
    ("score", score, "Score preference pairs under two checkpoints."),
    ("plan", plan, "Choose how to spend a sampling budget."),
    ("train", train, "Train a checkpoint on preference pairs."),
    ("audit", audit, "Compare an ELBO estimator with exact values."),
    ("inspect", inspect, "Show what a checkpoint is."),
    ("list", members, "List designs, models, exhibits and more."),
):
    app.command(name, cls=ShowingCommand if command is score else Command, short_help=summary)(command)


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
