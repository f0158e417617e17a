"""Limits of unbiased weights: attained where they should be, and passed by none that the package has."""

import math

import numpy as np
import pytest

from vrpo_theory import DESIGNS, WEIGHTINGS, Budget
from vrpo_theory.exact.limits import best_linear_variance, noise_limit
from vrpo_theory.weightings.plain import PLAIN


def independent(mask):
    return np.eye(mask.sum())


def token_effects(mask, share=0.8):
    """Terms of a token under different masks share a part of their variance."""
    token = np.nonzero(mask)[1]
    return (1 - share) * np.eye(len(token)) + share * (token[:, None] == token)


def variance_of(design, length, budget, weighting, covariance):
    """E omega' C omega over all joint draws."""
    found = 0.0
    for prob, masks in design.joint(length, budget):
        omega = weighting.weights(masks)[masks.mask]
        found += prob * omega @ covariance(masks.mask) @ omega
    return found


@pytest.mark.parametrize(("length", "limit"), [(8, 1.14), (64, 1.42), (256, 1.68), (1024, 1.97)])
def test_the_limit_on_noise(length, limit):
    assert round(noise_limit(length), 2) == limit


@pytest.mark.parametrize("name", ["iid_count", "strata", "power_strata", "fractional_strata", "balanced_descending"])
def test_plain_weights_are_best_on_noise_and_stay_below_its_limit(name):
    design, length, budget = DESIGNS[name](), 4, Budget(2)
    best = best_linear_variance(design, length, budget, independent)
    assert math.isclose(best, variance_of(design, length, budget, PLAIN, independent), rel_tol=1e-10)
    base = variance_of(DESIGNS["iid_count"](), length, budget, PLAIN, independent)
    assert base / best <= noise_limit(length) * (1 + 1e-12)


@pytest.mark.parametrize("name", ["strata", "balanced_by_length"])
def test_no_weights_pass_the_best_given_the_covariance(name):
    design, length, budget = DESIGNS[name](), 4, Budget(2)
    best = best_linear_variance(design, length, budget, token_effects)
    found = {}
    for kind in WEIGHTINGS.members():
        for weighting in kind.examples():
            try:
                weighting.check(design)
            except ValueError:
                continue
            found[weighting.spec] = variance_of(design, length, budget, weighting, token_effects)
    assert all(variance >= best * (1 - 1e-12) for variance in found.values())
    assert min(found.values()) < 1.1 * best < found["plain()"]
