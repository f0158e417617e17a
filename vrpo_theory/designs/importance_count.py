"""Importance sampling of counts: drawn where the variance is, shares that undo it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Array, Block, Design, Entry, Timesteps, difference, single
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget, Profile


@dataclass(frozen=True)
class ImportanceCount(Design):
    """iid counts with P(l) = q(l), their shares 1/(L q(l) n) (ours).

    q proportional to sqrt(E[ell^2 | l]) has least variance among these designs.

    Parameters
    ----------
    tilt : float
        q(l) proportional to l^(-tilt).
    table : tuple of float, optional
        Takes the place of the power law: q(1), ..., q(L), positive, normalised here; for responses of L tokens only.
    """

    tilt: float = 0.5
    table: tuple[float, ...] | None = None

    name = "importance_count"
    iid_timesteps = True

    def __post_init__(self) -> None:
        if self.table is not None and not all(0 < q < math.inf for q in self.table):
            raise ValueError(f"{self.name}: every count needs a positive probability, got {self.table}")

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls(), cls(-1.0)

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return (Entry("importance count, oracle", _oracle),)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        prob = self.prob(length)
        index = np.minimum(np.searchsorted(np.cumsum(prob), uniforms.level(n_t), side="right"), length - 1)
        return Timesteps(1.0 + index, 1 / (length * prob[index] * n_t))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        prob = self.prob(length)
        return (single(prob, np.arange(1.0, length + 1), 1 / (length * prob * budget.n_t)),) * budget.n_t

    def prob(self, length: int) -> Array:
        """q(1), ..., q(L)."""
        if self.table is not None and len(self.table) != length:
            raise ValueError(f"{self.name}: the table is for {len(self.table)} tokens, got a response of {length}")
        q = np.array(self.table) if self.table is not None else np.arange(1.0, length + 1) ** -self.tilt
        found: Array = q / q.sum()
        return found


@lru_cache(maxsize=256)
def _oracle(profile: Profile) -> ImportanceCount:
    """q(l) proportional to sqrt(E[ell^2 | l]) of the difference of policy and reference."""
    root = np.sqrt(difference(profile)[1][1:]) / np.arange(1, profile.length + 1)
    return ImportanceCount(table=tuple((root + 1e-9 * root.max() + 1e-300).tolist()))


DESIGNS.add(ImportanceCount.name, ImportanceCount)
