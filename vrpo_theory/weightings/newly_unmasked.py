"""Newly unmasked tokens alone: dTRPO's estimate of a trajectory's log-ratio (arXiv 2603.18806)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.randomness import generator
from vrpo_theory.types import Masks
from vrpo_theory.weightings.base import WEIGHTINGS, Weighting
from vrpo_theory.weightings.plain import PLAIN


@dataclass(frozen=True)
class NewlyUnmasked(Weighting):
    """Of every mask one token, at random: the one that the next step of a trajectory unmasks.

    It has the weight of the whole mask, L in the count form. Its mean given the mask is plain's estimate, so the ELBO
    is kept wherever plain weights keep it, and the variance is plain's plus the mean of (L/l)^2 l^2 V(log p of a token
    of the mask): `vrpo_theory.exact.newly_unmasked_profile` has it exactly. Averaging over the mask's other tokens,
    which the same pass gives, never loses.

    Notes
    -----
    dTRPO claims that the ratio of newly unmasked tokens is an unbiased estimate of that of the states, and that one
    pass, a timestep a block, estimates the trajectory's. Let a trajectory unmask tokens in T steps, and let d_s be the
    log-ratio policy/reference of what step s unmasks.

    1. A state. p(x_{s+1} | x_s) is the schedule's factor times the probabilities of the newly unmasked tokens. A
       schedule that both models share cancels: the two ratios are equal, nothing is estimated. Where the next tokens
       are chosen by confidence, policy and reference differ in the factor, and it does not cancel.
    2. The logarithm. For a uniform step, E T d_s = sum of all d_s: T d_s is unbiased for the trajectory's log-ratio,
       and over random orders of single tokens its mean is B_policy - B_reference.
    3. The ratio. By Jensen, E exp(T d_s) >= exp(sum of all d_s), with equality only if all d_s are equal; blocks drawn
       independently multiply these factors. So the estimated ratio is too large, always, and a loss of it is biased as
       VRPO's is; unbiased is the logarithm alone.
    """

    name = "newly_unmasked"

    def weights(self, masks: Masks) -> NDArray[np.float64]:
        """W, (n, L); of listed masks, which have no randomness, the mean over their tokens: plain weights."""
        if not masks.key:
            return PLAIN.weights(masks)
        rank = np.where(masks.mask, generator(masks.key).random(masks.mask.shape), 2.0)
        chosen = masks.mask & (rank == rank.min(1, keepdims=True))
        found: NDArray[np.float64] = chosen * (PLAIN.per_mask(masks) * masks.mask.sum(1))[:, None]
        return found


WEIGHTINGS.add(NewlyUnmasked.name, NewlyUnmasked)
