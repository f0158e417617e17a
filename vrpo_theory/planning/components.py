"""Variance components of a response's token terms, by moments of a pilot's masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.planning.loadings import Flags, Regressors

Array = NDArray[np.float64]

GROUPS = ((0,), (1,), (2, 3), (4,))
"""Which of a token's regressors share one variance: its own, its slope's, either neighbour's, both neighbours'."""


def components(mask: Flags, terms: Array) -> Array:
    """Estimates of `vrpo_theory.planning.loadings.COMPONENTS` in nats squared, from masks (N, L) and their terms.

    Products of a token's terms in two masks tell what belongs to the token; products of two tokens in one mask what
    belongs to the mask; squares the rest. Moments are weighed as estimates weigh their terms, by 1/l for each mask.
    None is below 0, but for the covariance of adjacent tokens.
    """
    count, at = mask.sum(1), Regressors.of(mask)
    curve = np.polynomial.Polynomial.fit(
        at.slope, terms.sum(1) / count, min(2, len(np.unique(count)) - 1), w=np.sqrt(count), domain=[-1, 1]
    )
    rest = (terms - curve(at.slope)[:, None]) * mask
    own = _of_tokens(mask, rest, at)
    part = count < mask.shape[1]
    of_mask = _of_masks(mask[part], rest[part], own[0] / mask.shape[1])
    explained = own[0] + own[1] * at.slope**2 + own[2] / 2 + own[3] / 16 + of_mask[0]
    left = (rest**2 - explained[:, None])[part]
    noise, every = _noise(left, mask[part], at.visible[part])
    of_mask[1] = np.clip(of_mask[1], -every / 2, every)
    return np.array([*own, *of_mask, *noise, curve.deriv()(0.0) ** 2])


def _of_tokens(mask: Flags, rest: Array, at: Regressors) -> Array:
    """Variances of the effects that belong to a token, (4,): non-negative least squares on products over masks."""
    from scipy.optimize import nnls

    share = np.sqrt(mask / mask.sum(1, keepdims=True))
    held, seen = [share * x for x in at.per_token], share * rest
    normal = np.array([[sum(_pairs(held[i] * held[j]) for i in a for j in b) for b in GROUPS] for a in GROUPS])
    moments = np.array([sum(_pairs(held[i] * seen) for i in group) for group in GROUPS])
    size = np.trace(normal)
    if not size > 0:
        return np.zeros(len(GROUPS))
    root = np.linalg.cholesky(normal + 1e-9 * size * np.eye(len(GROUPS)))
    length = mask.shape[1]
    # What is left of effects after the curve sums to about 0 over tokens.
    found: Array = nnls(root.T, np.linalg.solve(root, moments))[0] * length / max(length - 1, 1)
    return found


def _pairs(product: Array) -> float:
    """Sum over tokens, and over pairs of different masks, of the products of two entries."""
    return float((product.sum(0) ** 2 - (product**2).sum(0)).sum() / 2)


def _of_masks(mask: Flags, rest: Array, dip: float) -> Array:
    """Variance of a mask's effect, and covariance of adjacent tokens beyond it, (2,).

    Parameters
    ----------
    dip : float
        What taking the curve away costs every covariance.
    """
    count = mask.sum(1)
    weight = 1 / np.maximum(count, 1) ** 2
    near, pairs_near = (rest[:, 1:] * rest[:, :-1]).sum(1) * 2, (mask[:, 1:] & mask[:, :-1]).sum(1) * 2
    every, pairs = rest.sum(1) ** 2 - (rest**2).sum(1), count * (count - 1)
    far = _mean(every - near, pairs - pairs_near, weight) + dip
    shared = max(far, 0.0)
    return np.array([shared, _mean(near, pairs_near, weight) + dip - shared])


def _mean(sums: Array, numbers: NDArray[np.int64], weight: Array) -> float:
    total = float((weight * numbers).sum())
    return float((weight * sums).sum()) / total if total > 0 else 0.0


def _noise(left: Array, mask: Flags, visible: Array) -> tuple[list[float], float]:
    """What is left of squares by number of visible neighbours, (3,), and at any number; none below 0."""
    weight = mask / np.maximum(mask.sum(1, keepdims=True), 1) ** 2

    def mean(where: Flags) -> float:
        total = float((weight * where).sum())
        return max(0.0, float((weight * where * left).sum()) / total) if total > 0 else 0.0

    return [mean(visible == count) for count in range(3)], mean(mask)
