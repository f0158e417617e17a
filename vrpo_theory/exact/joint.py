"""The finite law of an ELBO estimate over all its joint draws, where these can be listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.elbo import estimate
from vrpo_theory.numerics import total
from vrpo_theory.schemes import Scheme

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


def estimator_law(terms_of: TermsOf, length: int, scheme: Scheme) -> FiniteLaw:
    """Law of the estimate of one group for the chosen response, by brute force: no variance decomposition enters."""
    draws = list(scheme.design.joint(length, scheme.budget))
    value = [estimate(masks, terms_of(masks.mask), scheme.weighting) for _, masks in draws]
    return FiniteLaw(np.array([prob for prob, _ in draws]), np.array(value))
