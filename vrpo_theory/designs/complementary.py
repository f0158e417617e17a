"""Complementary pairs: a mask and what it leaves visible, so that together they cover every token once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Array, Block, Design, Flags, Timesteps, masked, single
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class Complementary(Design):
    """One mask of all L tokens, whose complement would be empty; the others in pairs of l and L - l tokens (ours).

    The full mask has the share 1/L of its count, the others the rest in equal parts, l uniform on 1..L-1. An even
    budget leaves one mask without a partner; a budget of one, or a response of one token, is as iid counts.
    """

    name = "complementary"
    independent_masks = False

    @classmethod
    def planned(cls) -> tuple[Self, ...]:
        return (cls(),)

    def admit(self, budget: Budget) -> None:
        """ValueError for n_yt > 1: a pair has one mask a level."""
        if budget.n_yt > 1:
            raise ValueError(f"{self.name}: pairs take one mask a timestep, got n_yt={budget.n_yt}; set n_yt=1")

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        u = uniforms.level(n_t)
        if n_t == 1 or length == 1:
            return Timesteps(1 + np.floor(u * length), np.full(n_t, 1 / n_t))
        level = 1 + np.floor(u * (length - 1))
        level[0] = length
        pairs = (n_t - 1) // 2
        level[2 : 2 * pairs + 1 : 2] = length - level[1 : 2 * pairs : 2]
        return Timesteps(level, _shares(length, n_t))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        self.admit(budget)
        n, count = budget.n_t, np.arange(1.0, length + 1)
        if n == 1 or length == 1:
            return (single(np.full(length, 1 / length), count, 1 / n),) * n
        prob, partial, share = np.full(length - 1, 1 / (length - 1)), count[:-1], float(_shares(length, n)[1])
        full = single(np.ones(1), count[-1:], 1 / length)
        pair = Block(prob, np.stack([partial, length - partial], 1), np.full((length - 1, 2), share))
        pairs, over = divmod(n - 1, 2)
        return (full, *[pair] * pairs, *([single(prob, partial, share)] if over else []))

    def cover(self, uniforms: Array, level: Array) -> Flags:
        mask = masked(self.form, uniforms, level)
        for first, second in _pairs(level, mask.shape[1]):
            mask[second] = ~mask[first]
        return mask

    def joint_masks(self, level: Array, length: int) -> Iterator[tuple[float, Flags]]:
        pairs = dict(_pairs(level, length))
        free = [k for k in range(len(level)) if k not in pairs.values()]
        for prob, rows in super().joint_masks(level[free], length):
            mask = np.zeros((len(level), length), bool)
            mask[free] = rows
            for first, second in pairs.items():
                mask[second] = ~mask[first]
            yield prob, mask


def _shares(length: int, n_t: int) -> Array:
    return np.append(1 / length, np.full(n_t - 1, (1 - 1 / length) / (n_t - 1)))


def _pairs(level: Array, length: int) -> list[tuple[int, int]]:
    """Indices of masks that are complements: (1, 2), (3, 4), ... where the first mask is the full one."""
    if len(level) < 3 or length == 1:
        return []
    return [(k, k + 1) for k in range(1, len(level) - 1, 2)]


DESIGNS.add(Complementary.name, Complementary)
