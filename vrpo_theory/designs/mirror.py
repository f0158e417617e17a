"""MIRROR: two masks at one t from the same uniforms, u < t and u > 1 - t (StableDLLM, arXiv 2511.18159)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Array, Entry, Flags
from vrpo_theory.designs.iid import IidTime
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class Mirror(IidTime):
    """Masks of a timestep come in negatively correlated pairs: disjoint for t <= 1/2, covering everything above."""

    name = "mirror"
    independent_masks = False

    def admit(self, budget: Budget) -> None:
        """ValueError for an odd n_yt."""
        if budget.n_yt % 2:
            raise ValueError(f"{self.name}: masks come in pairs at one t, got n_yt={budget.n_yt}; set n_yt=2")

    def split(self, n: int) -> Budget:
        return Budget(max(n // 2, 1), 2)

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return (cls(1e-3).entry("MIRROR"),)

    def cover(self, uniforms: Array, level: Array) -> Flags:
        mask = uniforms < level[:, None]
        mask[1::2] = uniforms[::2] > 1 - level[::2, None]
        return np.ascontiguousarray(mask)


DESIGNS.add(Mirror.name, Mirror)
