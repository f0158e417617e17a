"""Quadrature rules that stand in for continuous laws of t."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def gauss(low: float, high: float, nodes: int) -> tuple[Array, Array]:
    """Gauss-Legendre: (weights of the uniform law on [low, high], nodes); exact for degree below 2 nodes."""
    x, weight = np.polynomial.legendre.leggauss(nodes)
    return weight / 2, low + (high - low) * (1 + x) / 2


def log_uniform(low: float, high: float, length: int) -> tuple[Array, Array]:
    """(probabilities, nodes) of the uniform law on [low, high], for integrands that grow like 1/t.

    Composite Gauss-Legendre in log t, whose panels are narrower than a binomial count of L is wide.
    """
    panels = math.ceil(math.log(high / low) * max(4.0, math.sqrt(length)))
    edges = np.linspace(math.log(low), math.log(high), panels + 1)
    weight, node = gauss(0.0, 1.0, 16)
    width = np.diff(edges)[:, None]
    t = np.exp(edges[:-1, None] + width * node).ravel()
    prob = (width * weight).ravel() * t
    return prob / prob.sum(), t
