"""What the ablation can be told: whose gradient, and how its numbers are sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from vrpo_theory.reproduce.options import Options, Pool, Repeats


@dataclass(frozen=True)
class Ablation(Options):
    """``auto`` takes all parameters of toys and repeats draws; of checkpoints, the up-projections and one pool."""

    gradient: Annotated[
        Literal["auto", "full", "up-proj", "none"],
        typer.Option(help="parameters whose gradient is studied; auto: all on toys, the up-projections on checkpoints"),
    ] = "auto"
    protocol: Annotated[
        Literal["auto", "pooled", "paper", "both"],
        typer.Option(help="how the ablation is sampled; auto: paper on toys, pooled on checkpoints"),
    ] = "auto"
    pool: Pool = None
    repeats: Repeats = None

    @property
    def budgeted(self) -> bool:
        """A budget alone; "both" holds estimates against exact values."""
        return (self.pool is not None or self.repeats is not None) and self.protocol != "both"
