"""A response's profile from a pilot's masked sums: smooth curves, and each count's departure from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.types import Profile

Array = NDArray[np.float64]


def fit_profile(level: Array, sums: Array, length: int) -> Profile:
    """A profile from masked sums (N, 2) at counts (N,).

    The variances of (L/l) S, of policy, reference and difference, are non-negative combinations of 1, 1 - x and
    (1 - x)^k/x with x = l/L and k = 1, 3, 9 (0 at l = L, where there is one mask): those of a shock per mask, of
    independent tokens, and of tokens that matter only while their neighbours are visible. They are fitted to squared
    residuals, weighed by the square of what is expected of them. The mean is a parabola in l/L, and,
    where counts repeat, each count's own departure from it, shrunk so that their spread is what remains of the observed
    one after the noise.
    """
    share, every = level / length, np.arange(1, length + 1) / length
    term = sums / share[:, None]
    columns = np.column_stack([term, term[:, 0] - term[:, 1]])
    fits = [np.polynomial.Polynomial.fit(share, y, _degree(level), w=np.sqrt(share), domain=[0, 1]) for y in columns.T]
    smooth, fitted = (np.stack([fit(x) for fit in fits], 1) for x in (every, share))
    counts = np.bincount(level.astype(int), minlength=length + 1)[1:]
    total: Array = np.stack([np.bincount(level.astype(int), r, length + 1)[1:] for r in (columns - fitted).T], 1)
    own = total / np.maximum(counts, 1)[:, None]
    variance = np.stack([_variance(share, s, every) for s in _squares(level, columns, fitted, own, counts).T], 1)
    mean = smooth + _departure(own, counts, variance[:, 2]) * own
    return _assembled(mean[:, :2], variance, every, counts)


def _degree(level: Array) -> int:
    return min(2, len(np.unique(level)) - 1)


def _squares(level: Array, columns: Array, fitted: Array, own: Array, counts: NDArray[np.int64]) -> Array:
    """Squared residuals (N, 3), from the mean of the same count where it repeats, else from the parabola."""
    index = level.astype(int) - 1
    repeats = (counts[index] > 1)[:, None]
    residual = columns - fitted - np.where(repeats, own[index], 0)
    free = np.where(repeats, 1 - 1 / counts[index][:, None], 1 - (_degree(level) + 1) / max(len(level), 4))
    return residual**2 / free


def _departure(own: Array, counts: NDArray[np.int64], variance: Array) -> Array:
    """How much of each count's departure to keep, (L, 1): root of signal over signal and noise, of the difference."""
    noise = variance / np.maximum(counts, 1)
    seen = (counts > 1) & (variance > 0)
    if not seen.any():
        return np.zeros((len(counts), 1))
    signal = max(0.0, float(np.mean(own[seen, 2] ** 2 - noise[seen])))
    return (np.sqrt(signal / (signal + noise + 1e-300)) * (counts > 1))[:, None]


def _assembled(mean: Array, variance: Array, every: Array, counts: NDArray[np.int64]) -> Profile:
    policy, reference, difference = variance.T
    covariance = (policy + reference - difference) / 2
    matrix = np.stack([np.stack([policy, covariance], 1), np.stack([covariance, reference], 1)], 1)
    zero = np.zeros((1, 2, 2))
    return Profile(
        np.vstack([zero[0, :1], mean * every[:, None]]),
        np.concatenate([zero, matrix * every[:, None, None] ** 2]),
        np.concatenate([[0], counts]),
    )


def _variance(share: Array, square: Array, every: Array) -> Array:
    """Variance of the term at every count, from squared residuals."""
    from scipy.optimize import nnls

    def basis(x: Array) -> Array:
        return np.stack([np.ones_like(x), 1 - x, *((1 - x) ** k / x for k in (1, 3, 9))], 1) * (x < 1)[:, None]

    expected = np.full(len(share), square.mean() + 1e-300)
    coefficients = np.zeros(5)
    for _ in range(3):
        coefficients = nnls(basis(share) / expected[:, None], square / expected)[0]
        expected = np.maximum(basis(share) @ coefficients, 0.05 * square.mean() + 1e-300)
    return basis(every) @ coefficients
