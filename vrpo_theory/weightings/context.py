"""Context weights: two-way weights that know which neighbours of a token are visible."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.randomness import generator
from vrpo_theory.types import Masks, as_count
from vrpo_theory.weightings._small_systems import solve
from vrpo_theory.weightings.base import WEIGHTINGS, JoinedEntry, Weighting
from vrpo_theory.weightings.plain import PLAIN
from vrpo_theory.weightings.two_way import TwoWay

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]

LISTED = 12
"""Longest response whose ordered triples of tokens are all listed; longer ones have theirs drawn."""
TOKEN, NEIGHBOUR, BOTH = 3.0, 2.0, 1.0
"""Prior variances relative to the noise: of a token's effect, of what either neighbour adds, of their interaction."""
STATES = tuple(itertools.product((0, 1), repeat=2))
"""Neighbourhoods: whether the token before, and the token behind, is visible."""


@dataclass(frozen=True)
class ContextWeights(Weighting):
    """Weights of a layout in which a token has its own effect in each of four neighbourhoods (ours).

    The last token counts as the first one's neighbour, so that all positions are alike. Token i of mask k is in the
    neighbourhood c(i, k) in {0, 1}^2 of tokens i - 1 and i + 1: visible or not. Its effects in the four are random with
    covariance K; given mask effects alpha_k, those of two-way weights, generalised least squares would weigh it by

        alpha_k + e_i[c(i, k)],  e_i = (K^-1 + D_i)^-1 (pi - s_i),

    with D_i the diagonal matrix of how often masks hold token i in each neighbourhood, s_i the sums of their alpha,
    and pi the probabilities of the neighbourhoods, mean over l. These weights are biased, by up to a fifth. With W_k[c]
    the mean of e[c] over stand-ins, see below, and r_ik = e_i[c(i, k)] - W_k[c(i, k)], the weights are

        omega_ik = (row sum of k)/l_k + r_ik - (mean of r_jk over j in S_k),

    where the row sum is plain weighting's, and r = 0 for a neighbourhood of mask k that no stand-in is in.

    A stand-in is an ordered triple of different tokens, taken for a token and its two neighbours. On up to 12 tokens
    all triples stand in, else those of a few random permutations of the positions, drawn apart from the masks.

    Unbiased: fix S_k, the levels, and the pattern of memberships: how many tokens are held by which masks. Permuting
    positions leaves the joint law of masks unchanged, so the memberships are exchangeable inside S_k, and inside what
    it leaves visible. alpha is a function of the pattern alone, and e_i[c] of alpha and the memberships of tokens
    i - 1, i, i + 1. A token of S_k in neighbourhood c and a stand-in whose three tokens lie inside and outside S_k in
    the same way thus have the same expectation of e[c], whatever the positions. Which stand-ins do depends on the
    permutations and S_k. So E[r_ik | S_k] = 0 for all i in S_k, the mean of r too, and omega has plain weighting's
    conditional mean, (row sum)/l_k; the log-probabilities are functions of S_k alone. Nothing here is fitted to them.

    Parameters
    ----------
    stand_ins : int
        Fewest stand-ins on a long response: more bring W_k nearer to its mean, at equal forward passes.
    """

    stand_ins: int = 256

    name = "context"
    needs_permutation_invariance = True
    positions_alike = False

    def __post_init__(self) -> None:
        as_count(f"{self.name}: stand_ins", self.stand_ins)

    @classmethod
    def entries(cls) -> tuple[JoinedEntry, ...]:
        return (
            JoinedEntry("context", cls(), "balanced_by_length", everywhere=True, gradient=True, planned=True),
            JoinedEntry("context", cls(), "balanced_descending", everywhere=True, planned=True),
        )

    def weights(self, masks: Masks) -> Array:
        """O(n L) beside two-way weights; empty masks stay out, and fewer than 3 tokens have no two neighbours.

        Raises
        ------
        ValueError
            If the response is longer than `LISTED` and its masks have no key, as masks that a design drew do.
        """
        length = masks.mask.shape[1]
        if length < 3:
            return _MASKS.weights(masks)
        out = np.zeros(masks.mask.shape)
        full = masks.mask.any(1)
        if full.any():
            row_sum = PLAIN.per_mask(masks)[full] * masks.mask[full].sum(1)
            out[full] = _omega(masks.mask[full], row_sum, self._places(length, masks.key))
        return out

    def _places(self, length: int, key: bytes) -> list[Places]:
        """Tables of tokens, each between its neighbours, a row's last beside its first; the tokens themselves lead."""
        own = np.arange(length)[None]
        if length <= LISTED:
            return [own, _triples(length)]
        if not key:
            raise ValueError(f"{self.name} weights of {length} tokens need masks that a design drew, with their key")
        order = np.argsort(generator(key).random((-(-self.stand_ins // length), length)), axis=1, kind="stable")
        return [np.concatenate([own, order])]


def _omega(mask: Flags, row_sum: Array, places: list[Places]) -> Array:
    """omega, (n, L)."""
    member, length = mask.astype(float), mask.shape[1]
    count = member.sum(1)
    held = np.concatenate([_held(mask[:, table]) for table in places], axis=2)
    effect = _effects(held, _MASKS.layout(member, row_sum).alpha, _shares(length))
    # Of every mask and neighbourhood: sum of the stand-ins' effects, and their number, (4, n, 1) each.
    others = np.stack([effect[:, length:], np.ones_like(effect[:, length:])], 2)
    total, number = np.split(held[:, :, length:] @ others, 2, axis=2)
    r = (held[:, :, :length] * (effect[:, None, :length] - total / np.maximum(number, 1)) * (number > 0)).sum(0)
    omega: Array = member * ((row_sum - r.sum(1)) / count)[:, None] + r
    return omega


def _held(moved: Flags) -> Array:
    """Whether masks (n, C, L) hold each token in each neighbourhood, (4, n, C L) of 0 and 1."""
    either = np.stack([moved, ~moved])
    before, behind = np.roll(either, 1, 3), np.roll(either, -1, 3)
    return (before[:, None] & behind & moved).reshape(4, len(moved), -1).astype(float)


def _effects(held: Array, alpha: NDArray[np.floating[Any]], shares: Array) -> Array:
    """e = (K^-1 + D)^-1 (pi - s) of every token, (4, T)."""
    count, total = (np.stack([np.ones_like(alpha), alpha]) @ held).transpose(1, 0, 2)
    system = np.repeat(_PRECISION[:, :, None], held.shape[2], axis=2)
    system[np.arange(4), np.arange(4)] += count
    return solve(system, shares[:, None] - total)


@cache
def _shares(length: int) -> Array:
    """pi, (4,): probabilities of the neighbourhoods of a masked token, mean over l uniform on 1..L."""
    out = np.arange(length)[::-1]  # visible tokens, L - l
    one = out / (length - 1)
    two = one * (out - 1) / (length - 2)
    shares: Array = np.array([1 - 2 * one + two, one - two, one - two, two]).mean(1)
    return shares


@cache
def _triples(length: int) -> Places:
    """Rows of three: read round from each of their tokens, they are all ordered triples."""
    rows = [(i, j, k) for i, j, k in itertools.permutations(range(length), 3) if i < min(j, k)]
    return np.array(rows)


def _precision() -> Array:
    """K^-1 of effects t + a' n_1 + b' n_2 + a' b' n_12 with independent t, n and a' = a - 1/2, b' = b - 1/2."""
    x = np.array([[1, a - 0.5, b - 0.5, (a - 0.5) * (b - 0.5)] for a, b in STATES])
    return np.linalg.inv(x @ np.diag([TOKEN, NEIGHBOUR, NEIGHBOUR, BOTH]) @ x.T)


_PRECISION = _precision()
# Two-way weights know a token's effect alone: to them neighbourhoods are noise.
_MASKS = TwoWay(rho=(1 + NEIGHBOUR / 4 + NEIGHBOUR / 4 + BOTH / 16) / TOKEN)

WEIGHTINGS.add(ContextWeights.name, ContextWeights)
