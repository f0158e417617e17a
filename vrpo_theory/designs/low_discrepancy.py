"""Low-discrepancy timesteps: equally spaced t with one shared shift (MDLM, arXiv 2406.07524)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from vrpo_theory.designs._quadrature import floored, require_floor
from vrpo_theory.designs.base import DESIGNS, Block, Design, Entry, Timesteps, equal_shares
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class LowDiscrepancy(Design):
    """t_j = eps + (1 - eps)(j - 1 + u)/n with one u for all j; MDLM calls it antithetic.

    Parameters
    ----------
    eps : float
        Floor of t, in [0, 1), as in `IidTime`.
    """

    eps: float

    name = "low_discrepancy"
    form = "time"

    def __post_init__(self) -> None:
        require_floor(self.name, self.eps)

    @property
    def unbiased(self) -> bool:
        """Only without a floor."""
        return self.eps == 0

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls(1e-3), cls(0.0)

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return (cls(1e-3).entry("low discrepancy"),)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        shift = 1 - float(uniforms.level(1)[0])
        return equal_shares(self.eps + (1 - self.eps) * (np.arange(n_t) + shift) / n_t)

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        """One block, by quadrature over the first timestep; ValueError at eps = 0, where the variance is infinite."""
        step = (1 - self.eps) / budget.n_t
        prob, first = floored(self.name, self.eps, length, self.eps + step)
        level = first[:, None] + step * np.arange(budget.n_t)
        return (Block(prob, level, np.full(level.shape, 1 / budget.n_t)),)


DESIGNS.add(LowDiscrepancy.name, LowDiscrepancy, aliases=("mdlm",))
