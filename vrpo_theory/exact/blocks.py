"""A design's law as whole arrays: its independent blocks one after another, each different one once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.designs.base import Block, Design
from vrpo_theory.types import Budget

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Blocks:
    """B independent blocks, N outcomes together; fields as in `Block`, and levels that a block lacks have no weight.

    Parameters
    ----------
    prob : (N,) float
        Sums to 1 in every block.
    level, drawn, weight : (N, J) float
    draws : (B,) int
    size, times : (B,) int
        Outcomes of each block, and how often the law has it.
    """

    prob: Array
    level: Array
    drawn: Array
    weight: Array
    draws: NDArray[np.int64]
    size: NDArray[np.int64]
    times: NDArray[np.int64]

    def conditional(self, mean: Array) -> Array:
        """Mean of a block's share given each outcome, (N,), from that of one mask's weighted term given its level."""
        found: Array = (self.weight * mean).sum(1)
        return found

    def mean(self, conditional: Array) -> Array:
        """Mean of one draw of each block, (B,), from a mean given each outcome (N,)."""
        return np.add.reduceat(self.prob * conditional, self._start)

    def moments(self, mean: Array, variance: Array) -> tuple[Array, Array, Array]:
        """Mean, variance between outcomes and mean variance within, of each block's share of an estimate, (B,) each.

        Parameters
        ----------
        mean, variance : (N, J) float
            Of one mask's weighted term, given its level.
        """
        conditional = self.conditional(mean)
        expected = self.mean(conditional)
        between = self.mean((conditional - np.repeat(expected, self.size)) ** 2)
        within = self.mean((self.weight**2 * variance).sum(1))
        left = (self.size - self.draws) / np.maximum(self.size - 1, 1)  # of the population, after the draws
        return self.draws * expected, self.draws * left * between, self.draws * within

    def each(self, *values: Array) -> Iterator[tuple[Array, ...]]:
        """The part of every array (N,) that belongs to each block in turn."""
        return zip(*(np.split(value, self._start[1:]) for value in values), strict=True)

    @property
    def _start(self) -> NDArray[np.int64]:
        return np.cumsum(self.size) - self.size


@lru_cache(maxsize=256)
def joined_laws(design: Design, lengths: tuple[int, ...], budget: Budget) -> tuple[Blocks, ...]:
    """Laws of responses that share their timesteps; block beside block, so all have the same ``times``."""
    times = Counter(zip(*(design.law(length, budget) for length in lengths), strict=True))
    count = np.array(list(times.values()))
    return tuple(_joined(blocks, count) for blocks in zip(*times, strict=True))


def _joined(blocks: Sequence[Block], times: NDArray[np.int64]) -> Blocks:
    size = np.array([len(block.prob) for block in blocks])
    width = max(block.level.shape[1] for block in blocks)

    def together(values: Sequence[Array], fill: float) -> Array:
        out = np.full((size.sum(), width), fill)
        for start, value in zip(np.cumsum(size) - size, values, strict=True):
            out[start : start + len(value), : value.shape[1]] = value
        return out

    return Blocks(
        prob=np.concatenate([block.prob for block in blocks]),
        level=together([block.level for block in blocks], 1.0),  # a level of either form
        drawn=together([block.drawn for block in blocks], 1.0),
        weight=together([block.weight for block in blocks], 0.0),
        draws=np.array([block.draws for block in blocks]),
        size=size,
        times=times,
    )


@lru_cache(maxsize=4)
def chance(design: Design, blocks: Blocks, length: int) -> Array:
    """`Design.counts`, kept for the next response of this length."""
    return design.counts(blocks.drawn, length)
