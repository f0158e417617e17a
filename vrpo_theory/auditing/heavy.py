"""What the time form has beyond the assumed range: so that estimators of infinite variance can be decided up to it.

The time form, t ~ U(0, 1) and S/t (2505.19223v2, Eq. 12), has a finite mean and no variance; training code uses it with
a floor of about 1e-3 on t. No number of calls bounds the mean of such a tail. But its values cut off at the low end of
the range, max(v, low), are bounded, and their mean is known: the ELBO plus E (low - v)+, the excess. An estimator whose
cut values have that mean within the margin is the time form as far as can be seen; what lies beyond is taken on trust.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from vrpo_theory.auditing.mistakes.base import binomial
from vrpo_theory.auditing.toys import Toy
from vrpo_theory.auditing.toys.base import PEAK, Array
from vrpo_theory.exact import MaskTable
from vrpo_theory.numerics import gauss_log, total

CELLS = 4096
"""Points of the lattice between 0 and the low end, on which values are summed: steps far below the margin."""


@cache
def excess(toy: Toy, n: int, low: float) -> tuple[float, float]:
    """E (low - mean of n values of the time form)+ in nats, and how far off it may be.

    Exact up to the lattice with a table; else between 0 and its value for one mask whose tokens all cost the most, as
    averaging can only lower it (Jensen).
    """
    if toy.table is None:
        most = _most(toy.length, low)
        return most / 2, most / 2
    law = _power(_law(toy.table, n * low), n)
    mean = low * np.arange(CELLS + 1) / CELLS  # the lattice of sums has n times that step
    return total(law * mean) - toy.elbo, 0.0


def _most(length: int, low: float) -> float:
    """E (PEAK l/t + low)+, t ~ U(0, 1), l ~ binomial(L, t)."""
    share, t = gauss_log(1e-9, 1.0, 60)
    count = np.arange(length + 1)
    return total(share * (binomial(length, t) * np.maximum(PEAK * count / t[:, None] + low, 0)).sum(1))


def _law(table: MaskTable, low: float) -> Array:
    """Law of S/t on a lattice from 0 down to low, which takes all that is lower, (CELLS + 1,).

    Given a mask of l tokens, S/t <= v just if t <= S/v; so P(S/t <= v) is an incomplete beta integral. Mass between two
    points is split so that the mean of every cell, another such integral, is kept.
    """
    from scipy.special import beta, betainc

    edge = low * np.arange(1, CELLS + 1) / CELLS
    below, mean_above = np.zeros(CELLS), np.zeros(CELLS)
    length = int(table.counts[-1])
    for count, value in _atoms(table):
        t = np.minimum(value / edge, 1.0)
        rest = length - count + 1
        below += beta(count + 1, rest) * betainc(count + 1, rest, t)
        mean_above += value * beta(count, rest) * (1 - betainc(count, rest, t))
    return _split(np.append(1 - below[:1], -np.diff(below)), np.diff(mean_above, prepend=0.0), float(below[-1]), low)


def _atoms(table: MaskTable) -> list[tuple[int, float]]:
    """(l, S) of every mask that is not empty and has a cost."""
    return [(c, s) for c, s in zip(table.counts.tolist(), table.sums.tolist(), strict=True) if s < 0]


def _split(mass: Array, first: Array, lowest: float, low: float) -> Array:
    """Lattice law from the mass and the first moment of each cell between two points, and the mass at the low end."""
    step = low / CELLS
    share = first / step - mass * np.arange(CELLS)  # of each cell, what belongs to its lower point
    law = np.zeros(CELLS + 1)
    law[:-1] += mass - share
    law[1:] += share
    law[-1] += lowest
    return law


def _power(law: Array, n: int) -> Array:
    """Law of the sum of n, whatever reaches the last point staying there; by repeated squaring."""
    whole = np.zeros(len(law))
    whole[0] = 1.0
    while n:
        whole, law, n = (_sum(whole, law) if n % 2 else whole), _sum(law, law), n // 2
    return whole


def _sum(one: Array, other: Array) -> Array:
    from scipy.signal import fftconvolve

    full = np.maximum(fftconvolve(one, other), 0.0)
    return np.append(full[: len(one) - 1], full[len(one) - 1 :].sum())
