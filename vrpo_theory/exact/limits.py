"""What no unbiased weights that know the masks alone can pass. All ours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.designs.base import Design
from vrpo_theory.numerics import total
from vrpo_theory.types import Budget, Masks
from vrpo_theory.weightings.plain import PLAIN

Array = NDArray[np.float64]
Covariance = Callable[[NDArray[np.bool_]], Array]
"""Covariance (T, T) of the T token terms that masks (n, L) hold, in the order of ``np.nonzero(mask)``."""


def noise_limit(length: int) -> float:
    """Largest gain over VRPO on terms that are independent from token to token and mask to mask: L H_L/(sum l^-1/2)^2.

    E omega_ik^2 is at least the square of E[omega_ik | S_k] = w_k L/l_k, so a mask adds at least w_k^2 L^2/l_k in units
    of a term's variance. As the shares of each count add up to 1/L, Cauchy-Schwarz bounds the sum over n masks from
    below by (sum over l of l^-1/2)^2/n, which counts drawn in proportion to l^-1/2, and shares to match, attain. VRPO
    has the mean of L^2/l over n, L H_L/n. The limit is 1.14, 1.42, 1.68 and 1.97 at L = 8, 64, 256 and 1024: what is
    gained beyond it comes from terms that masks share.
    """
    count = np.arange(1.0, length + 1)
    return length * total(1 / count) / total(count**-0.5) ** 2


def best_linear_variance(design: Design, length: int, budget: Budget, covariance: Covariance) -> float:
    """Least variance, over token terms and masks, of any weights that are unbiased and know the masks alone.

    Every joint draw s, of probability p_s, has a vector omega_s of weights. Unbiased for every model means
    E[omega_ik | S_k, l] = w_k L/l_k for each mask k, each set that it may be and each i in it: linear constraints
    sum over s of p_s A_s omega_s = b. The variance, over terms too, is the sum of p_s omega_s' C_s omega_s, least where
    by Lagrange omega_s = C_s^-1 A_s' lambda, with (sum of p_s A_s C_s^-1 A_s') lambda = b, and the least value is
    b' lambda. Token terms have mean 0 here: a mean that is known could be taken off first.

    Parameters
    ----------
    design : Design
        In the count form; its joint draws are listed, so L and n must be small, as 5 and 2.
    covariance : callable
        Positive definite, see `Covariance`.
    """
    place: dict[tuple[int, int, float, int], int] = {}
    draws = [(prob, masks, _constrained(masks, place)) for prob, masks in design.joint(length, budget)]
    normal, wanted = np.zeros((len(place), len(place))), np.zeros(len(place))
    for prob, masks, rows in draws:
        normal[np.ix_(rows, rows)] += prob * np.linalg.inv(covariance(masks.mask))
        wanted[rows] += prob * PLAIN.weights(masks)[masks.mask]
    return float(wanted @ np.linalg.solve(normal, wanted))


def _constrained(masks: Masks, place: dict[tuple[int, int, float, int], int]) -> NDArray[np.int64]:
    """Which constraint each held token belongs to: mask, set, share and token; new ones get the next number."""
    codes = masks.mask @ (1 << np.arange(masks.mask.shape[1]))
    keys = [(k, int(codes[k]), float(masks.weight[k]), i) for k, i in zip(*np.nonzero(masks.mask), strict=True)]
    return np.array([place.setdefault(key, len(place)) for key in keys])
