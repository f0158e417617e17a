"""Systematic counts: equally spaced, all moved by one shift, without the rounding bias of public code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Array, Block, Design, Timesteps, equal_shares
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class Systematic(Design):
    """l_j = ceil((j - 1 + u) L/n) with one u ~ U[0, 1) for all j: each l_j is uniform on its stratum (ours).

    Rounding up a continuous shift is what keeps l uniform; rounding a whole shift half to even does not
    (`vrpo_theory.statements.public_code`).
    """

    name = "systematic"

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        return equal_shares(_levels(float(uniforms.level(1)[0]), length, n_t))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        """One block: levels are constant between the shifts at which one of them steps up."""
        n = budget.n_t
        steps = np.arange(length + 1)[:, None] * n / length - np.arange(n)
        edges = np.unique(np.round(np.clip(np.append(steps, [0.0, 1.0]), 0, 1), 12))
        level = np.stack([_levels(float(u), length, n) for u in (edges[:-1] + edges[1:]) / 2])
        return (Block(np.diff(edges), level, np.full(level.shape, 1 / n)),)


def _levels(shift: float, length: int, n: int) -> Array:
    found: Array = np.minimum(1 + np.floor((np.arange(n) + shift) * length / n), length)
    return found


DESIGNS.add(Systematic.name, Systematic)
