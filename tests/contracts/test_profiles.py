"""Profiles from enumeration, from the gap recursion and from Monte Carlo agree wherever two of them apply."""

import math

import numpy as np
import pytest

from vrpo_theory import MODELS, elbo, tabulate
from vrpo_theory.exact import block_profiles, gap_profile
from vrpo_theory.randomness import Address

LENGTH, DRAWS = 8, 600


@pytest.mark.statistical(
    rate=2e-9, detects="a mean off by a quarter, a variance off by three quarters of its deviation"
)
@pytest.mark.parametrize("name", MODELS.names())
def test_three_ways_to_a_profile(name):
    case = MODELS[name].case(0, LENGTH)
    (answers,) = tabulate([case])
    for part, known in zip(case.parts("chosen"), block_profiles(answers)["chosen"], strict=True):
        if hasattr(case.policy, "gap_sums"):
            found = gap_profile(part, case.policy, case.reference)
            assert np.allclose(found.mean, known.mean, atol=1e-10)
            assert np.allclose(found.covariance, known.covariance, atol=1e-10)
        sampled(part, known, [answers.policy, answers.reference])


def sampled(part, known, models):
    length = part.length
    uniforms = Address(0, "profile", length, DRAWS, part.key).uniforms().mask(length, DRAWS, length)
    for count in range(1, length + 1):
        mask = uniforms[count - 1].argsort(1).argsort(1) < count
        sums = np.stack([x[0].sum(1) for x in elbo.sweep([(part, mask)], models)], 1)
        error = np.sqrt(np.diag(known.covariance[count]) / DRAWS)
        assert (np.abs(sums.mean(0) - known.mean[count]) <= 6.5 * error + 1e-6).all()
        centred = (sums - known.mean[count]) ** 2
        spread = centred.std(0) / math.sqrt(DRAWS)
        assert (np.abs(centred.mean(0) - np.diag(known.covariance[count])) <= 8 * spread + 1e-6).all()
