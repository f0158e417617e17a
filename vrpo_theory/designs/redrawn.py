"""Empty masks drawn again: SDAR's training loss as an estimator of the ELBO; its bias is exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Array, Block, Entry, Flags, Timesteps, equal_shares, single
from vrpo_theory.designs.iid import IidTime
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget

HALVINGS = 60


@dataclass(frozen=True)
class Redrawn(IidTime):
    """t ~ U[eps, 1] and a mask at it, both drawn again while the mask is empty, weighed by 1/t: biased.

    An empty mask adds 0 to the estimate, so the mean without empty ones is that of `IidTime` over the probability P of
    a mask that is not empty, P = 1 - (1 - eps)^L/(L + 1): at eps = 0 it is (L + 1)/L times the ELBO. Where one t is
    drawn for a row of several blocks, which is drawn again if no token at all is masked, L is the row's length.
    """

    name = "redrawn"
    convolvable = False  # its law of t depends on L

    @property
    def unbiased(self) -> bool:
        """Never: the share of empty masks is lost."""
        return False

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls(1e-3), cls(0.0)

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return ()  # a loss for training, which was not meant to estimate

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        """By bisection of the distribution function, whose density is proportional to 1 - (1 - t)^L."""
        target = (1 - uniforms.level(n_t)) * self._not_empty(1.0, length)
        low, high = np.full(n_t, self.eps), np.ones(n_t)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = self._not_empty(middle, length) < target
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return equal_shares(high)

    def _not_empty(self, t: float | Array, length: int) -> Array:
        """Integral of 1 - (1 - s)^L over s from eps to t."""
        return np.asarray(t - self.eps - ((1 - self.eps) ** (length + 1) - (1 - t) ** (length + 1)) / (length + 1))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        (once, *_) = super().law(length, Budget(1))
        t = once.level[:, 0]
        prob = once.prob * -np.expm1(length * np.log1p(-np.minimum(t, 1 - 1e-300)))
        return (single(prob / prob.sum(), t, 1 / budget.n_t),) * budget.n_t

    def counts(self, drawn: Array, length: int) -> Array:
        prob = super().counts(drawn, length)
        prob[..., 0] = 0
        found: Array = prob / prob.sum(-1, keepdims=True)
        return found

    def cover(self, uniforms: Array, level: Array) -> Flags:
        """Token by token: while none is masked, one is with probability t/(1 - (1 - t)^(tokens left))."""
        mask = np.zeros(uniforms.shape, bool)
        left = uniforms.shape[1]
        for token in range(left):
            empty = ~mask.any(1)
            chance = np.where(empty, level / (1 - (1 - level) ** (left - token)), level)
            mask[:, token] = uniforms[:, token] < chance
        return mask


DESIGNS.add(Redrawn.name, Redrawn)
