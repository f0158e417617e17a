"""What designs of the time form share: floors of t, and quadrature rules in place of continuous laws."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.numerics import gauss_log

Array = NDArray[np.float64]


def require_floor(name: str, eps: float) -> None:
    """ValueError unless a floor of t lies in [0, 1)."""
    if not 0 <= eps < 1:
        raise ValueError(f"{name}: eps must lie in [0, 1), got {eps!r}")


def require_positive_floor(name: str, eps: float) -> None:
    """ValueError unless a floor of t lies in (0, 1)."""
    require_floor(name, eps)
    if eps == 0:
        raise ValueError(f"{name}: eps must lie in (0, 1), got {eps!r}")


def log_uniform(low: float, high: float, length: int) -> tuple[Array, Array]:
    """(probabilities, nodes) of the uniform law on [low, high], for integrands that grow like 1/t.

    The panels are narrower than a binomial count of L is wide.
    """
    prob, t = gauss_log(low, high, math.ceil(math.log(high / low) * max(4.0, math.sqrt(length))))
    return prob / prob.sum(), t


def floored(name: str, eps: float, length: int, high: float = 1.0) -> tuple[Array, Array]:
    """`log_uniform` on [eps, high]; ValueError at eps = 0, where the variance is infinite."""
    if eps == 0:
        raise ValueError(f"{name}: the variance is infinite at eps = 0; choose eps > 0 or a count form")
    return log_uniform(eps, high, length)
