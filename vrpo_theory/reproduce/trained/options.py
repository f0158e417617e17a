"""What the exhibits of training can be told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from vrpo_theory.reproduce.options import Options

Quick = Annotated[bool, typer.Option("--quick", help="training exhibits: a few steps of a few pairs, to see them work")]
Scale = Annotated[
    Literal["toy", "llada-8b"],
    typer.Option(help="training exhibits: train toys, or read from --runs what was trained and evaluated elsewhere"),
]
Runs = Annotated[
    Path, typer.Option(help="folder of trained runs: of toys, kept there, or with --scale llada-8b one folder an arm")
]


@dataclass(frozen=True)
class Training(Options):
    """Options of exhibits of training."""

    quick: Quick = False
    scale: Scale = "toy"
    runs: Runs = Path("results/runs")

    def document(self) -> dict[str, Any]:
        """Without the folder, which moves no number of a toy."""
        told = asdict(self)
        folder = told.pop("runs")
        return told if self.scale == "toy" else told | {"runs": str(folder)}
