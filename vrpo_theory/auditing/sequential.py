"""Is the mean of bounded observations above or below a value? Asked at any time, as often as one likes.

Bets (Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", 2010.09686): against the
hypothesis "mean <= m" of observations x >= low, stake a fraction f of the wealth on x being large; the wealth is
multiplied by 1 - f + f (x - low)/(m - low), which is at least 0 and at most 1 in expectation. So the wealth, averaged
over several f, is a supermartingale under the hypothesis, and by Ville's inequality ever reaches 1/alpha with
probability at most alpha. The other side bets on high - x.

What is assumed: given the past, every observation has the same mean, and lies above ``low`` (for statements that the
mean is large) or below ``high`` (for statements that it is small). The first needs no upper bound and the second no
lower one: a single value of -10^6 is honest evidence that the mean of non-positive observations is small.
An observation beyond a bound voids the statements that rest on it, for good.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FRACTIONS = 0.5 ** np.arange(8)
"""Fractions of the wealth that are staked side by side."""
LOG_SHARES = np.log(FRACTIONS / FRACTIONS.sum())
"""Log of the share of the wealth that each fraction is staked on at the start: most on bold stakes, which estimates of
little noise need; sharing alike would cost 1.4 nats more there."""


def log_bets(x: Array, m: float, end: float) -> Array:
    """Log of the wealth of each fraction, (8,), after betting on x against a mean between ``end`` and m."""
    with np.errstate(divide="ignore"):  # a fraction of 1 can lose everything
        found: Array = np.log1p(FRACTIONS[:, None] * ((x - end) / (m - end) - 1)).sum(1)
        return found


@np.errstate(under="ignore")  # the caller may have told numpy to raise on underflow
def log_mixture(bets: Array) -> float:
    """Log of the whole wealth, by shares."""
    return float(np.logaddexp.reduce(bets + LOG_SHARES))


class Bet:
    """Wealth against one hypothesis: the mean lies between ``end`` and m.

    Attributes
    ----------
    peak : float
        Log of the largest wealth at any update: as good evidence as the wealth of the moment, by Ville's inequality.
    """

    def __init__(self, m: float, end: float) -> None:
        self.m, self.end = m, end
        self.peak = 0.0
        self._bets = np.zeros(len(FRACTIONS))

    def update(self, x: Array) -> None:
        """Bet on more observations."""
        self._bets = self._bets + log_bets(x, self.m, self.end)
        self.peak = max(self.peak, self.log_wealth)

    @property
    def log_wealth(self) -> float:
        """Evidence against the hypothesis, in nats."""
        return log_mixture(self._bets)


class Evidence:
    """Whether a mean is target, or within a margin of it; every statement holds at all times together.

    Parameters
    ----------
    target, margin : float
    low, high : float
        Assumed range of the observations; low < target - margin. Without room above the target
        (target + margin >= high) that side of acceptance needs no evidence.
    reject, accept : float
        Probability that "too low" or "too high" is ever said of the target itself (half of it per side); and that
        `within` is ever said of a mean outside the margin, which lies on one side alone: nothing is shared.
    """

    def __init__(self, target: float, margin: float, low: float, high: float, *, reject: float, accept: float) -> None:
        if not low < target - margin < target < high:
            raise ValueError(
                f"need low < target - margin < target < high, got {low}, {target - margin}, {target}, {high}"
            )
        self.target, self.low, self.high = target, low, high
        self.to_reject, self.to_accept = math.log(2 / reject), math.log(1 / accept)
        self.below = self.above = self.count = 0
        self._not_smaller, self._larger = Bet(target - margin, low), Bet(target, low)
        self._not_larger = Bet(target + margin, high) if target + margin < high else None
        self._smaller = Bet(target, high)

    def update(self, x: Array) -> None:
        """Take in more observations."""
        self.count += len(x)
        self.below += int((x < self.low).sum())
        self.above += int((x > self.high).sum())
        if not self.below:
            self._not_smaller.update(x)
            self._larger.update(x)
        if not self.above:
            self._smaller.update(x)
            if self._not_larger:
                self._not_larger.update(x)

    @property
    def too_low(self) -> bool:
        """The mean is smaller than the target; once seen, it stays so."""
        return not self.above and self._smaller.peak >= self.to_reject

    @property
    def too_high(self) -> bool:
        """The mean is larger than the target; once seen, it stays so."""
        return not self.below and self._larger.peak >= self.to_reject

    @property
    def within(self) -> bool:
        """The mean is within the margin of the target; judged at the wealth of the moment, as `interval` is."""
        bets = [bet for bet in (self._not_smaller, self._not_larger) if bet is not None]
        return not (self.below or self.above) and all(bet.log_wealth >= self.to_accept for bet in bets)

    @property
    def may_be_within(self) -> bool:
        """Whether neither side is excluded: the mean is not seen to differ from the target."""
        return not (self.too_low or self.too_high)

    @property
    def remaining(self) -> float:
        """Observations that `within` still needs if evidence grows as it did; inf where it does not grow."""
        bets = [bet for bet in (self._not_smaller, self._not_larger) if bet is not None]
        rates = [bet.log_wealth / max(self.count, 1) for bet in bets]
        if self.below or self.above or min(rates) <= 0:
            return math.inf
        return max(self.to_accept / rate for rate in rates) - self.count

    def interval(self, x: Array) -> tuple[float, float]:
        """Bounds of the mean from all observations so far; the end of the range, or -inf or inf beyond it, where none.

        Each bound holds with the probability of an acceptance: the wealth against m falls (rises) as m rises, and the
        bound is where it crosses 1/accept.
        """
        lower = -math.inf if self.below else self._crossing(x, self.low, self.high)
        upper = math.inf if self.above else self._crossing(x, self.high, self.low)
        return lower, upper

    def _crossing(self, x: Array, end: float, other: float) -> float:
        from scipy.optimize import brentq

        if not len(x):
            return end

        def surplus(m: float) -> float:
            # Bounded, so that the root finder's interpolation is not thrown off by certainty.
            return float(np.clip(log_mixture(log_bets(x, m, end)) - self.to_accept, -50, 50))

        near, far = end + 1e-9 * (other - end), float(np.mean(x))
        if (far - end) * (other - end) <= 0 or surplus(near) <= 0:
            return end
        return float(brentq(surplus, near, far, xtol=1e-5 * abs(other - end)))
