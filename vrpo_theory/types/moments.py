"""What is known of an estimate: profiles, moments, values with errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.types._checks import frozen, require


@dataclass(frozen=True, eq=False)
class Profile:
    """What a response looks like to any design that sees masks through their count.

    For each count l = 0..L, the mean and the policy/reference covariance of the UNWEIGHTED masked sum
    S = sum over masked i of log p(y_i | visible), over uniform masks of l tokens. Free of L/l and 1/t.

    Parameters
    ----------
    mean : (L + 1, 2) float
        Mean of S under policy and reference, in nats.
    covariance : (L + 1, 2, 2) float
        Covariance of (S_policy, S_reference), in nats squared.
    draws : (L + 1,) int or None
        Masks behind each count; None means exact.

    Examples
    --------
    >>> Profile(mean=[[0, 0], [-1, -2], [-3, -3]], covariance=[[[0, 0], [0, 0]]] * 3).length
    2
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    draws: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name in ("mean", "covariance"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.float64))
        if self.draws is not None:
            object.__setattr__(self, "draws", frozen(self.draws, np.int64))
        counts = len(self.mean)
        require(self.mean.shape == (counts, 2) and counts >= 2, f"mean must be (L + 1, 2), got {self.mean.shape}")
        shape = self.covariance.shape
        require(shape == (counts, 2, 2), f"covariance must be ({counts}, 2, 2), got {shape}")
        require(np.isfinite(self.mean).all(), "mean holds a non-finite value: check the model's log-probabilities")

    @property
    def length(self) -> int:
        """L, the number of response tokens."""
        return len(self.mean) - 1


def each(profiles: Profile | Sequence[Profile]) -> Sequence[Profile]:
    """The profiles of a response's parts: of its blocks under block diffusion, else of the whole response alone."""
    return (profiles,) if isinstance(profiles, Profile) else profiles


@dataclass(frozen=True)
class Moments:
    """Mean and variance components of an estimate built on iid timesteps (2505.19223v2, Lemma 5).

    Parameters
    ----------
    mean : float
        Expectation, in nats.
    v_time : float or None
        Variance over timesteps of the conditional mean; None where the draws cannot tell it.
    v_mask : float or None
        Mean over timesteps of the conditional variance; None where the draws cannot tell it.

    Examples
    --------
    >>> eight = Moments(mean=-1.0, v_time=0.8, v_mask=1.6)
    >>> (eight.v_time + eight.v_mask) / 8  # variance of the mean over 8 timesteps of one mask each
    0.30000000000000004
    """

    mean: float
    v_time: float | None
    v_mask: float | None


def combine(parts: Sequence[Moments]) -> Moments:
    """Moments of a sum of independent parts; a component unknown in one part is unknown in the sum.

    >>> combine([Moments(1.0, 0.5, None), Moments(2.0, 0.5, 0.25)])
    Moments(mean=3.0, v_time=1.0, v_mask=None)
    """

    def add(values: Sequence[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return math.fsum(known) if len(known) == len(values) else None

    mean = math.fsum(p.mean for p in parts)
    return Moments(mean, add([p.v_time for p in parts]), add([p.v_mask for p in parts]))


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error.

    Parameters
    ----------
    value : float
        NaN where it is undefined; ``note`` then says why.
    stderr : float or None
        None when exact or not identifiable; ``note`` says which.
    note : str
    df : float or None
        Degrees of freedom behind ``stderr``: its own relative error is about 1/sqrt(2 df).
    left_out : (G, T) float or None
        The value with each draw left out, G independent groups of T draws each. Estimates from the same draws carry
        it, so that functions of several of them have their joint error.

    Examples
    --------
    >>> Estimate(0.5, stderr=0.1, df=7)
    Estimate(value=0.5, stderr=0.1, note='', df=7)
    """

    value: float
    stderr: float | None = None
    note: str = ""
    df: float | None = None
    left_out: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)
