"""Clipped time: the noise schedule of BD3-LM (arXiv 2503.09573), as an estimator of the ELBO."""

from __future__ import annotations

from dataclasses import dataclass

from vrpo_theory.designs._quadrature import log_uniform
from vrpo_theory.designs.base import DESIGNS, Block, Design, Entry, Timesteps, equal_shares, single
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class ClippedTime(Design):
    """t ~ U[low, high] inside [0, 1], weighed by 1/t: biased for the ELBO, whose t is uniform on all of [0, 1]."""

    low: float = 0.3
    high: float = 0.8

    name = "clipped_time"
    form = "time"
    iid_timesteps = True

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high <= 1:
            raise ValueError(f"{self.name}: expected 0 < low < high <= 1, got {self}")

    @property
    def unbiased(self) -> bool:
        """Never for every model."""
        return False

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return (cls().entry("BD3-LM"),)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        return equal_shares(self.low + (self.high - self.low) * uniforms.level(n_t))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        return (single(*log_uniform(self.low, self.high, length), 1 / budget.n_t),) * budget.n_t


DESIGNS.add(ClippedTime.name, ClippedTime, aliases=("bd3lm",))
