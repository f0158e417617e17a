"""Two-way weights: generalised least squares for masks that share tokens, chosen before any forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.types import Masks
from vrpo_theory.weightings.base import WEIGHTINGS, JoinedEntry, Weighting
from vrpo_theory.weightings.plain import PLAIN

Array = NDArray[np.float64]


class Layout(NamedTuple):
    """The two-way layout of some masks: regressors z (n, p), inverses of H (L, p, p), mask effects alpha (n,)."""

    regressors: Array
    inverse: NDArray[np.floating[Any]]
    alpha: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TwoWay(Weighting):
    """Weights that are small where a token is masked often, and large where it is masked seldom (ours).

    They are the generalised least squares weights of a two-way layout, tokens x masks, whose token effects (and slopes
    in l) are random with variance 1/rho relative to the rest:

        omega_ik = alpha_k - z_k' H_i^-1 sum over k' with i in S_k' of alpha_k' z_k',
        H_i = rho I + sum over k with i in S_k of z_k z_k',  z_k = (1, l_k/L - (L + 1)/(2L)),

    with alpha such that every mask's weights sum to plain weighting's. As rho grows they become plain weights.

    Unbiased: H_i and alpha depend on positions only through which masks hold them. If the joint law of the masks is
    unchanged by permuting positions, then given S_k and the pattern of memberships, every position of S_k is as likely
    as any other to have a given membership. So E[omega_ik | S_k] is the same for all i in S_k: the row sum over l_k,
    which is plain weighting's. The log-probabilities under S_k are functions of S_k alone, so their weighted sum
    has plain weighting's mean. rho must be fixed in advance: never chosen from the terms that are averaged.

    Parameters
    ----------
    rho : float
        Positive. 1 is the robust choice; 0.3 gains more where tokens matter more than masks.
    slope : bool
        Whether token effects may change linearly with l.
    """

    rho: float = 1.0
    slope: bool = True

    name = "two_way"
    needs_permutation_invariance = True

    def __post_init__(self) -> None:
        if not 0 < self.rho < np.inf:
            raise ValueError(
                f"{self.name}: rho must be positive and finite, got {self.rho!r}; use plain for no pooling"
            )

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls(), cls(0.3), cls(0.3, slope=False)

    @classmethod
    def entries(cls) -> tuple[JoinedEntry, ...]:
        return (
            JoinedEntry("two-way", cls(), "iid_count", everywhere=True),
            JoinedEntry("two-way", cls(), "strata"),
            JoinedEntry("two-way", cls(), "power_strata", everywhere=True, gradient=True),
            JoinedEntry("two-way 0.3", cls(0.3), "power_strata", everywhere=True),
            JoinedEntry("two-way 0.3", cls(0.3), "balanced", everywhere=True),
            JoinedEntry("two-way 0.3", cls(0.3), "balanced_descending", everywhere=True, planned=True),
            JoinedEntry("two-way", cls(), "balanced_by_length", everywhere=True, planned=True),
        )

    def weights(self, masks: Masks) -> Array:
        """O(n^2 L); empty masks stay out."""
        out = np.zeros(masks.mask.shape)
        full = masks.mask.any(1)
        if full.any():
            member = masks.mask[full].astype(float)
            out[full] = _omega(member, self.layout(member, PLAIN.per_mask(masks)[full] * member.sum(1)))
        return out

    def layout(self, member: Array, row_sum: Array) -> Layout:
        """Mask effects alpha for memberships (n, L), no mask empty, and wanted row sums (n,).

        With omega_ik = alpha_k - z_k' H_i^-1 sum_k' m_k'i alpha_k' z_k', summing over the tokens of mask k gives linear
        equations in alpha: l_k alpha_k - sum_k' joint_kk' alpha_k' = row_sum_k, with
        joint_kk' = sum over i of m_ki z_k' H_i^-1 z_k' m_k'i.
        """
        z = self._regressors(member)
        (rows, length), width = member.shape, z.shape[1]
        # H_i = rho I + sum_k m_ki z_k z_k': the outer products as rows, summed over the masks that hold token i.
        outer = (z[:, :, None] * z[:, None, :]).reshape(rows, width * width)
        inverse = np.linalg.inv((member.T @ outer).reshape(length, width, width) + self.rho * np.eye(width))
        # half_ki = m_ki z_k' H_i^-1, (n, L, p): one product of z with all the inverses side by side, p x (L p).
        side_by_side = inverse.transpose(1, 0, 2).reshape(width, length * width)
        half = (z @ side_by_side).reshape(rows, length, width) * member[:, :, None]
        # held_ki = m_ki z_k, (n, L, p); joint contracts tokens and regressors at once.
        held = z[:, None, :] * member[:, :, None]
        joint = half.reshape(rows, -1) @ held.reshape(rows, -1).T
        return Layout(z, inverse, np.linalg.solve(np.diag(member.sum(1)) - joint, row_sum))

    def _regressors(self, member: Array) -> Array:
        """z_k, (n, 1 or 2)."""
        length, one = member.shape[1], np.ones((len(member), 1))
        if not self.slope:
            return one
        return np.hstack([one, (member.sum(1, keepdims=True) - (length + 1) / 2) / length])


def _omega(member: Array, layout: Layout) -> Array:
    """omega, (n, L)."""
    z, alpha = layout.regressors, layout.alpha
    # effect_i = H_i^-1 sum_k m_ki alpha_k z_k, (L, p): what token i's effect takes off each mask that holds it.
    effect = (layout.inverse @ (member.T @ (alpha[:, None] * z))[:, :, None])[:, :, 0]
    return member * (alpha[:, None] - z @ effect.T)


WEIGHTINGS.add(TwoWay.name, TwoWay)
