"""Two-way weights are generalised least squares, worked out here with the covariance matrix written down."""

import numpy as np
import pytest

from vrpo_theory import Budget
from vrpo_theory.designs.strata import Strata
from vrpo_theory.randomness import Address
from vrpo_theory.weightings.plain import PLAIN
from vrpo_theory.weightings.two_way import TwoWay

LENGTH, BUDGET = 6, Budget(5)


def masks(seed):
    return Strata().draw(Address(seed, "strata", BUDGET.n_t, 1, b"key", 0).uniforms(), LENGTH, BUDGET)


def least_squares(drawn, rho, slope):
    """Best linear unbiased weights, by Aitken's formula.

    The term of token i in mask k is a fixed effect of the mask, plus a random effect of the token of variance 1/rho
    (and a random slope in l, alike), plus an error of variance 1. What is estimated is the sum of mask effects that
    has plain weighting's coefficients.
    """
    mask, token = np.nonzero(drawn.mask)
    count = drawn.mask.sum(1)[mask]
    position = (count - (LENGTH + 1) / 2) / LENGTH
    same_token = token[:, None] == token
    covariance = np.eye(len(mask)) + same_token * (1 + slope * np.outer(position, position)) / rho
    effects = np.eye(len(drawn.mask))[mask]
    precision = np.linalg.inv(covariance)
    wanted = PLAIN.weights(drawn).sum(1)
    out = np.zeros(drawn.mask.shape)
    out[mask, token] = precision @ effects @ np.linalg.solve(effects.T @ precision @ effects, wanted)
    return out


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("slope", [True, False])
@pytest.mark.parametrize("rho", [0.3, 1.0, 5.0])
def test_weights_are_those_of_generalised_least_squares(rho, slope, seed):
    drawn = masks(seed)
    assert np.allclose(TwoWay(rho, slope).weights(drawn), least_squares(drawn, rho, slope), rtol=1e-10, atol=1e-12)


def test_the_slope_changes_the_weights():
    assert not np.allclose(TwoWay(1.0).weights(masks(0)), TwoWay(1.0, slope=False).weights(masks(0)), rtol=0.01)
