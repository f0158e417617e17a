"""Everything that is predicted from a pilot: variances and their ratios, forecasts, a ranking of candidates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.numerics import jackknife, total
from vrpo_theory.planning.loadings import loadings
from vrpo_theory.planning.pilot import Pilot
from vrpo_theory.planning.prior import NOTHING, belief
from vrpo_theory.planning.search_space import (
    Cost,
    candidates,
    levels_alone,
    predicted,
    score_estimates,
)
from vrpo_theory.schemes import Scheme
from vrpo_theory.statements import loss
from vrpo_theory.types import Budget, Estimate
from vrpo_theory.weightings.base import Weighting

Array = NDArray[np.float64]

SETS = 4
"""Timesteps per token up to which the variance is computed from a design's law.

More timesteps form more independent sets of at most L, so beyond that the variance is taken to fall like 1/n_t. Power
strata can do up to about 10% better than that, where their last set is not full.
"""
BLOCKS = 16
"""Most parts that the jackknife leaves out in turn, so that its cost does not grow with the pilot."""
LEVEL = 0.95
"""Level of intervals."""
MODELLED = (2, 4, 8, 16, 32)
"""Numbers of masks at which joined candidates are modelled; log ratios are linear in log n between, constant beyond."""
WHOLE, STEP = 16, 1.5
"""From this length on, responses share the draws of lengths that are powers of the step apart."""


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

    Of every candidate the ratio of its variance to VRPO's is measured: from profiles where masks are independent and
    weights plain; else from those of its counts, times what a model of token terms makes of coupled masks and joined
    weights (`vrpo_theory.planning.components`). Measured log ratios are shrunk by their errors to what is known of the
    candidate beforehand (`vrpo_theory.planning.prior`). The choice is the candidate of least expected variance, and so
    of least expected regret: none has to prove itself first, and none wins by luck.

    Parameters
    ----------
    weightings : sequence of Weighting, optional
        Weights to choose from, as in `candidates`.
    """

    def __init__(self, pilot: Pilot, beta: float, cost: Cost, weightings: Sequence[Weighting] | None = None) -> None:
        self.pilot, self.beta, self.cost, self.weightings = pilot, beta, cost, weightings
        self.profiles = pilot.profiles()
        self._known: dict[Scheme, Array] = {}
        self._shrunk: dict[Scheme, tuple[float, float]] = {}

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
    def components(self) -> list[tuple[int, Array]]:
        """Length and variance components of every response."""
        return [(sample.length, sample.components()) for pair in self.pilot.by_pair() for sample in pair]

    def log_ratio(self, scheme: Scheme) -> tuple[float, float]:
        """Log of a scheme's variance over VRPO's at equal passes, given the pilot and the prior: mean and deviation."""
        if scheme not in self._shrunk:
            error = _with_error(self.measured(scheme), [part.measured(scheme) for part in self.parts]).stderr
            self._shrunk[scheme] = belief(scheme).given(self.measured(scheme), math.inf if error is None else error)
        return self._shrunk[scheme]

    def measured(self, scheme: Scheme) -> float:
        """The same by the pilot alone."""
        alone = levels_alone(scheme)
        return self._by_profiles(alone) + (0.0 if scheme == alone else self._joined(scheme, alone))

    def _by_profiles(self, plain: Scheme) -> float:
        return _log_ratio(float(self._margins(plain).mean()), float(self._margins(_vrpo(plain)).mean()))

    def _joined(self, scheme: Scheme, alone: Scheme) -> float:
        """Log ratio that joining masks brings, at the scheme's number of masks."""
        n = min(max(scheme.budget.n, MODELLED[0]), MODELLED[-1])
        above = next(size for size in MODELLED if size >= n)
        below = max(size for size in MODELLED if size <= n)
        share = math.log(n / below) / math.log(above / below) if above > below else 0.0
        return (1 - share) * self._modelled(scheme, alone, below) + share * self._modelled(scheme, alone, above)

    def _modelled(self, scheme: Scheme, alone: Scheme, n: int) -> float:
        """The same at n masks."""
        over, under = (
            total([loadings(tried, _rounded(length)) @ variance for length, variance in self.components])
            for tried in (replace(s, budget=s.design.split(n)) for s in (scheme, alone))
        )
        return _log_ratio(over, under)

    @cached_property
    def scores(self) -> list[float]:
        """Score of every pair, estimated from the pilot."""
        return [self.beta * margin for margin in score_estimates(self.pilot)]

    def variances(self, scheme: Scheme) -> Array:
        """Expected variance of every pair's score in nats squared; 0 where it is no larger than rounding."""
        alone = levels_alone(scheme)
        return self.beta**2 * math.exp(self._expected(scheme) - self._by_profiles(alone)) * self._margins(alone)

    def mean_variance(self, scheme: Scheme) -> Estimate:
        """Mean of `variances` over pairs, with its standard error."""
        value, vrpo = float(self.variances(scheme).mean()), _vrpo(scheme)
        own, *left = (float(planner._margins(vrpo).mean()) for planner in (self, *self.parts))
        base = _with_error(own, left)
        if base.stderr is None or not own > 0:
            return replace(base, value=value)
        return replace(base, value=value, stderr=value * math.hypot(base.stderr / own, self.log_ratio(scheme)[1]))

    def ratio(self, scheme: Scheme, other: Scheme) -> Estimate:
        """Expected variance of one scheme over another's; 1 where neither varies."""
        value = math.exp(self._expected(scheme) - self._expected(other)) * other.passes / scheme.passes
        if not self.parts:
            return _with_error(value, [])
        error = math.hypot(self.log_ratio(scheme)[1], self.log_ratio(other)[1])
        return Estimate(value, value * error, df=self.degrees_of_freedom)

    def _expected(self, scheme: Scheme) -> float:
        """Log of the mean of a ratio whose log is normal; as measured, where nothing is known beforehand."""
        if belief(scheme) is NOTHING:
            return self.measured(scheme)
        mean, spread = self.log_ratio(scheme)
        return mean + spread**2 / 2

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
        """Every candidate within the cost by mean expected variance, best first.

        Variances that differ only by rounding keep the order of `candidates`, so the ranking is the same on every
        machine.
        """
        found = [(c, float(self.variances(c).mean())) for c in candidates(limit, self.cost, self.weightings)]
        return sorted(found, key=lambda item: float(f"{item[1]:.9g}"))

    def recommend(self, limit: float) -> Scheme:
        """The candidate of least expected variance."""
        return self.ranking(limit)[0][0]

    def _margins(self, plain: Scheme) -> Array:
        """Variance of every pair's margin by profiles."""
        n_t, n_yt = plain.budget.n_t, plain.budget.n_yt
        steps = min(n_t, SETS * self.pilot.longest)
        tried = replace(plain, budget=Budget(steps, n_yt))
        if tried not in self._known:
            found = np.array(predicted(tried, self.profiles))
            self._known[tried] = np.where(found * tried.passes > self.pilot.rounding, found, 0.0)
        return steps / n_t * self._known[tried]


def _vrpo(scheme: Scheme) -> Scheme:
    """VRPO's choice at a scheme's passes."""
    return Scheme(budget=Budget(scheme.passes))


def _log_ratio(over: float, under: float) -> float:
    return math.log(over / under) if min(over, under) > 0 else 0.0


def _rounded(length: int) -> int:
    """The length whose draws a response takes."""
    return length if length <= WHOLE else round(WHOLE * STEP ** round(math.log(length / WHOLE, STEP)))


def _with_error(value: float, left_out: Sequence[float]) -> Estimate:
    if not left_out:
        return Estimate(value, None, "two groups: the prediction has no standard error")
    return replace(jackknife(value, [left_out]), left_out=None)
