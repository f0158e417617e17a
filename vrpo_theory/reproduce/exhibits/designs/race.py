"""What the comparison of designs measures: exactly where masks matter through their count, else by replication."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import exact, preference, sampling
from vrpo_theory.couplings import Coupling, Draw
from vrpo_theory.designs.base import Design
from vrpo_theory.numerics import mean_estimate, total, variance_estimate
from vrpo_theory.reproduce.base import Context
from vrpo_theory.reproduce.exhibits.designs.entrants import BASE, Entrant, entrants
from vrpo_theory.types import SIDES, Budget, Case, Estimate, Profile, Side
from vrpo_theory.weightings.base import Weighting

Array = NDArray[np.float64]

REPEATS, GRADIENT_REPEATS = 400, 48
LONG_TOKENS = 2**18
"""Tokens a batch of the models that cost next to nothing a token."""


@dataclass(frozen=True)
class _Draws:
    """What the replicated masks of a pair depend on."""

    designs: tuple[tuple[Side, Design], ...]
    budget: Budget
    coupling: Coupling
    pair: int


class Race:
    """Pairs of one toy, with their exact profiles; tables answer in the models' place where masks can be enumerated."""

    def __init__(self, cases: Sequence[Case], context: Context) -> None:
        self.cases, self.context = cases, context
        self.repeats = context.own.repeats or REPEATS
        self.gradient_repeats = min(self.repeats, GRADIENT_REPEATS)
        self._sums: dict[tuple[_Draws, Weighting], Array] = {}

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
                found += [Estimate(self._exact(entrant, profiles, side, n)) for side in SIDES]
            else:
                sums = self.sums(entrant, k, n)
                found += [variance_estimate(sums[:, column]) for column in range(len(SIDES))]
        return found

    def sums(self, entrant: Entrant, k: int, n: int) -> Array:
        """Replicated parts of the margin of pair k, (repeats, 2), in nats."""
        designs = self._designs(entrant, k)
        draws = _Draws(tuple(designs.items()), entrant.budget(designs["chosen"], n), entrant.coupling, k)
        if (draws, entrant.weighting) not in self._sums:
            # Entrants that differ in their weights alone see the same masks, and these are evaluated once.
            alike = (e for e in entrants().values() if e.coupling == entrant.coupling and e.n_yt == entrant.n_yt)
            weightings = dict.fromkeys(e.weighting for e in alike if self._designs(e, k) == designs)
            self._sums |= self._replicated(draws, list(weightings))
        return self._sums[draws, entrant.weighting]

    def _replicated(self, drawn: _Draws, weightings: Sequence[Weighting]) -> dict[tuple[_Draws, Weighting], Array]:
        """Those sums under every weighting."""
        case, designs = self.answers[drawn.pair], dict(drawn.designs)
        for weighting in weightings:
            weighting.check(designs["chosen"])
        draws = [
            drawn.coupling.draw(case.pair, designs, drawn.budget, seed=self.context.seed, repeat=r)
            for r in range(self.repeats)
        ]
        tokens = self.context.batch_tokens if all(map(exact.within, self.cases)) else LONG_TOKENS
        addends = preference.contributions_by([case] * len(draws), draws, weightings, batch_tokens=tokens)
        return {(drawn, w): _by_side(draws, found) for w, found in zip(weightings, addends, strict=True)}

    def margin_bias(self, entrant: Entrant, n: int) -> list[Estimate]:
        """|E margin_hat - margin| of every pair, exactly; empty for an unbiased design."""
        if self._designs(entrant, 0)["chosen"].unbiased:
            return []
        biases = []
        for k, answer in enumerate(self.answers):
            mean = total([
                exact.margin_mean(self._known(k), design, entrant.budget(design, n), entrant.coupling, sides=(side,))
                for side, design in self._designs(entrant, k).items()
            ])  # fmt: skip
            biases.append(Estimate(abs(mean - exact.true_margin(answer))))
        return biases

    def losses(self, entrant: Entrant, n: int) -> tuple[list[Estimate], list[Estimate]]:
        """Bias and variance of the plug-in loss of every pair; replicated where its law is unknown or unresolved."""
        found = [self._loss(entrant, k, n) for k in range(len(self.cases))]
        return [bias for bias, _ in found], [variance for _, variance in found]

    def _loss(self, entrant: Entrant, k: int, n: int) -> tuple[Estimate, Estimate]:
        answer, beta = self.answers[k], self.context.beta
        designs, score = self._designs(entrant, k), beta * exact.true_margin(answer)
        if entrant.exact and all(map(exact.convolves, designs.values())):
            budget = entrant.budget(designs["chosen"], n)
            law = exact.score_law(answer, budget, entrant.coupling, beta, designs)
            if law.resolved:
                moments = exact.loss_moments(law, score)
                return Estimate(moments.bias), Estimate(moments.variance)
        losses = preference.loss(beta * self.sums(entrant, k, n).sum(1))
        return mean_estimate(losses - float(preference.loss(score))), variance_estimate(losses)

    def jackknife(self, n: int) -> tuple[list[Estimate], list[Estimate]]:
        """The same of the jackknife over VRPO's timesteps, exactly."""
        entrant = entrants()[BASE]
        found = [
            exact.loss_estimator(a, Budget(n), entrant.coupling, self.context.beta, "jackknife") for a in self.answers
        ]
        return [Estimate(f.bias) for f in found], [Estimate(f.variance) for f in found]

    def gradients(self, entrant: Entrant, n: int) -> list[Estimate]:
        """tr V of the plug-in gradient of every pair, by replication."""
        found = []
        for k, case in enumerate(self.cases):
            designs = self._designs(entrant, k)
            found.append(
                sampling.gradient_variance(
                    case, designs, entrant.budget(designs["chosen"], n), entrant.coupling, self.gradient_repeats,
                    seed=self.context.seed, weighting=entrant.weighting, beta=self.context.beta,
                )
            )  # fmt: skip
        return found

    def _designs(self, entrant: Entrant, k: int) -> dict[Side, Design]:
        """The design of each response of pair k; an oracle fits each its own."""
        return {side: entrant.make(profile) for side, profile in self._known(k).items()}

    def _known(self, k: int) -> Mapping[Side, Profile]:
        """Profiles of pair k; of no use, but there, where they are not known."""
        profiles = self.profiles[k]
        flat = Profile(np.array([[0.0, 0.0], [-1.0, -1.0]]), np.zeros((2, 2, 2)))
        return dict.fromkeys(SIDES, flat) if profiles is None else profiles

    def _exact(self, entrant: Entrant, profiles: Mapping[Side, Profile], side: Side, n: int) -> float:
        design = entrant.make(profiles[side])
        budget = entrant.budget(design, n)
        return exact.margin_variance(profiles, design, budget, entrant.coupling, entrant.weighting, sides=(side,))

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
