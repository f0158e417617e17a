"""Coupled sampling: complementary masks and the full one, equal token weights (DiffuCoder, arXiv 2506.20639)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Array, Block, Design, Flags, Timesteps, masked, single
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class Coupled(Design):
    """Half of the n_t - 1 masks with their complements, and the mask of all tokens: n_t is odd.

    A pair covers every token once, so each token's log-probability is averaged over (n_t + 1)/2 terms, with weight 1
    and not L/l. That is biased for the ELBO: a token is seen under size-biased masks (ours). l is uniform on 0..L, as
    it is when t is uniform and each token is masked with probability t. `coupled_ratio` is what the code does.
    """

    name = "coupled"
    independent_masks = False

    @property
    def unbiased(self) -> bool:
        """Never for every model."""
        return False

    def admit(self, budget: Budget) -> None:
        """ValueError for an even n_t, or n_yt > 1."""
        if budget.n_t % 2 == 0 or budget.n_yt > 1:
            raise ValueError(f"{self.name}: one full mask and pairs, got {budget}; set n_yt=1 and n_t odd")

    def split(self, n: int) -> Budget:
        return Budget(n - (n + 1) % 2, 1)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        level = np.floor(uniforms.level(n_t) * (length + 1))
        level[0] = length
        level[2::2] = length - level[1::2]
        # L/l times this share is one over the number of terms.
        return Timesteps(level, 2 * level / (length * (n_t + 1)))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        self.admit(budget)
        count, terms = np.arange(length + 1.0), (budget.n_t + 1) / 2
        full = single(np.ones(1), count[-1:], 1 / terms)
        level = np.stack([count, length - count], 1)
        pair = Block(np.full(length + 1, 1 / (length + 1)), level, level / (length * terms))
        return (full, *[pair] * (budget.n_t // 2))

    def cover(self, uniforms: Array, level: Array) -> Flags:
        mask = masked(self.form, uniforms, level)
        mask[2::2] = ~mask[1::2]
        return mask

    def joint_masks(self, level: Array, length: int) -> Iterator[tuple[float, Flags]]:
        free = [0, *range(1, len(level), 2)]
        for prob, rows in super().joint_masks(level[free], length):
            mask = np.zeros((len(level), length), bool)
            mask[free] = rows
            mask[2::2] = ~mask[1::2]
            yield prob, mask


DESIGNS.add(Coupled.name, Coupled)
