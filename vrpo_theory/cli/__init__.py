"""The command ``vrpo``: one file per subcommand (layer 5)."""

from __future__ import annotations

import typer

from vrpo_theory.cli.audit import audit
from vrpo_theory.cli.plan import plan
from vrpo_theory.cli.score import score
from vrpo_theory.reproduce.__main__ import reproduce

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
for command in (reproduce, score, plan, audit):
    app.command()(command)


@app.callback()
def about() -> None:
    """Bias and variance of preference optimisation on masked diffusion language models."""


def main() -> None:
    """Entry point of the ``vrpo`` script."""
    app(prog_name="vrpo")
