"""What a design is made of and described by: its levels and their exact law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.types import Profile

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Block:
    """The exact law of one independent block of timesteps.

    Outcomes stand in the order of the uniform that chooses them, so that blocks of two responses which share that
    uniform can be put side by side.

    Parameters
    ----------
    prob : (Q,) float
        Probability of each outcome; sums to 1.
    level : (Q, J) float
        The J levels drawn together in each outcome; what the weighting reads.
    weight : (Q, J) float
        Each level's share of the whole estimate.
    masking : (Q, J) float, optional
        Levels that the masks are drawn at, where they differ from what the weighting reads.
    draws : int
        More than 1: this many of the outcomes are drawn without replacement, all equally likely.
    """

    prob: Array
    level: Array
    weight: Array
    masking: Array | None = None
    draws: int = 1

    @property
    def drawn(self) -> Array:
        """Levels that the masks are drawn at, (Q, J)."""
        return self.level if self.masking is None else self.masking


@dataclass(frozen=True, eq=False)
class Timesteps:
    """The levels of one estimate before masks; every field (n_t,), as in `Block`."""

    level: Array
    weight: Array
    masking: Array | None = None


def difference(profile: Profile) -> tuple[Array, Array]:
    """Mean and second moment of S_policy - S_reference by count, each (L + 1,)."""
    sign = np.array([1.0, -1.0])
    mean: Array = profile.mean @ sign
    return mean, np.einsum("lij,i,j->l", profile.covariance, sign, sign) + mean**2
