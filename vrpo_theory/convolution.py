"""Laws of sums of independent blocks of masks, listed where they are small, else on a lattice.

Few enough atoms are convolved as they are; otherwise by FFT on a lattice, where every atom is split between its two
neighbours so that its mean stays: the sum gains noise of mean 0 and of a known variance.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.numerics import total

Array = NDArray[np.float64]
Terms = Sequence[tuple[float, Array]]
"""What one mask adds, as (probability, equally likely values) of each of its counts."""

ATOMS = 2**17
"""Most atoms that are listed one by one."""
POINTS = 2**15
"""Points of the lattice."""


@dataclass(frozen=True, eq=False)
class Slot:
    """One independent block of timesteps of one contrast.

    Parameters
    ----------
    prob : (Q,) float
        Of its outcomes.
    terms : per outcome and level, Terms
    """

    prob: Array
    terms: Sequence[Sequence[Terms]]

    def atoms(self, n_yt: int) -> float:
        """How many atoms the block's sum has."""
        return sum(math.prod(float(sum(len(v) for _, v in t)) ** n_yt for t in outcome) for outcome in self.terms)

    @cached_property
    def low(self) -> list[float]:
        """Least value of each level's terms, over outcomes."""
        return [min(float(v.min()) for t in level for _, v in t) for level in zip(*self.terms, strict=True)]

    @cached_property
    def high(self) -> list[float]:
        """Largest value of each level's terms, over outcomes."""
        return [max(float(v.max()) for t in level for _, v in t) for level in zip(*self.terms, strict=True)]


def convolve(slots: Sequence[Slot], n_yt: int) -> tuple[Array, Array, float]:
    """Law (Q,), (Q,) of the sum of all slots, n_yt masks per level; and the variance that splitting atoms has added."""
    if math.prod(slot.atoms(n_yt) for slot in slots) <= ATOMS:
        return _listed(slots, n_yt)
    return _on_lattice(slots, n_yt)


def _listed(slots: Sequence[Slot], n_yt: int) -> tuple[Array, Array, float]:
    prob, value = np.ones(1), np.zeros(1)
    for slot in slots:
        p, v = _atoms(slot, n_yt)
        prob, value = np.outer(prob, p).ravel(), np.add.outer(value, v).ravel()
    return prob, value, 0.0


def _atoms(slot: Slot, n_yt: int) -> tuple[Array, Array]:
    """The mixture over outcomes of sums over their levels, n_yt masks each."""
    probs, values = [], []
    for chance, outcome in zip(slot.prob, slot.terms, strict=True):
        prob, value = np.array([chance]), np.zeros(1)
        for terms in outcome:
            p = np.concatenate([np.full(len(v), q / len(v)) for q, v in terms])
            v = np.concatenate([v for _, v in terms])
            for _ in range(n_yt):
                prob, value = np.outer(prob, p).ravel(), np.add.outer(value, v).ravel()
        probs.append(prob)
        values.append(value)
    return np.concatenate(probs), np.concatenate(values)


@dataclass(frozen=True)
class Grid:
    """Equally spaced points that the sum of some slots falls between: the first one, and their distance.

    The distance is 0 where every draw adds the same.
    """

    low: float
    step: float

    @property
    def points(self) -> Array:
        """Their values, (POINTS,)."""
        return self.low + self.step * np.arange(POINTS, dtype=float)


def lattice(slots: Sequence[Slot], n_yt: int) -> Grid:
    """The finest lattice that holds the sum of all slots, n_yt masks per level."""
    low = n_yt * total([x for slot in slots for x in slot.low])
    width = n_yt * total([x for slot in slots for x in slot.high]) - low
    # Splitting reaches one point further per mask than the atoms do.
    return Grid(low, width / (POINTS - 1 - _masks(slots, n_yt)))


def _masks(slots: Sequence[Slot], n_yt: int) -> int:
    return n_yt * sum(len(slot.low) for slot in slots)


def _on_lattice(slots: Sequence[Slot], n_yt: int) -> tuple[Array, Array, float]:
    grid = lattice(slots, n_yt)
    if not grid.step:  # every draw adds the same
        return np.ones(1), np.array([grid.low]), 0.0
    transform = np.ones(POINTS // 2 + 1, complex)
    for slot, times in Counter(slots).items():
        transform *= _transform(slot, n_yt, grid.step) ** times
    prob: Array = np.maximum(np.fft.irfft(transform, POINTS), 0.0)
    prob /= total(prob)
    return prob, grid.points, _masks(slots, n_yt) * grid.step**2 / 4


def _transform(slot: Slot, n_yt: int, step: float) -> NDArray[np.complex128]:
    """Of the law of a block's sum on the lattice."""
    if len(slot.low) == n_yt == 1:  # a mixture of atoms needs one transform, however many outcomes it has
        mixture = [(p * q, v) for p, (terms,) in zip(slot.prob, slot.terms, strict=True) for q, v in terms]
        return np.fft.rfft(_mass(mixture, slot.low[0], step))
    return np.asarray(slot.prob @ outcome_transforms(slot, n_yt, step))


def outcome_transforms(slot: Slot, n_yt: int, step: float) -> NDArray[np.complex128]:
    """Of the law of a block's sum on the lattice, given each of its outcomes, (Q, POINTS // 2 + 1)."""
    found = []
    for outcome in slot.terms:
        each = [np.fft.rfft(_mass(t, low, step)) for t, low in zip(outcome, slot.low, strict=True)]
        found.append(math.prod([t for t in each for _ in range(n_yt)]))
    return np.array(found)


def _mass(terms: Terms, low: float, step: float) -> Array:
    """Law of one mask's addend, moved to a lattice of ``step`` from ``low``: neighbours share each atom, mean kept."""
    place = np.concatenate([values for _, values in terms]) - low
    place = place / step if step else np.zeros(len(place))
    share = np.concatenate([np.full(len(values), prob / len(values)) for prob, values in terms])
    below = np.floor(place).astype(int)
    above = share * (place - below)
    mass = np.bincount(below, share - above, POINTS) + np.bincount(below + 1, above, POINTS)
    return np.asarray(mass, dtype=float)
