"""What the comparison of designs measures: exactly where masks matter through their count, else by replication."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import exact, preference
from vrpo_theory.numerics import variance_estimate
from vrpo_theory.reproduce._entrants import Entrant
from vrpo_theory.reproduce.base import Context
from vrpo_theory.types import SIDES, Case, Estimate, Profile, Side

REPEATS = 400
LONG_TOKENS = 2**18
"""Tokens a batch of the models that cost next to nothing a token."""


class Race:
    """Pairs of one toy, with their exact profiles; tables answer in the models' place where masks can be enumerated."""

    def __init__(self, cases: Sequence[Case], context: Context) -> None:
        self.cases, self.context = cases, context
        self.repeats = context.repeats or REPEATS

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

    def sums(self, entrant: Entrant, k: int, n: int) -> NDArray[np.float64]:
        """Replicated parts of the margin of pair k, (repeats, 2), in nats."""
        case, (chosen, _) = self.answers[k], self.profiles_or_flat(k)
        design = entrant.make(chosen)
        budget = entrant.budget(design, n)
        entrant.weighting.check(design)
        draws = [
            entrant.coupling.draw(case.pair, design, budget, seed=self.context.seed, repeat=r)
            for r in range(self.repeats)
        ]
        tokens = self.context.batch_tokens if all(map(exact.within, self.cases)) else LONG_TOKENS
        addends = preference.contributions([case] * len(draws), draws, entrant.weighting, batch_tokens=tokens)
        out = np.zeros((len(draws), len(SIDES)))
        for row, (drawn, values) in enumerate(zip(draws, addends, strict=True)):
            for draw, value in zip(drawn, values, strict=True):
                out[row, SIDES.index(draw.contrast.side)] += preference.contrast_values(draw, value).sum()
        return out

    def profiles_or_flat(self, k: int) -> tuple[Profile, Profile]:
        """Profiles of pair k's responses; of no use, but there, where they are not known."""
        profiles = self.profiles[k]
        flat = Profile(np.array([[0.0, 0.0], [-1.0, -1.0]]), np.zeros((2, 2, 2)))
        return (flat, flat) if profiles is None else (profiles["chosen"], profiles["rejected"])

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
