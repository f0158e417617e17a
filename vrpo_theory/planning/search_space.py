"""Ways to spend a budget, and the variance predicted for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from vrpo_theory.couplings import Coupling
from vrpo_theory.designs.balanced import Balanced
from vrpo_theory.designs.base import DESIGNS, Design
from vrpo_theory.exact import margin_variance
from vrpo_theory.exact.moments import Profiles
from vrpo_theory.numerics import total
from vrpo_theory.planning.pilot import Pilot
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import SIDES, Budget, Profile, Side, each
from vrpo_theory.weightings.base import WEIGHTINGS, Weighting
from vrpo_theory.weightings.plain import PLAIN

MASKS = (1, 2, 3, 4, 6, 8)
"""Masks per timestep that are tried; more than one helps only where timesteps have a cost of their own."""
MOST = 2**20
"""Most timesteps in a plan, at one mask each."""


@dataclass(frozen=True)
class Cost:
    """Cost of a timestep and of each mask at it, in forward passes of one model on one response.

    Examples
    --------
    >>> Cost(timestep=2, mask=1).of(Budget(n_t=4, n_yt=3))
    20
    """

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
        """The largest budget that can be planned."""
        return MOST * (self.timestep + self.mask)

    def timesteps(self, n_yt: int, limit: float) -> int:
        """How many timesteps of n_yt masks fit into the limit."""
        return int(limit / (self.timestep + n_yt * self.mask) + 1e-9)


def planned_designs() -> list[Design]:
    """Every member that a design offers for training, those with fewest parameters first; VRPO's is the first."""
    kinds = sorted(DESIGNS.members(), key=lambda kind: (len(fields(kind)), kind.name))
    return [member for kind in kinds for member in kind.planned()]


def candidates(limit: float, cost: Cost, weightings: Sequence[Weighting] | None = None) -> list[Scheme]:
    """Every design, weighting, split of the budget and sharing that is tried within a cost; VRPO's choice first.

    Parameters
    ----------
    limit : float
        In forward passes per response and model.
    cost : Cost
    weightings : sequence of Weighting, optional
        Only these; and no coupled masks under plain ones, so that ``(PLAIN,)`` leaves what `predicted` works out.

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
        for design in planned_designs()
        for budget in budgets
        if design.independent_masks and (weightings is None or PLAIN in weightings)
    ]
    return plain + [s for s in joined(budgets[0].n) if weightings is None or s.weighting in set(weightings) - {PLAIN}]


def joined(n: int) -> list[Scheme]:
    """Candidates whose masks or weights join masks, one mask a timestep; none for a single mask."""
    coupled = [Scheme(design, PLAIN, design.split(n)) for design in planned_designs() if not design.independent_masks]
    entries = [entry for kind in WEIGHTINGS.members() for entry in kind.entries() if entry.planned]
    weighed = [Scheme(DESIGNS[entry.design](), entry.weighting, Budget(n)) for entry in entries]
    return [scheme for scheme in (*weighed, *coupled) if 1 < scheme.passes <= n]


def follows_from_profiles(scheme: Scheme) -> bool:
    """Whether `predicted` works its variance out; that of `joined` candidates is modelled."""
    return scheme.weighting.separable and all(design.independent_masks for design in scheme.designs)


def levels_alone(scheme: Scheme) -> Scheme:
    """A joined candidate's counts with independent masks and plain weights; VRPO's where masks are not `Balanced`."""
    if follows_from_profiles(scheme):
        return scheme
    if isinstance(scheme.design, Balanced):
        return Scheme(scheme.design.levels, budget=scheme.budget)
    return Scheme(budget=Budget(scheme.passes))


def predicted(scheme: Scheme, profiles: Sequence[Profiles]) -> list[float]:
    """Variance of each pair's margin under plain weights, in nats squared, from profiles."""
    plain = replace(scheme, weighting=PLAIN)
    return [total([_variance(plain, p, side) for side in SIDES for p in each(pair[side])]) for pair in profiles]


def _variance(scheme: Scheme, profile: Profile, side: Side) -> float:
    """One response's part. More timesteps than tokens form independent sets; each size of set is computed once."""
    n_t, n_yt = scheme.budget.n_t, scheme.budget.n_yt
    number = -(-n_t // profile.length)
    size, larger = divmod(n_t, number)
    times = {size: number - larger, size + 1: larger}
    return total([
        count * (k / n_t) ** 2 * margin_variance({side: profile}, replace(scheme, budget=Budget(k, n_yt)), sides=[side])
        for k, count in times.items()
        if count
    ])  # fmt: skip


def score_estimates(pilot: Pilot) -> list[float]:
    """Margin of each pair in nats, from the pilot alone: used for predictions, never as an estimate of the score."""
    return [
        total([np.mean([group.estimate(PLAIN) for group in sample.groups]) for sample in pair])
        for pair in pilot.by_pair()
    ]
