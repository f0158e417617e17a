"""Exact profiles of estimates that read one random token of every mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import elbo
from vrpo_theory.exact.enumeration import MaskTable
from vrpo_theory.types import Predictor, Profile, Response

Array = NDArray[np.float64]


def newly_unmasked_profile(policy: MaskTable, reference: MaskTable) -> Profile:
    """Profile of l log p(y_i), i uniform among the l tokens of a mask: the mean of the masked sum, more variance.

    With plain weights and any design of independent masks, `vrpo_theory.exact.margin_variance` of it is the variance of
    `vrpo_theory.weightings.newly_unmasked`.
    """
    terms = np.stack([policy.log_prob, reference.log_prob], axis=-1)
    rows = [policy.counts == count for count in range(policy.response.length + 1)]
    sums, squares = terms.sum(1), np.einsum("mti,mtj->mij", terms, terms)
    mean, second = (np.array([values[row].mean(0) for row in rows]) for values in (sums, squares))
    return _profile(mean, second)


def newly_unmasked_gap_profile(response: Response, policy: Predictor, reference: Predictor) -> Profile:
    """The same at any length, for models whose conditionals see only the nearest visible tokens.

    A token's term depends on the two visible tokens that enclose its gap, so masks of single gaps give all terms, and
    the probability of a gap of g tokens between visible ones, under a mask of l of L, is C(L - g - e, l - g)/C(L, l)
    with e its ends that are tokens.
    """
    length = response.length
    first, behind = np.array([(a, b) for a in range(length) for b in range(a + 1, length + 1)]).T
    tokens = np.arange(length)
    mask = (tokens >= first[:, None]) & (tokens < behind[:, None])
    terms = np.stack([elbo.terms([(response, mask)], model)[0] for model in (policy, reference)], axis=-1)
    chance = _gap_probability(length, behind - first, (first > 0).astype(int) + (behind < length))
    return _profile(chance @ terms.sum(1), np.einsum("lg,gti,gtj->lij", chance, terms, terms))


def _gap_probability(length: int, gap: NDArray[np.int64], ends: NDArray[np.int64]) -> Array:
    """P(the mask holds exactly this gap between its visible ends), by count l and gap, (L + 1, G)."""
    from scipy.special import gammaln

    def log_choose(n: NDArray[np.int64], k: NDArray[np.int64]) -> Array:
        inside = (k >= 0) & (k <= n)
        n, k = np.where(inside, n, 0), np.where(inside, k, 0)
        return np.where(inside, gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), -np.inf)

    count = np.arange(length + 1)[:, None]
    whole = log_choose(np.full_like(count, length), count)
    return np.exp(log_choose((length - gap - ends)[None] + 0 * count, count - gap) - whole)


def _profile(mean: Array, squares: Array) -> Profile:
    """From the masked sum's mean (L + 1, 2), and that of the sum of squares and products (L + 1, 2, 2)."""
    count = np.arange(len(mean))[:, None, None]
    covariance = count * squares - mean[:, :, None] * mean[:, None, :]
    return Profile(mean, covariance)
