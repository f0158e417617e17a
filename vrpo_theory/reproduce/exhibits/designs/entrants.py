"""Who runs in the comparison of designs: a design, its weights and its sharing, at n forward passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vrpo_theory.couplings import Coupling
from vrpo_theory.designs.balanced import Balanced
from vrpo_theory.designs.base import Design, binomial
from vrpo_theory.designs.clipped import ClippedTime
from vrpo_theory.designs.complementary import Complementary
from vrpo_theory.designs.coupled import Coupled
from vrpo_theory.designs.gdpo import Gdpo
from vrpo_theory.designs.iid import IidCount, IidTime
from vrpo_theory.designs.importance_count import ImportanceCount
from vrpo_theory.designs.importance_time import ImportanceTime
from vrpo_theory.designs.low_discrepancy import LowDiscrepancy
from vrpo_theory.designs.midpoints import Midpoints
from vrpo_theory.designs.mirror import Mirror
from vrpo_theory.designs.p_pots import PPots
from vrpo_theory.designs.power_strata import PowerStrata
from vrpo_theory.designs.strata import Strata
from vrpo_theory.designs.systematic import Systematic
from vrpo_theory.designs.without_replacement import WithoutReplacement
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import SIDES, Budget, Profile, Side
from vrpo_theory.weightings.base import Weighting
from vrpo_theory.weightings.cross_fitted import CrossFitted
from vrpo_theory.weightings.plain import PLAIN
from vrpo_theory.weightings.two_way import TwoWay

FLOOR, SHARED = 1e-3, Coupling(shared=True)

Make = Callable[[Profile], Design]
"""A design, from the exact profile of the response where it is an oracle's."""


@dataclass(frozen=True)
class Entrant:
    """One row of the comparison.

    Parameters
    ----------
    make : Profile -> Design
    weighting : Weighting
    coupling : Coupling
    n_yt : int
        Masks a timestep, where the design leaves it free.
    """

    make: Make
    weighting: Weighting = PLAIN
    coupling: Coupling = SHARED
    n_yt: int = 1

    @property
    def exact(self) -> bool:
        """Whether its variance follows from profiles."""
        return self.weighting.separable and self.make(_FLAT).independent_masks

    def scheme(self, n: int, profiles: Mapping[Side, Profile] | None = None) -> Scheme:
        """How it spends n forward passes on a pair; an oracle fits each response its own design."""
        chosen, rejected = (self.make(profiles[side] if profiles else _FLAT) for side in SIDES)
        budget = chosen.split(n) if self.n_yt == 1 else Budget(n // self.n_yt, self.n_yt)
        return Scheme(chosen, self.weighting, budget, self.coupling, rejected=rejected)


def entrants() -> Mapping[str, Entrant]:
    """By name; the first is VRPO, which the others are measured against."""
    cross = CrossFitted()
    iid, power, strata = _fixed(IidCount()), _fixed(PowerStrata()), _fixed(Strata())
    return {
        BASE: Entrant(iid),
        "not shared": Entrant(iid, coupling=Coupling(shared=False)),
        "n_yt = 4": Entrant(iid, n_yt=4),
        "time form": Entrant(_fixed(IidTime(FLOOR))),
        "strata": Entrant(strata),
        "systematic": Entrant(_fixed(Systematic())),
        "without replacement": Entrant(_fixed(WithoutReplacement())),
        "power strata": Entrant(power),
        "importance count, oracle": Entrant(_count_oracle),
        "importance time": Entrant(_fixed(ImportanceTime())),
        "P-POTS, oracle": Entrant(_time_oracle),
        "MIRROR": Entrant(_fixed(Mirror(FLOOR))),
        "low discrepancy": Entrant(_fixed(LowDiscrepancy(FLOOR))),
        "GDPO": Entrant(_fixed(Gdpo())),
        "BD3-LM": Entrant(_fixed(ClippedTime())),
        "coupled": Entrant(_fixed(Coupled())),
        "midpoints": Entrant(_fixed(Midpoints())),
        "complementary": Entrant(_fixed(Complementary())),
        "strata, cross-fitted": Entrant(strata, cross),
        "power strata, cross-fitted": Entrant(power, cross),
        "vrpo, two-way": Entrant(iid, TwoWay()),
        "strata, two-way": Entrant(strata, TwoWay()),
        "power strata, two-way": Entrant(power, TwoWay()),
        "power strata, two-way 0.3": Entrant(power, TwoWay(0.3)),
        "balanced, two-way 0.3": Entrant(_fixed(Balanced()), TwoWay(0.3)),
    }


BASE, DEFAULT = "vrpo", "power strata, two-way"
"""What the others are measured against, and the robust default of the package."""

_FLAT = Profile(np.array([[0.0, 0.0], [-1.0, -1.0]]), np.zeros((2, 2, 2)))


def _fixed(design: Design) -> Make:
    return lambda profile: design


def _difference(profile: Profile) -> tuple[np.ndarray, np.ndarray]:
    """Mean and second moment of S_policy - S_reference by count, each (L + 1,)."""
    sign = np.array([1.0, -1.0])
    mean = profile.mean @ sign
    return mean, np.einsum("lij,i,j->l", profile.covariance, sign, sign) + mean**2


@lru_cache(maxsize=256)
def _count_oracle(profile: Profile) -> Design:
    """q(l) proportional to sqrt(E[ell^2 | l])."""
    root = np.sqrt(_difference(profile)[1][1:]) / np.arange(1, profile.length + 1)
    return ImportanceCount(table=tuple((root + 1e-9 * root.max() + 1e-300).tolist()))


@lru_cache(maxsize=256)
def _time_oracle(profile: Profile) -> Design:
    """The paper's family, fitted to the root of E[ell^2 | t]."""
    second = _difference(profile)[1]
    return PPots.fitted(lambda t: binomial(profile.length, t) @ second / t**2 + 1e-300, FLOOR)
