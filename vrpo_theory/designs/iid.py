"""Independent timesteps: the paper's sampler, in its time form and its count form (2505.19223v2, Eq. 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.designs.base import DESIGNS, Block, Design, Timesteps
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


def _iid(level: NDArray[np.float64]) -> Timesteps:
    n_t = len(level)
    return Timesteps(level, np.arange(n_t), np.full(n_t, 1 / n_t))


def _iid_law(prob: NDArray[np.float64], level: NDArray[np.float64], n_t: int) -> tuple[Block, ...]:
    return (Block(prob, level[:, None], np.full((len(level), 1), 1 / n_t)),) * n_t


@dataclass(frozen=True)
class IidCount(Design):
    """l uniform on 1..L, then a uniform subset of l tokens (2505.19223v2, Eq. 14-15): VRPO's sampler."""

    name = "iid_count"
    form = "count"
    iid_timesteps = True

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        return _iid(1 + np.floor(uniforms.level(n_t) * length))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        return _iid_law(np.full(length, 1 / length), np.arange(1.0, length + 1), budget.n_t)


@dataclass(frozen=True)
class IidTime(Design):
    """t uniform on [eps, 1], each token masked with probability t, the same t in the weight (2505.19223v2, Eq. 12-13).

    Parameters
    ----------
    eps : float
        Floor of t, in [0, 1). At 0 the variance is infinite; above 0 the estimate is biased unless the log-probability
        of a token does not depend on the other masks (independent tokens).
    """

    eps: float

    name = "iid_time"
    form = "time"
    iid_timesteps = True

    def __post_init__(self) -> None:
        if not 0 <= self.eps < 1:
            raise ValueError(f"iid_time: eps must lie in [0, 1), got {self.eps!r}")

    @property
    def unbiased(self) -> bool:  # type: ignore[override]
        """Only without a floor."""
        return self.eps == 0

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls(1e-3), cls(0.0)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        # 1 - u lies in (0, 1], so that t > 0 even without a floor.
        return _iid(self.eps + (1 - self.eps) * (1 - uniforms.level(n_t)))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        """Gauss-Legendre quadrature in log t, whose panels are narrower than a binomial count is wide.

        Raises
        ------
        ValueError
            At eps = 0, where the variance is infinite.
        """
        if self.eps == 0:
            raise ValueError("iid_time: the variance is infinite at eps = 0; choose eps > 0 or the count form")
        panels = math.ceil(-math.log(self.eps) * max(4.0, math.sqrt(length)))
        node, weight = np.polynomial.legendre.leggauss(16)
        edges = np.linspace(math.log(self.eps), 0.0, panels + 1)
        half = np.diff(edges)[:, None] / 2
        t = np.exp(edges[:-1, None] + half * (1 + node)).ravel()
        prob = (half * weight).ravel() * t
        return _iid_law(prob / prob.sum(), t, budget.n_t)


DESIGNS.add(IidCount.name, IidCount, aliases=("vrpo",))
DESIGNS.add(IidTime.name, IidTime)
