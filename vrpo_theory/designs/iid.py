"""Independent timesteps: the paper's sampler, in its time form and its count form (2505.19223v2, Eq. 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from vrpo_theory.designs._quadrature import floored, require_floor
from vrpo_theory.designs.base import DESIGNS, Block, Design, Entry, Timesteps, equal_shares, single
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class IidCount(Design):
    """l uniform on 1..L, then a uniform subset of l tokens (2505.19223v2, Eq. 14-15): VRPO's sampler."""

    name = "iid_count"
    iid_timesteps = True

    @classmethod
    def planned(cls) -> tuple[Self, ...]:
        return (cls(),)

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return (
            cls().entry("vrpo", gradient=True),
            cls().entry("not shared", shared=False),
            cls().entry("n_yt = 4", n_yt=4),
        )

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        return equal_shares(1 + np.floor(uniforms.level(n_t) * length))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        return (single(np.full(length, 1 / length), np.arange(1.0, length + 1), 1 / budget.n_t),) * budget.n_t


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
        return (cls(1e-3).entry("time form"),)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        # 1 - u lies in (0, 1], so that t > 0 even without a floor.
        return equal_shares(self.eps + (1 - self.eps) * (1 - uniforms.level(n_t)))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        """By quadrature; ValueError at eps = 0, where the variance is infinite."""
        return (single(*floored(self.name, self.eps, length), 1 / budget.n_t),) * budget.n_t


DESIGNS.add(IidCount.name, IidCount, aliases=("vrpo",))
DESIGNS.add(IidTime.name, IidTime)
