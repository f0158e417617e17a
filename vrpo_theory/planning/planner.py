"""A pilot, and everything that is predicted from it: variances, gains, forecasts, a ranking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.numerics import jackknife, total
from vrpo_theory.planning.pilot import Pilot
from vrpo_theory.planning.search_space import (
    Cost,
    candidates,
    measured_gain,
    planned_weightings,
    predicted,
    score_estimates,
)
from vrpo_theory.schemes import Scheme
from vrpo_theory.statements import loss
from vrpo_theory.types import Budget, Estimate
from vrpo_theory.weightings.base import Weighting
from vrpo_theory.weightings.plain import PLAIN

Array = NDArray[np.float64]

SETS = 4
"""Timesteps per token up to which a law is worked out.

More are more independent sets of at most L timesteps, so their variance is taken to fall like 1/n_t. Power strata can
do up to about 10% better than that, where their last set is not full.
"""
BLOCKS = 16
"""Most parts that the jackknife leaves out in turn: its cost does not grow with the pilot."""
LEVEL = 0.95
"""Of the intervals; weights that were only tried on the pilot are recommended if their gain's interval is below 1."""


@dataclass(frozen=True)
class Forecast:
    """What a scheme is predicted to give, means over pairs.

    Parameters
    ----------
    scheme : Scheme
    variance : Estimate
        Of the score, nats squared; its error by leaving pilot groups out.
    interval : (float, float) or None
        Where the variance is, by Student's t on the scale of its logarithm; None where there is no error.
    bias_bound, bias_local : float
        Of the loss: the sharp bound, and q (1 - q) V/2.
    """

    scheme: Scheme
    variance: Estimate
    interval: tuple[float, float] | None
    bias_bound: float
    bias_local: float


class Planner:
    """A pilot, and everything that is computed from it once.

    Parameters
    ----------
    weightings : sequence of Weighting
        Weights to choose from; those that join masks are recommended only if the pilot shows their gain.
    """

    def __init__(self, pilot: Pilot, beta: float, cost: Cost, weightings: Sequence[Weighting] | None = None) -> None:
        self.pilot, self.beta, self.cost = pilot, beta, cost
        self.weightings = planned_weightings() if weightings is None else weightings
        self.profiles = pilot.profiles()
        self._known: dict[Scheme, Array] = {}

    @cached_property
    def parts(self) -> list[Planner]:
        """The same from the pilot less some of its groups: what the jackknife is made of; none for two groups."""
        groups = self.pilot.groups
        if groups < 3:
            return []
        blocks = np.array_split(np.arange(groups), min(groups, BLOCKS))
        return [Planner(self.pilot.without(block), self.beta, self.cost, self.weightings) for block in blocks]

    @property
    def degrees_of_freedom(self) -> int:
        """Of every standard error."""
        return max(len(self.parts) - 1, 0)

    @cached_property
    def measured(self) -> dict[Weighting, float]:
        """Variance of weights that join masks over plain weights', between the pilot's groups."""
        return {w: measured_gain(self.pilot, w) for w in self.weightings if w != PLAIN}

    @cached_property
    def gains(self) -> dict[Weighting, Estimate]:
        """The same, with errors."""
        return {w: _with_error(value, [p.measured[w] for p in self.parts]) for w, value in self.measured.items()}

    @cached_property
    def scores(self) -> list[float]:
        """The pilot's own score of every pair."""
        return [self.beta * margin for margin in score_estimates(self.pilot)]

    def variances(self, scheme: Scheme) -> Array:
        """Predicted variance of every pair's score, nats squared; 0 where it is the rounding of the terms."""
        n_t, n_yt = scheme.budget.n_t, scheme.budget.n_yt
        steps = min(n_t, SETS * self.pilot.longest)
        margin = self._worked_out(replace(scheme, weighting=PLAIN, budget=Budget(steps, n_yt)))
        return self.beta**2 * self.measured.get(scheme.weighting, 1.0) * steps / n_t * margin

    def mean_variance(self, scheme: Scheme) -> Estimate:
        """Mean of `variances` over pairs, with its error."""
        return _with_error(self._mean(scheme), [part._mean(scheme) for part in self.parts])

    def ratio(self, scheme: Scheme, other: Scheme) -> Estimate:
        """Mean variance of one scheme over another's; 1 where neither varies."""
        return _with_error(self._ratio(scheme, other), [part._ratio(scheme, other) for part in self.parts])

    def interval(self, estimate: Estimate) -> tuple[float, float] | None:
        """Where a positive quantity is, at `LEVEL`; None where there is no error, or nothing to tell."""
        from scipy.stats import t

        if estimate.stderr is None or not estimate.value > 0:
            return None
        quantile = float(t.ppf((1 + LEVEL) / 2, self.degrees_of_freedom))
        factor = math.exp(min(quantile * estimate.stderr / estimate.value, math.log(1e9)))
        return estimate.value / factor, estimate.value * factor

    def forecast(self, scheme: Scheme) -> Forecast:
        """Predictions for one scheme, with errors."""
        variance, per_pair = self.mean_variance(scheme), self.variances(scheme)
        bound, local = (total(f(self.scores, per_pair)) / len(per_pair) for f in (loss.bias_bound, loss.local_bias))
        return Forecast(scheme, variance, self.interval(variance), bound, local)

    def ranking(self, limit: float) -> list[tuple[Scheme, float]]:
        """Every candidate within the cost, best mean predicted variance first, but those not vouched for last.

        Variances that are the same but for rounding keep the order of `candidates`, on any machine.
        """
        found = [(c, self._mean(c)) for c in candidates(limit, self.cost, self.weightings)]
        return sorted(found, key=lambda item: (not self.vouched(item[0]), float(f"{item[1]:.9g}")))

    def recommend(self, limit: float) -> Scheme:
        """The best candidate that the pilot can vouch for."""
        return self.ranking(limit)[0][0]

    def vouched(self, scheme: Scheme) -> bool:
        """Plain weights are predicted by theory; others need a measured gain whose interval is below 1.

        The gain was measured on groups; it grows with the number of masks, so it says nothing about fewer.
        """
        if scheme.weighting == PLAIN:
            return True
        within = self.interval(self.gains[scheme.weighting])
        return scheme.budget.n >= self.pilot.size and within is not None and within[1] < 1

    def _worked_out(self, plain: Scheme) -> Array:
        """Variance of every pair's margin under plain weights, kept for the next time."""
        if plain not in self._known:
            found = np.array(predicted(plain, self.profiles))
            self._known[plain] = np.where(found * plain.passes > self.pilot.rounding, found, 0.0)
        return self._known[plain]

    def _mean(self, scheme: Scheme) -> float:
        return float(self.variances(scheme).mean())

    def _ratio(self, scheme: Scheme, other: Scheme) -> float:
        over, under = self._mean(scheme), self._mean(other)
        return over / under if under > 0 else 1.0


def _with_error(value: float, left_out: Sequence[float]) -> Estimate:
    if not left_out:
        return Estimate(value, None, "two groups: no error of the prediction")
    return replace(jackknife(value, [left_out]), left_out=None)
