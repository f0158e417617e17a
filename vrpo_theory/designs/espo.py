"""Pairs of a mask and its complement: the estimator of ESPO's code (github.com/ML-GSAI/ESPO, arXiv 2512.03759)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Array, Block, Design, Entry, Flags, Timesteps, masked
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class Espo(Design):
    """l uniform on 0..L, a mask of l tokens and its complement, weighed by (L + 1)/l and (L + 1)/(L - l), in halves.

    Unbiased: over l = 0..L, of probability 1/(L + 1) each, (L + 1) E[S | l]/l adds up to the ELBO, an empty mask to 0;
    and L - l has the law of l. Unlike `complementary` it draws the full mask no more often than any other. Pairs are
    independent, as the code's repeats for one response are; the rows of one of its batches share a grid, as in
    `llada_grid`.
    """

    name = "espo"
    independent_masks = False

    def admit(self, budget: Budget) -> None:
        """ValueError for an odd n_t, or n_yt > 1."""
        if budget.n_t % 2 or budget.n_yt > 1:
            raise ValueError(f"{self.name}: masks come in pairs of complements, got {budget}; set n_yt=1 and n_t even")

    def split(self, n: int) -> Budget:
        return Budget(max(n - n % 2, 2), 1)

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return (cls().entry("ESPO", everywhere=True),)

    @classmethod
    def planned(cls) -> tuple[Self, ...]:
        return (cls(),)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        level = np.floor(uniforms.level(n_t) * (length + 1))
        level[1::2] = length - level[::2]
        return Timesteps(level, np.full(n_t, (length + 1) / (length * n_t)))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        self.admit(budget)
        count = np.arange(length + 1.0)
        level = np.stack([count, length - count], 1)
        share = np.full(level.shape, (length + 1) / (length * budget.n_t))
        return (Block(np.full(length + 1, 1 / (length + 1)), level, share),) * (budget.n_t // 2)

    def cover(self, uniforms: Array, level: Array) -> Flags:
        mask = masked(self.form, uniforms, level)
        mask[1::2] = ~mask[::2]
        return mask

    def joint_masks(self, level: Array, length: int) -> Iterator[tuple[float, Flags]]:
        for prob, rows in super().joint_masks(level[::2], length):
            yield prob, np.stack([rows, ~rows], 1).reshape(len(level), length)


DESIGNS.add(Espo.name, Espo)
