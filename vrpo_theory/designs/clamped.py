"""Clamped time: max(t, eps) where masks are drawn, or weighed, or both; each bias is exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from vrpo_theory.designs._quadrature import log_uniform, require_positive_floor
from vrpo_theory.designs.base import DESIGNS, Block, Design, Entry, Timesteps, equal_shares, single
from vrpo_theory.numerics import gauss_legendre
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class ClampedTime(Design):
    """t ~ U[0, 1], but max(t, eps) where masks are drawn, where they are weighed, or in both.

    In both: unbiased for independent tokens alone. In the weight alone: biased always. In the mask alone, weighed by
    1/t: the mean is infinite (`vrpo_theory.statements.floors`).

    Parameters
    ----------
    eps : float
        In (0, 1).
    mask, weight : bool
        Where the clamp acts; at least one of them.
    """

    eps: float
    mask: bool = True
    weight: bool = True

    name = "clamped_time"
    form = "time"
    iid_timesteps = True

    def __post_init__(self) -> None:
        require_positive_floor(self.name, self.eps)
        if not (self.mask or self.weight):
            raise ValueError(f"{self.name}: the clamp must act on mask or weight, got {self}")

    @property
    def unbiased(self) -> bool:
        """Never for every model."""
        return False

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls(0.05), cls(0.05, mask=False), cls(0.05, weight=False)

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return ()  # mistakes of public code, for the auditor

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        t = 1 - uniforms.level(n_t)
        high = np.maximum(t, self.eps)
        return equal_shares(high if self.weight else t, high if self.mask else t)

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        """By quadrature; ValueError where the mean is infinite."""
        if not self.weight:
            raise ValueError(f"{self.name}: masks from max(t, {self.eps}) weighed by 1/t have an infinite mean")
        above, t = log_uniform(self.eps, 1.0, length)
        below, low = gauss_legendre(0.0, self.eps, length + 1)
        prob = np.concatenate([self.eps * below, (1 - self.eps) * above])
        level = np.concatenate([np.full(len(low), self.eps), t])
        masking = level if self.mask else np.concatenate([low, t])
        return (single(prob, level, 1 / budget.n_t, masking),) * budget.n_t


DESIGNS.add(ClampedTime.name, ClampedTime)
