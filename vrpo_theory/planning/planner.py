"""A pilot, and everything that is predicted from it: variances, gains, forecasts, a ranking (layer 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.numerics import total
from vrpo_theory.planning.candidates import (
    TRIED,
    Candidate,
    Cost,
    candidates,
    measured_gain,
    predicted,
    score_estimates,
)
from vrpo_theory.planning.pilot import Pilot
from vrpo_theory.statements import loss
from vrpo_theory.types import Estimate, Profile, Side
from vrpo_theory.weightings.base import Weighting
from vrpo_theory.weightings.plain import PLAIN

Array = NDArray[np.float64]

CERTAIN = 2.0
"""Standard errors by which a gain must clear 1 before weights that were only tried on the pilot are recommended."""


@dataclass(frozen=True)
class Forecast:
    """What a candidate is predicted to give, means over pairs.

    Parameters
    ----------
    candidate : Candidate
    variance : Estimate
        Of the score, nats squared; its error by leaving pilot groups out.
    bias_bound, bias_local : float
        Of the loss: the sharp bound, and q (1 - q) V/2.
    """

    candidate: Candidate
    variance: Estimate
    bias_bound: float
    bias_local: float


class Planner:
    """A pilot, and everything that is computed from it once.

    Parameters
    ----------
    weightings : sequence of Weighting
        Weights to choose from; those that join masks are recommended only if the pilot shows their gain.
    """

    def __init__(
        self, pilot: Pilot, beta: float, cost: Cost, weightings: Sequence[Weighting] = (PLAIN, *TRIED)
    ) -> None:
        self.pilot, self.beta, self.cost, self.weightings = pilot, beta, cost, weightings
        self.profiles = pilot.profiles()

    @cached_property
    def parts(self) -> list[Pilot]:
        """The pilot less each of its groups: what the jackknife is made of."""
        return [self.pilot.without(g) for g in range(self.pilot.groups)] if self.pilot.groups > 2 else []

    @cached_property
    def left_out(self) -> list[list[dict[Side, Profile]]]:
        """Profiles of every part."""
        return [part.profiles() for part in self.parts]

    @cached_property
    def gains(self) -> dict[Weighting, Estimate]:
        """Variance of weights that join masks over plain weights'."""
        joined = [w for w in self.weightings if w != PLAIN]
        return {w: _jackknife(measured_gain(self.pilot, w), [measured_gain(p, w) for p in self.parts]) for w in joined}

    @cached_property
    def scores(self) -> list[float]:
        """The pilot's own score of every pair."""
        return [self.beta * margin for margin in score_estimates(self.pilot)]

    def variances(self, candidate: Candidate) -> Array:
        """Predicted variance of every pair's score, nats squared."""
        gain = 1.0 if candidate.weighting == PLAIN else self.gains[candidate.weighting].value
        return self.beta**2 * gain * np.array(predicted(candidate, self.profiles))

    def forecast(self, candidate: Candidate) -> Forecast:
        """Predictions for one candidate, with errors."""
        per_pair = self.variances(candidate)
        parts = [self.beta**2 * float(np.mean(predicted(candidate, profiles))) for profiles in self.left_out]
        variance = _jackknife(float(per_pair.mean()), parts)
        if candidate.weighting != PLAIN and variance.stderr is not None:
            gain = self.gains[candidate.weighting]
            relative = math.hypot(variance.stderr * gain.value / variance.value, (gain.stderr or 0.0) / gain.value)
            variance = Estimate(variance.value, variance.value * relative)
        bound, local = (total(f(self.scores, per_pair)) / len(per_pair) for f in (loss.bias_bound, loss.local_bias))
        return Forecast(candidate, variance, bound, local)

    def ranking(self, limit: float) -> list[tuple[Candidate, float]]:
        """Every candidate within the cost with its mean predicted variance, best first."""
        found = [(c, float(self.variances(c).mean())) for c in candidates(limit, self.cost, self.weightings)]
        return sorted(found, key=lambda item: item[1])

    def recommend(self, limit: float) -> Candidate:
        """The best candidate that the pilot can vouch for."""
        return next(c for c, _ in self.ranking(limit) if self.vouched(c.weighting, c.budget.n))

    def vouched(self, weighting: Weighting, n: int) -> bool:
        """Plain weights are predicted by theory; others need a measured gain that clears its error.

        The gain was measured on groups; it grows with the number of masks, so it is no word on fewer.
        """
        if weighting == PLAIN:
            return True
        if n < self.pilot.size:
            return False
        gain = self.gains[weighting]
        return gain.stderr is not None and gain.value + CERTAIN * gain.stderr < 1


def _jackknife(value: float, left_out: Sequence[float]) -> Estimate:
    if not left_out:
        return Estimate(value, None, "two groups: no error of the prediction")
    spread = np.array(left_out) - np.mean(left_out)
    return Estimate(value, math.sqrt((len(left_out) - 1) / len(left_out) * float(spread @ spread)))
