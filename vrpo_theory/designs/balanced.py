"""Balanced masks: every token is masked as often as any other, as nearly as the counts allow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.designs.base import DESIGNS, Array, Block, Design, Entry, Flags, Timesteps
from vrpo_theory.designs.power_strata import PowerStrata
from vrpo_theory.designs.strata import Strata
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class Balanced(Design):
    """Counts of another design; each mask, in ascending l, takes the tokens that earlier ones covered least (ours).

    Ties are broken at random, so the joint law is unchanged by permuting positions, and each mask alone is a uniform
    subset of its size: unbiased under plain and two-way weights.

    Parameters
    ----------
    levels : Design
        In the count form, with independent masks.
    """

    levels: Design = field(default_factory=PowerStrata)

    name = "balanced"
    independent_masks = False

    def __post_init__(self) -> None:
        if self.levels.form != "count" or not self.levels.independent_masks:
            raise ValueError(f"{self.name}: levels must be a count-form design of independent masks, got {self.levels}")

    @property
    def unbiased(self) -> bool:
        """As the design of the counts."""
        return self.levels.unbiased

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls(), cls(Strata())

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return ()  # enters with two-way weights, which name it

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        return self.levels.timesteps(uniforms, length, n_t)

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        return self.levels.law(length, budget)

    def order(self, level: Array, length: int) -> NDArray[np.int64]:
        """In which masks choose their tokens: from fewest to most; masks of equal size in their order."""
        return np.argsort(level, kind="stable")

    def cover(self, uniforms: Array, level: Array) -> Flags:
        covered = np.zeros(uniforms.shape[1], int)
        mask = np.zeros(uniforms.shape, bool)
        for k in self.order(level, uniforms.shape[1]):
            mask[k, np.lexsort((uniforms[k], covered))[: int(level[k])]] = True
            covered += mask[k]
        return mask

    def joint_masks(self, level: Array, length: int) -> Iterator[tuple[float, Flags]]:
        order = self.order(level, length)
        back = np.argsort(order, kind="stable")
        for prob, rows in _grown(level[order].astype(int).tolist(), np.zeros(length, int)):
            yield prob, np.stack(rows)[back]


def _grown(counts: list[int], covered: NDArray[np.int64]) -> Iterator[tuple[float, list[Flags]]]:
    """Every way to cover, with its probability, given how often tokens are covered so far."""
    if not counts:
        yield 1.0, []
        return
    choices = list(_least_covered(counts[0], covered))
    for mask in choices:
        for prob, rest in _grown(counts[1:], covered + mask):
            yield prob / len(choices), [mask, *rest]


def _least_covered(count: int, covered: NDArray[np.int64]) -> Iterator[Flags]:
    """Masks of ``count`` tokens that leave no token less covered than one they take."""
    edge = np.sort(covered)[count - 1]
    taken, tied = covered < edge, np.flatnonzero(covered == edge)
    for extra in itertools.combinations(tied.tolist(), count - int(taken.sum())):
        mask = taken.copy()
        mask[list(extra)] = True
        yield mask


DESIGNS.add(Balanced.name, Balanced)
