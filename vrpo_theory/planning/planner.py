"""Everything that is predicted from a pilot: variances and their ratios, forecasts, a ranking of candidates."""

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
    measured_ratio,
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
"""Timesteps per token up to which the variance is computed from a design's law.

More timesteps form more independent sets of at most L, so beyond that the variance is taken to fall like 1/n_t. Power
strata can do up to about 10% better than that, where their last set is not full.
"""
BLOCKS = 16
"""Most parts that the jackknife leaves out in turn, so that its cost does not grow with the pilot."""
LEVEL = 0.95
"""Level of intervals. Weights that join masks are recommended if the interval of their variance ratio is below 1."""


@dataclass(frozen=True)
class Forecast:
    """What a scheme is predicted to give, as means over pairs.

    Parameters
    ----------
    scheme : Scheme
    variance : Estimate
        Of the score, in nats squared; its standard error comes from leaving pilot groups out.
    interval : (float, float) or None
        Interval of the variance, by Student's t on the log scale; None where there is no standard error.
    bias_bound, bias_local : float
        Of the loss: the sharp bound, and q (1 - q) V/2.
    """

    scheme: Scheme
    variance: Estimate
    interval: tuple[float, float] | None
    bias_bound: float
    bias_local: float


class Planner:
    """Predictions from a pilot, each computed once.

    Parameters
    ----------
    weightings : sequence of Weighting
        Weights to choose from; those that join masks are recommended only if the pilot shows that they help.
    """

    def __init__(self, pilot: Pilot, beta: float, cost: Cost, weightings: Sequence[Weighting] | None = None) -> None:
        self.pilot, self.beta, self.cost = pilot, beta, cost
        self.weightings = planned_weightings() if weightings is None else weightings
        self.profiles = pilot.profiles()
        self._known: dict[Scheme, Array] = {}

    @cached_property
    def parts(self) -> list[Planner]:
        """Planners on the pilot less some of its groups, for the jackknife; empty if there are only two groups."""
        groups = self.pilot.groups
        if groups < 3:
            return []
        blocks = np.array_split(np.arange(groups), min(groups, BLOCKS))
        return [Planner(self.pilot.without(block), self.beta, self.cost, self.weightings) for block in blocks]

    @property
    def degrees_of_freedom(self) -> int:
        """Degrees of freedom of every standard error."""
        return max(len(self.parts) - 1, 0)

    @cached_property
    def measured(self) -> dict[Weighting, float]:
        """`measured_ratio` of every weighting that joins masks."""
        return {w: measured_ratio(self.pilot, w) for w in self.weightings if w != PLAIN}

    @cached_property
    def variance_ratios(self) -> dict[Weighting, Estimate]:
        """Variance under each weighting that joins masks over that under plain weights, with standard errors."""
        return {w: _with_error(value, [p.measured[w] for p in self.parts]) for w, value in self.measured.items()}

    @cached_property
    def scores(self) -> list[float]:
        """Score of every pair, estimated from the pilot."""
        return [self.beta * margin for margin in score_estimates(self.pilot)]

    def variances(self, scheme: Scheme) -> Array:
        """Predicted variance of every pair's score in nats squared; 0 where it is no larger than rounding."""
        n_t, n_yt = scheme.budget.n_t, scheme.budget.n_yt
        steps = min(n_t, SETS * self.pilot.longest)
        margin = self._worked_out(replace(scheme, weighting=PLAIN, budget=Budget(steps, n_yt)))
        return self.beta**2 * self.measured.get(scheme.weighting, 1.0) * steps / n_t * margin

    def mean_variance(self, scheme: Scheme) -> Estimate:
        """Mean of `variances` over pairs, with its standard error."""
        return _with_error(self._mean(scheme), [part._mean(scheme) for part in self.parts])

    def ratio(self, scheme: Scheme, other: Scheme) -> Estimate:
        """Mean variance of one scheme over another's; 1 where neither varies."""
        return _with_error(self._ratio(scheme, other), [part._ratio(scheme, other) for part in self.parts])

    def interval(self, estimate: Estimate) -> tuple[float, float] | None:
        """Interval of a positive quantity at `LEVEL`; None if it has no standard error or is 0."""
        from scipy.stats import t

        if estimate.stderr is None or not estimate.value > 0:
            return None
        quantile = float(t.ppf((1 + LEVEL) / 2, self.degrees_of_freedom))
        factor = math.exp(min(quantile * estimate.stderr / estimate.value, math.log(1e9)))
        return estimate.value / factor, estimate.value * factor

    def forecast(self, scheme: Scheme) -> Forecast:
        """Predictions for one scheme, with standard errors."""
        variance, per_pair = self.mean_variance(scheme), self.variances(scheme)
        bound, local = (total(f(self.scores, per_pair)) / len(per_pair) for f in (loss.bias_bound, loss.local_bias))
        return Forecast(scheme, variance, self.interval(variance), bound, local)

    def ranking(self, limit: float) -> list[tuple[Scheme, float]]:
        """Every candidate within the cost: first those that `vouched` accepts, then the others, each best first.

        Candidates are sorted by mean predicted variance. Variances that differ only by rounding keep the order of
        `candidates`, so the ranking is the same on every machine.
        """
        found = [(c, self._mean(c)) for c in candidates(limit, self.cost, self.weightings)]
        return sorted(found, key=lambda item: (not self.vouched(item[0]), float(f"{item[1]:.9g}")))

    def recommend(self, limit: float) -> Scheme:
        """The best candidate that `vouched` accepts."""
        return self.ranking(limit)[0][0]

    def vouched(self, scheme: Scheme) -> bool:
        """Whether the pilot has enough evidence to recommend a scheme.

        Under plain weights theory predicts the variance. Other weights need a measured variance ratio whose interval is
        below 1. The ratio depends on the number of masks, so it is not applied to fewer masks than a group has.
        """
        if scheme.weighting == PLAIN:
            return True
        within = self.interval(self.variance_ratios[scheme.weighting])
        return scheme.budget.n >= self.pilot.size and within is not None and within[1] < 1

    def _worked_out(self, plain: Scheme) -> Array:
        """Variance of every pair's margin under plain weights, cached."""
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
        return Estimate(value, None, "two groups: the prediction has no standard error")
    return replace(jackknife(value, [left_out]), left_out=None)
