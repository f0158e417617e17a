"""Counts without replacement: n different ones, every set of n equally likely."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Block, Design, Timesteps, equal_shares, sets
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget, Masks


@dataclass(frozen=True)
class WithoutReplacement(Design):
    """n different counts from 1..L, equal shares (ours). More timesteps than tokens are several independent sets."""

    name = "without_replacement"
    convolvable = False

    @classmethod
    def planned(cls) -> tuple[Self, ...]:
        return (cls(),)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        parts = [np.argsort(uniforms.level(length), kind="stable")[:size] for size in sets(length, n_t)]
        return equal_shares((1 + np.concatenate(parts)).astype(float))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        count = np.arange(1.0, length + 1)[:, None]
        prob, share = np.full(length, 1 / length), np.full((length, 1), 1 / budget.n_t)
        return tuple(Block(prob, count, share, draws=size) for size in sets(length, budget.n_t))

    def joint(self, length: int, budget: Budget) -> Iterator[tuple[float, Masks]]:
        choices = [list(itertools.permutations(np.arange(1.0, length + 1), size)) for size in sets(length, budget.n_t)]
        orders = list(itertools.product(*choices))
        for order in orders:
            level, weight = np.concatenate(order), np.full(budget.n_t, 1 / budget.n_t)
            for prob, mask in self.joint_masks(np.repeat(level, budget.n_yt), length):
                yield prob / len(orders), self._masks(mask, level, weight, budget)


DESIGNS.add(WithoutReplacement.name, WithoutReplacement)
