"""How much of each variance component of token terms a scheme lets through: by drawing masks, not by evaluating them.

A token term is modelled as a sum of independent effects, `COMPONENTS`: of the token, of the token's slope in l, of its
neighbours, of the mask, and noise. An estimate is linear in the terms, so its variance is the sum over components of
variance times loading, and a loading is an expectation over the scheme's masks and weights alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.randomness import Address
from vrpo_theory.schemes import Scheme

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

COMPONENTS = (
    "token", "slope", "neighbour", "both neighbours", "mask", "adjacent", "noise 0", "noise 1", "noise 2", "level",
)  # fmt: skip
"""Noise is apart by the number of visible neighbours; "adjacent" is a covariance of neighbours in one mask."""
TOKENS, FEWEST, MOST = 2**13, 32, 128
"""Tokens of all masks that are drawn for one loading, about; fewest and most sets of masks: its error is 2 to 4%."""


class Regressors(NamedTuple):
    """What effects multiply: u of each mask (n,), and of each token +-1/2 for a visible neighbour before, behind."""

    slope: Array
    before: Array
    behind: Array

    @classmethod
    def of(cls, mask: Flags) -> Regressors:
        """Those of masks (n, L); a token at an end has no visible neighbour there."""
        length, seen = mask.shape[1], np.zeros((2, *mask.shape))
        seen[0, :, 1:], seen[1, :, :-1] = ~mask[:, :-1], ~mask[:, 1:]
        return cls((mask.sum(1) - (length + 1) / 2) / length, *(seen - 0.5))

    @property
    def per_token(self) -> tuple[Array, ...]:
        """Regressors (n, L) of the effects that belong to a token."""
        return (
            np.ones_like(self.before), self.slope[:, None] + 0 * self.before, self.before, self.behind,
            self.before * self.behind,
        )  # fmt: skip

    @property
    def visible(self) -> Array:
        """Number of visible neighbours, (n, L)."""
        return self.before + self.behind + 1


@lru_cache(maxsize=4096)
def loadings(scheme: Scheme, length: int) -> tuple[float, ...]:
    """Variance of an estimate of one response for each of `COMPONENTS` at variance 1, (10,)."""
    sets = min(max(FEWEST, TOKENS // (scheme.budget.n * length)), MOST)
    address = (0, scheme.design.address, scheme.budget.n_t, scheme.budget.n_yt, b"loadings")
    drawn, squares = zip(*(_one_set(scheme, length, Address(*address, repeat)) for repeat in range(sets)), strict=True)
    sums: Array = np.array(drawn)
    spread: Array = sums.var(axis=0)
    token, slope, before, behind, both = spread.sum(1).tolist()
    return (token, slope, before + behind, both, *np.mean(squares, axis=0).tolist(), float(sums[:, 1].sum(1).var()))


def _one_set(scheme: Scheme, length: int, address: Address) -> tuple[Array, Array]:
    """Of one draw: each token's summed weights times its regressors, (5, L), and squares that other components meet."""
    masks = scheme.design.draw(address.uniforms(), length, scheme.budget)
    weight, at = scheme.weighting.weights(masks), Regressors.of(masks.mask)
    sums = np.array([(weight * x).sum(0) for x in at.per_token])
    # The mask of all tokens is one mask: nothing about it varies.
    weight = np.where(masks.mask.all(axis=1, keepdims=True), 0.0, weight)
    noise = [(weight**2 * (at.visible == count)).sum() for count in range(3)]
    return sums, np.array([(weight.sum(1) ** 2).sum(), 2 * (weight[:, 1:] * weight[:, :-1]).sum(), *noise])
