"""The finite law of an ELBO estimate over all its joint draws, where these can be listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.designs.base import Design
from vrpo_theory.elbo import estimate
from vrpo_theory.numerics import total
from vrpo_theory.types import Budget
from vrpo_theory.weightings.base import Weighting

TermsOf = Callable[[NDArray[np.bool_]], NDArray[np.float64]]
"""Token terms (n, L) of masks (n, L): one model's, or the difference of two on shared masks."""


@dataclass(frozen=True, eq=False)
class FiniteLaw:
    """A random variable with finitely many values: ``prob`` and ``value``, each (Q,)."""

    prob: NDArray[np.float64]
    value: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Expectation."""
        return total(self.prob * self.value)

    @property
    def variance(self) -> float:
        """Variance."""
        return total(self.prob * (self.value - self.mean) ** 2)


def estimator_law(terms_of: TermsOf, length: int, design: Design, budget: Budget, weighting: Weighting) -> FiniteLaw:
    """Law of the estimate, by brute force: no variance decomposition enters.

    Raises
    ------
    ValueError
        If the weights are biased under the design.
    """
    weighting.check(design)
    draws = list(design.joint(length, budget))
    value = [estimate(masks, terms_of(masks.mask), weighting) for _, masks in draws]
    return FiniteLaw(np.array([prob for prob, _ in draws]), np.array(value))
