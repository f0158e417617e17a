"""Mistakes in how the n masks are put together: not by their mean."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from vrpo_theory.auditing.mistakes.base import Mistake
from vrpo_theory.auditing.toys import Toy
from vrpo_theory.numerics import gauss_log, total


def members() -> Iterator[Mistake]:
    """Every mistake of this kind."""
    yield Mistake("log-mean", "the n masks enter as log of the mean of exp(w S), not as the mean of w S", _log_mean)


@cache
def _log_mean(toy: Toy, n: int, batch: int) -> float:
    """E log of the mean of n independent exp(v), v = L/l S: exact up to quadrature; NaN without a table.

    log z is the integral over s of (exp(-s) - exp(-s z))/s, and E exp(-s Z) for a mean Z of n is a power of the
    transform of one; the integral over log s is smooth and dies off at both ends.
    """
    if toy.table is None:
        return float("nan")
    count = toy.table.counts[1:]
    choose = np.bincount(count)[count]
    prob, value = 1 / (toy.length * choose), np.exp(toy.length / count * toy.table.sums[1:])
    share, s = gauss_log(1e-12, 1e6, 400)
    transform = (np.exp(-s[:, None] * value / n) @ prob) ** n
    return total(share * (np.exp(-s) - transform) / s)
