"""What the exhibits of training can be told."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from vrpo_theory.reproduce.options import Options

LOG = "log.jsonl"
"""Name of the log that ``vrpo train`` leaves in a run's folder."""

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
        """Without the folder, which moves no number of a toy; of runs made elsewhere, a digest of what is read."""
        told = asdict(self)
        folder = told.pop("runs")
        return told if self.scale == "toy" else told | {"runs": _digest(folder)}


def _digest(folder: Path) -> str:
    """Of all logs and results below a folder, wherever it lies."""
    found = hashlib.sha256()
    for path in sorted([*folder.rglob("results*.json"), *folder.rglob(LOG)]):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        found.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return found.hexdigest()
