"""What the comparison of designs measures: exactly where masks matter through their count, else by replication."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import exact, preference, sampling
from vrpo_theory.couplings import Draw
from vrpo_theory.numerics import mean_estimate, total, variance_estimate
from vrpo_theory.reproduce.base import Context
from vrpo_theory.reproduce.exhibits.designs.lineup import BASE, Entrant, entrants
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import SIDES, Case, Estimate, Profile, Side
from vrpo_theory.weightings.plain import PLAIN

Array = NDArray[np.float64]

REPEATS, GRADIENT_REPEATS = 400, 48
LONG_TOKENS = 2**18
"""Tokens a batch of the models that cost next to nothing a token."""


class Race:
    """Pairs of one toy, with their exact profiles; tables answer in the models' place where masks can be enumerated."""

    def __init__(self, cases: Sequence[Case], context: Context, repeats: int = REPEATS) -> None:
        self.cases, self.context = cases, context
        self.repeats = context.own.repeats or repeats
        self.gradient_repeats = min(self.repeats, GRADIENT_REPEATS)
        self._sums: dict[tuple[Scheme, int], Array] = {}

    @cached_property
    def answers(self) -> Sequence[Case]:
        """Tabulated cases, or the cases themselves where responses are long."""
        if not all(map(exact.within, self.cases)):
            return self.cases
        return exact.tabulate(self.cases, batch_tokens=self.context.batch_tokens)

    @cached_property
    def profiles(self) -> list[Mapping[Side, Profile] | None]:
        """By enumeration or the gap recursion; None where neither applies."""
        return [self._profiles(case, answer) for case, answer in zip(self.cases, self.answers, strict=True)]

    def variances(self, entrant: Entrant, n: int) -> list[Estimate]:
        """Variance of each response's part of the margin, in nats squared: pair by pair, chosen then rejected."""
        found: list[Estimate] = []
        for k, profiles in enumerate(self.profiles):
            if profiles is not None and entrant.exact:
                found += [
                    Estimate(exact.margin_variance(profiles, entrant.scheme(n, profiles), sides=(side,)))
                    for side in SIDES
                ]
            else:
                sums = self.sums(entrant, k, n)
                found += [variance_estimate(sums[:, column]) for column in range(len(SIDES))]
        return found

    def sums(self, entrant: Entrant, k: int, n: int) -> Array:
        """Replicated parts of the margin of pair k, (repeats, 2), in nats."""
        scheme = self._scheme(entrant, k, n)
        if (scheme, k) not in self._sums:
            # Entrants that differ in their weights alone see the same masks, and these are evaluated once.
            masks = replace(scheme, weighting=PLAIN)
            alike = (e for e in entrants().values() if (e.coupling, e.n_yt) == (entrant.coupling, entrant.n_yt))
            running = dict.fromkeys([scheme, *(self._scheme(other, k, n) for other in alike)])
            self._replicate([s for s in running if replace(s, weighting=PLAIN) == masks], k)
        return self._sums[scheme, k]

    def _replicate(self, schemes: Sequence[Scheme], k: int) -> None:
        """Work out those sums under schemes that draw the same masks."""
        case, seed = self.answers[k], self.context.seed
        draws = [schemes[0].draw(case, seed=seed, repeat=r) for r in range(self.repeats)]
        tokens = self.context.batch_tokens if all(map(exact.within, self.cases)) else LONG_TOKENS
        weightings = [scheme.weighting for scheme in schemes]
        addends = preference.contributions_by([case] * len(draws), draws, weightings, batch_tokens=tokens)
        self._sums |= {(scheme, k): _by_side(draws, found) for scheme, found in zip(schemes, addends, strict=True)}

    def margin_bias(self, entrant: Entrant, n: int) -> list[Estimate]:
        """|E margin_hat - margin| of every pair, exactly; empty for an unbiased design."""
        schemes = [self._scheme(entrant, k, n) for k in range(len(self.cases))]
        if schemes[0].design.unbiased:
            return []
        means = [
            total([exact.margin_mean(self.profiles[k] or {}, scheme, sides=(side,)) for side in SIDES])
            for k, scheme in enumerate(schemes)
        ]
        return [Estimate(abs(mean - self._margin(k))) for k, mean in enumerate(means)]

    def _margin(self, k: int) -> float:
        """The true margin of pair k, from tables or from profiles."""
        if self.answers is not self.cases:
            return exact.true_margin(self.answers[k])
        return exact.margin_mean(self.profiles[k] or {})

    def losses(self, entrant: Entrant, n: int) -> tuple[list[Estimate], list[Estimate]]:
        """Bias and variance of the plug-in loss of every pair; replicated where its law is unknown or unresolved."""
        found = [self._loss(entrant, k, n) for k in range(len(self.cases))]
        return [bias for bias, _ in found], [variance for _, variance in found]

    def _loss(self, entrant: Entrant, k: int, n: int) -> tuple[Estimate, Estimate]:
        answer, beta = self.answers[k], self.context.beta
        scheme, score = self._scheme(entrant, k, n), beta * exact.true_margin(answer)
        if exact.convolves(scheme):
            law = exact.score_law(answer, scheme, beta)
            if law.resolved:
                moments = exact.loss_moments(law, score)
                return Estimate(moments.bias), Estimate(moments.variance)
        losses = preference.loss(beta * self.sums(entrant, k, n).sum(1))
        return mean_estimate(losses - float(preference.loss(score))), variance_estimate(losses)

    def jackknife(self, n: int) -> tuple[list[Estimate], list[Estimate]]:
        """The same of the jackknife over VRPO's timesteps, exactly."""
        scheme = entrants()[BASE].scheme(n)
        found = [exact.loss_estimator(answer, scheme, self.context.beta, "jackknife") for answer in self.answers]
        return [Estimate(f.bias) for f in found], [Estimate(f.variance) for f in found]

    def gradients(self, entrant: Entrant, n: int) -> list[Estimate]:
        """tr V of the plug-in gradient of every pair, by replication."""
        return [
            sampling.gradient_variance(
                case, self._scheme(entrant, k, n), self.gradient_repeats, seed=self.context.seed, beta=self.context.beta
            )
            for k, case in enumerate(self.cases)
        ]

    def _scheme(self, entrant: Entrant, k: int, n: int) -> Scheme:
        """How the entrant samples pair k."""
        return entrant.scheme(n, self.profiles[k])

    def _profiles(self, case: Case, answer: Case) -> Mapping[Side, Profile] | None:
        if answer is not case:
            return exact.profiles(answer)
        if not hasattr(case.policy, "gap_sums"):
            return None
        return {side: exact.gap_profile(case.pair.side(side), case.policy, case.reference) for side in SIDES}


def _by_side(draws: Sequence[Sequence[Draw]], addends: Sequence[Sequence[Array]]) -> Array:
    """Each response's part of every margin, (len(draws), 2)."""
    out = np.zeros((len(draws), len(SIDES)))
    for row, (drawn, values) in enumerate(zip(draws, addends, strict=True)):
        for draw, value in zip(drawn, values, strict=True):
            out[row, SIDES.index(draw.contrast.side)] += preference.contrast_values(draw, value).sum()
    return out
