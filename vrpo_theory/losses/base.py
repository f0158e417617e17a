"""What a loss is: a smooth function of a pair's score, its slope, and how curved it can be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.registry import Member, Registry

LOSSES: Registry[type[Loss]] = Registry("loss", "vrpo_theory.losses")


@dataclass(frozen=True)
class Loss(Member, ABC):
    """A function f of the score s, the smaller the better.

    The score is unbiased and the loss is not linear, so the loss of an estimated score is biased: by at most
    ``curvature`` V/2, V the score's variance, since f lies between its tangent's parabolas. Every exact law, estimator
    and training loop takes any loss. A subclass writes `value` and `slope`:

    >>> class Square(Loss):
    ...     '''The squared distance from 1.'''
    ...
    ...     name, curvature = "square", 2.0
    ...
    ...     def value(self, score):
    ...         return (np.asarray(score, dtype=float) - 1) ** 2
    ...
    ...     def slope(self, score):
    ...         return 2 * (np.asarray(score, dtype=float) - 1)
    >>> Square().value([0.0, 1.0]), Square().bias_bound(0.5)
    (array([1., 0.]), 0.5)

    ``LOSSES.add(Square.name, Square)`` at the end of a file in the folder registers it.
    """

    curvature: ClassVar[float]
    """The largest |f''|."""

    @abstractmethod
    def value(self, score: ArrayLike) -> NDArray[np.float64]:
        """f(s), same shape as ``score``."""

    @abstractmethod
    def slope(self, score: ArrayLike) -> NDArray[np.float64]:
        """f'(s), same shape as ``score``."""

    def bias_bound(self, variance: float) -> float:
        """Bound on |E f(s_hat) - f(s)| for an unbiased s_hat of this variance; attained as the variance goes to 0."""
        return self.curvature * variance / 2
