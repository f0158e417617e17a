"""How vectors of a pool vary within timesteps and between them, with and without each timestep."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.types import Budget

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spread:
    """Nested analysis of variance of T timesteps of K masks, summed over coordinates.

    Parameters
    ----------
    masks, steps : int
        K and T.
    within, between : float
        Mean squared distance of masks from their timestep's mean, and of the timesteps' means from the mean of all.
    of_step : (T,) float, (T,) float
        The same timestep by timestep, before any was left out.
    """

    masks: int
    within: float
    between: float
    steps: int
    of_step: tuple[Array, Array] = field(repr=False)

    @classmethod
    def of(cls, values: Array) -> Spread:
        """From values (T, K, D)."""
        means = values.mean(1)
        within, apart = values.var(axis=1).sum(1), ((means - means.mean(0)) ** 2).sum(1)
        return cls(values.shape[1], float(within.mean()), float(apart.mean()), len(values), (within, apart))

    def without(self, step: int) -> Spread:
        """The same of the other timesteps: their mean moves, too, by 1/(T - 1) of the distance of the one left out."""
        within, apart = (x[step] for x in self.of_step)
        rest = self.steps - 1
        within = (self.steps * self.within - within) / rest
        between = (self.steps * self.between - self.steps / rest * apart) / rest
        return replace(self, within=within, between=between, steps=rest)

    def variance(self, budget: Budget) -> float:
        """Lemma 5 (ii): nested analysis of variance, coordinate by coordinate."""
        within, between = self.within * self.masks / (self.masks - 1), self.between * self.steps / (self.steps - 1)
        return (between - within / self.masks) / budget.n_t + within / budget.n

    def own_variance(self, budget: Budget) -> float:
        """The same for draws from the pool with replacement."""
        return self.between / budget.n_t + self.within / budget.n
