"""Ways to spend a budget, and what each is predicted to give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vrpo_theory.couplings import Coupling
from vrpo_theory.designs.base import Design
from vrpo_theory.designs.iid import IidCount
from vrpo_theory.designs.power_strata import PowerStrata
from vrpo_theory.designs.strata import Strata
from vrpo_theory.designs.without_replacement import WithoutReplacement
from vrpo_theory.exact import margin_variance
from vrpo_theory.numerics import total, variance_estimate
from vrpo_theory.planning.pilot import Pilot
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import SIDES, Budget, Profile, Side
from vrpo_theory.weightings.base import Weighting
from vrpo_theory.weightings.plain import PLAIN
from vrpo_theory.weightings.two_way import TwoWay

DESIGNS: tuple[Design, ...] = (
    IidCount(), Strata(), WithoutReplacement(), PowerStrata(1.25), PowerStrata(1.5), PowerStrata(2.0),
)  # fmt: skip
MASKS = (1, 2, 3, 4, 6, 8)
"""Masks a timestep that are tried; more than one pays only where timesteps cost, too."""
TRIED = (TwoWay(1.0), TwoWay(0.3))
"""Weights that join masks: their gain is measured on the pilot's own groups."""
MOST = 2**20
"""Most timesteps of one mask that are planned."""


@dataclass(frozen=True)
class Cost:
    """What a timestep and each mask at it cost, in forward passes of one model on one response."""

    timestep: float = 0.0
    mask: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.timestep < math.inf and 0 < self.mask < math.inf):
            raise ValueError(f"a cost needs finite c_t >= 0 and c_y > 0, got {self.timestep},{self.mask}")

    def of(self, budget: Budget) -> float:
        """Cost of a budget."""
        return budget.n_t * (self.timestep + budget.n_yt * self.mask)

    @property
    def most(self) -> float:
        """The largest budget that is planned."""
        return MOST * (self.timestep + self.mask)

    def timesteps(self, n_yt: int, limit: float) -> int:
        """How many timesteps of n_yt masks the limit pays for."""
        return int(limit / (self.timestep + n_yt * self.mask) + 1e-9)


def candidates(limit: float, cost: Cost, weightings: Sequence[Weighting] = (PLAIN, *TRIED)) -> list[Scheme]:
    """Every design, split of the budget and sharing that is tried within a cost; VRPO's choice first.

    Raises
    ------
    ValueError
        If the limit does not pay for a single mask.
    """
    budgets = [Budget(cost.timesteps(m, limit), m) for m in MASKS if cost.timesteps(m, limit)]
    if not budgets:
        raise ValueError(f"a budget of {limit:g} does not pay for one mask at {cost.timestep + cost.mask:g}; raise it")
    plain = [
        Scheme(design, PLAIN, budget, Coupling(shared))
        for shared in (True, False)
        for design in DESIGNS
        for budget in budgets
        if PLAIN in weightings
    ]
    joined = [Scheme(PowerStrata(), w, budgets[0]) for w in weightings if w != PLAIN and budgets[0].n > 1]
    return plain + joined


def label(scheme: Scheme) -> str:
    """A candidate in a table: design, weights, timesteps x masks, sharing."""
    shared = "shared" if scheme.coupling.shared else "not shared"
    return f"{scheme.design.address} {scheme.weighting.spec} {scheme.budget.n_t}x{scheme.budget.n_yt} {shared}"


def predicted(scheme: Scheme, profiles: Sequence[Mapping[Side, Profile]]) -> list[float]:
    """Variance of each pair's margin under plain weights, in nats squared, from profiles."""
    plain = replace(scheme, weighting=PLAIN)
    return [total([_variance(plain, pair, side) for side in SIDES]) for pair in profiles]


def _variance(scheme: Scheme, profiles: Mapping[Side, Profile], side: Side) -> float:
    """One response's part. More timesteps than tokens are independent sets, and each size of set is worked out once."""
    n_t, n_yt = scheme.budget.n_t, scheme.budget.n_yt
    number = -(-n_t // profiles[side].length)
    size, larger = divmod(n_t, number)
    times = {size: number - larger, size + 1: larger}
    return total([
        count * (k / n_t) ** 2 * margin_variance(profiles, replace(scheme, budget=Budget(k, n_yt)), sides=[side])
        for k, count in times.items()
        if count
    ])  # fmt: skip


def measured_gain(pilot: Pilot, weighting: Weighting) -> float:
    """Variance under joined weights over that under plain ones, between the pilot's groups, all responses together.

    1, for no gain, where plain weights' estimates do not vary.
    """
    joined, plain = (_spread(pilot, w) for w in (weighting, PLAIN))
    return joined / plain if plain > total(pilot.rounding) else 1.0


def _spread(pilot: Pilot, weighting: Weighting) -> float:
    """Sum over responses of the variance of a group's estimate."""
    return total([
        variance_estimate([group.estimate(weighting) for group in sample.groups]).value
        for pair in pilot.samples
        for sample in pair.values()
    ])  # fmt: skip


def score_estimates(pilot: Pilot) -> list[float]:
    """Margin of each pair, from the pilot alone, in nats: for predictions, never for a mean."""
    return [
        total([np.mean([group.estimate(PLAIN) for group in pair[side].groups]) for side in SIDES])
        for pair in pilot.samples
    ]
