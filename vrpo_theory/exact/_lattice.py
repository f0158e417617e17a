"""Expectations of smooth functions of the score estimate, each mask's addend on a lattice.

An atom is split among its four nearest lattice points with the weights of cubic interpolation. So a sum of independent
atoms becomes a convolution of (signed) measures, and E f(sum) for smooth f errs by at most 3/128 step^4 max|f''''| an
atom, to leading order: replacing one atom replaces f, averaged over the others, by its cubic interpolant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.couplings import Contrast
from vrpo_theory.exact.enumeration import MaskTable, tables_of
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import Case

Array = NDArray[np.float64]
Spectrum = NDArray[np.complex128]

STEP = 2.0**-8
"""For f = sigmoid(-s)^2, max|f''''| = 0.28: an error of 1.6e-12 an atom."""
NODES = np.arange(4)


@dataclass(frozen=True, eq=False)
class Atoms:
    """What one mask of a contrast adds to the score, for each of its response's non-empty masks.

    Parameters
    ----------
    contrast : Contrast
    place : (M,) float
        In steps from ``low``, at least 1.
    low : float
        Where lattice point 0 lies, in nats.
    counts : (M,) int
        Masked tokens.
    """

    contrast: Contrast
    place: Array
    low: float
    counts: NDArray[np.int64]

    @property
    def span(self) -> int:
        """Lattice points from 0 to the last one that an atom touches."""
        return int(self.place.max()) + 3

    def levels(self) -> list[NDArray[np.int64]]:
        """Rows of the masks of l = 1..L tokens."""
        return [np.flatnonzero(self.counts == count) for count in range(1, self.counts.max() + 1)]

    def law(self, rows: NDArray[np.int64]) -> Array:
        """Uniform law on some of the atoms, as weights on lattice points, (span,)."""
        first, weight = split(self.place[rows])
        touched = first[:, None] + NODES  # each atom's four lattice points; bincount adds up the weights on each point
        return np.bincount(touched.ravel(), weight.ravel(), self.span) / len(rows)


def split(place: Array) -> tuple[NDArray[np.int64], Array]:
    """First of the four lattice points around each place, and their weights: shapes (...) and (..., 4)."""
    below = np.floor(place).astype(np.int64)
    u = place - below  # in [0, 1): how far the place lies behind the second of its four points
    cubic = [  # Lagrange's polynomials through the points -1, 0, 1, 2, at u
        u * (1 - u) * (u - 2) / 6,
        (1 + u) * (1 - u) * (2 - u) / 2,
        (1 + u) * u * (2 - u) / 2,
        (1 + u) * u * (u - 1) / 6,
    ]
    return below - 1, np.stack(cubic, axis=-1)


def interpolate(values: Array, place: Array) -> Array:
    """Values on the lattice, read between its points; shape of ``place``."""
    first, weight = split(place)
    return np.asarray(sum(weight[..., k] * values[first + k] for k in NODES), dtype=float)


class Lattice:
    """The score estimate of iid counts and plain weights: a sum of atoms over contrasts and parts, timesteps, masks.

    Parameters
    ----------
    tabulated : Case
    scheme : Scheme
    beta : float

    Attributes
    ----------
    score : (N,) float
        The lattice, in nats. Lattice points of atoms add up: their sum's index is the score's.

    Raises
    ------
    ValueError
        If contrasts are not independent, or the scheme has other designs or weights.
    """

    def __init__(self, tabulated: Case, scheme: Scheme, beta: float) -> None:
        if scheme.coupling.timesteps_shared:
            raise ValueError("responses or blocks share timesteps, so the score is no sum of independent contrasts: "
                             "use levels_shared=False and blocks_shared=False, or Monte Carlo")  # fmt: skip
        self.budget = budget = scheme.vrpo_budget
        self.atoms = [
            _atoms(contrast, tables, beta / budget.n)
            for contrast in scheme.coupling.contrasts
            for tables in zip(*(tables_of(tabulated, role, contrast.side) for role in contrast.roles), strict=True)
        ]
        # A power of 2 beyond the span of all n atoms, so that the circular convolution of the FFT never wraps around.
        self.points: int = 1 << (budget.n * sum(a.span for a in self.atoms)).bit_length()
        self.score = budget.n * sum(a.low for a in self.atoms) + STEP * np.arange(self.points)

    @cached_property
    def policy(self) -> list[int]:
        """The atoms that the policy is in, the only ones with a gradient: of the chosen response's parts, then the
        rejected one's.
        """
        return [k for k, a in enumerate(self.atoms) if a.contrast.coefficient("policy")]

    @cached_property
    def levels(self) -> list[Spectrum]:
        """Per contrast, the transforms of one mask's law given l = 1..L, (L, F)."""
        return [np.fft.rfft([a.law(rows) for rows in a.levels()], self.points) for a in self.atoms]

    @cached_property
    def timestep(self) -> list[Spectrum]:
        """Per contrast, the transform of the law of one timestep's n_yt masks, (F,)."""
        return [np.mean(level**self.budget.n_yt, axis=0) for level in self.levels]

    def rest(self, *used: int) -> Spectrum:
        """Transform of the law of all timesteps but one of each contrast named, (F,)."""
        powers = [self.budget.n_t - used.count(k) for k in range(len(self.atoms))]
        found: Spectrum = np.prod([step**n for step, n in zip(self.timestep, powers, strict=True)], axis=0)
        return found

    def siblings(self, contrast: int) -> Iterator[tuple[NDArray[np.int64], Spectrum | float]]:
        """Masks whose timestep's other masks have one law, and the transform of that law.

        Others are of the same level, so the law depends on it; where there are none, all masks are together.
        """
        atoms, others = self.atoms[contrast], self.budget.n_yt - 1
        if not others:
            yield np.arange(len(atoms.place)), 1.0
            return
        for rows, level in zip(atoms.levels(), self.levels[contrast], strict=True):
            yield rows, level**others

    def mean(self, values: Array, others: Spectrum) -> Array:
        """h[i] = E f(score) given that the atoms not in ``others`` sum to lattice point i; f by its values, (N,)."""
        # h[i] = sum_j others[j] f[i + j] is a correlation, hence the conjugate.
        return np.fft.irfft(np.fft.rfft(values) * np.conj(others), self.points)


def _atoms(contrast: Contrast, tables: Sequence[MaskTable], factor: float) -> Atoms:
    """Of one part of a response, from its tables under the contrast's models."""
    counts = tables[0].counts[1:]
    sums = sum(contrast.coefficient(r) * t.sums[1:] for r, t in zip(contrast.roles, tables, strict=True))
    value = factor * tables[0].response.length / counts * sums
    low = float(value.min()) - 1.5 * STEP  # half a step to spare: the least place must not round to below 1
    return Atoms(contrast, (value - low) / STEP, low, counts)
