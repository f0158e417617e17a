"""Exact profiles of enumerated responses."""

from __future__ import annotations

import numpy as np

from vrpo_theory.exact.enumeration import MaskTable
from vrpo_theory.types import Profile


def profile(policy: MaskTable, reference: MaskTable) -> Profile:
    """Mean and covariance of the masked sums over the masks of each count.

    Raises
    ------
    ValueError
        If the two tables are of different responses.
    """
    if policy.response.key != reference.response.key:
        raise ValueError(
            "policy and reference tables are of different responses: enumerate the same response under both"
        )
    sums = np.stack([policy.sums, reference.sums], axis=1)
    layers = [sums[policy.counts == count] for count in range(policy.response.length + 1)]
    covariance = [np.cov(layer.T, bias=True) for layer in layers]
    return Profile(np.array([layer.mean(0) for layer in layers]), np.array(covariance))
