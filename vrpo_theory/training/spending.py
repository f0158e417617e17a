"""Masks where they matter: how many each pair of a batch gets.

A pair's gradient is its slope times a noisy gradient of the score, so n masks leave it a variance of about w^2/n, with
w the slope times the root of a variance. At a fixed sum of n, sum of w^2/n is least for n proportional to w. The
weights must come from other draws than those they multiply, an earlier visit's or a pilot's: then the mean over masks
is the same for every n, and the gradient as unbiased as it was.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def allocate(weights: ArrayLike, passes: int, least: int = 1) -> NDArray[np.int64]:
    """Whole numbers of masks, as near as can be to a share of ``passes`` in proportion to the weights.

    Parameters
    ----------
    weights : (P,) float
        Slope times the root of the variance of one mask's term, of every pair; all 0 gives equal shares.
    passes : int
        The sum of all n.
    least : int
        Masks that every pair gets.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or the passes do not suffice.

    Examples
    --------
    >>> allocate([1.0, 1.0, 6.0], 24)
    array([ 3,  3, 18])
    >>> allocate([0.0, 1.0], 8, least=2)
    array([2, 6])
    """
    w = np.asarray(weights, dtype=float)
    if not (np.isfinite(w) & (w >= 0)).all():
        raise ValueError(f"weights must be finite and at least 0, got {w.tolist()}")
    if passes < least * len(w):
        raise ValueError(f"{passes} passes are fewer than {least} for each of {len(w)} pairs: give more")
    target = _proportional(w if w.any() else np.ones_like(w), float(passes), float(least))
    found = np.floor(target).astype(np.int64)
    most_cut = np.argsort(found - target, kind="stable")[: passes - int(found.sum())]
    found[most_cut] += 1
    return found


def _proportional(weights: NDArray[np.float64], passes: float, least: float) -> NDArray[np.float64]:
    """Real numbers in proportion to the weights, those below ``least`` raised to it at the cost of the others."""
    raised = np.zeros(len(weights), bool)
    while True:
        free = passes - least * raised.sum()
        shares = np.where(raised, least, weights / weights[~raised].sum() * free if (~raised).any() else least)
        low = (shares < least) & ~raised
        if not low.any():
            return shares
        raised |= low
