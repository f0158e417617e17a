"""Exact moments of importance ratios against all joint draws."""

import itertools
import math

import numpy as np
import pytest

from vrpo_theory import MODELS, Budget, Coupling, functionals, tabulate
from vrpo_theory.couplings import Contrast
from vrpo_theory.exact import contrast_moments, log_ratio, profiles, ratio_moments

(ANSWERS,) = tabulate([MODELS["tabular"].case(1, 2)])
RESPONSE = ANSWERS.pair.chosen
TRUTH = ANSWERS.policy[RESPONSE].elbo - ANSWERS.reference[RESPONSE].elbo


def atoms(shared):
    """Probability and value of one mask's term of D_hat, by the equations."""

    def terms(model):
        return [(0.5 / math.comb(2, b.bit_count()), 2 / b.bit_count() * model[RESPONSE].sums[b]) for b in (1, 2, 3)]

    policy, reference = terms(ANSWERS.policy), terms(ANSWERS.reference)
    if shared:
        return [(p, x - y) for (p, x), (_, y) in zip(policy, reference, strict=True)]
    return [(p * q, x - y) for (p, x), (q, y) in itertools.product(policy, reference)]


def brute(estimator, shared, n_t):
    first = second = 0.0
    for draws in itertools.product(atoms(shared), repeat=n_t):
        prob = math.prod(p for p, _ in draws)
        value = functionals.value(estimator, np.exp, [x for _, x in draws]) / math.exp(TRUTH)
        first, second = first + prob * value, second + prob * value**2
    return first - 1, second - first**2


@pytest.mark.parametrize(
    ("estimator", "shared", "n_t"),
    [(e, s, n) for e, s in itertools.product(("plug-in", "jackknife"), (True, False)) for n in (1, 2, 3, 4)],
)
def test_moments_are_those_of_all_joint_draws(estimator, shared, n_t):
    x = log_ratio(ANSWERS, "chosen", Coupling(shared))
    if estimator == "jackknife" and n_t == 1:
        with pytest.raises(ValueError, match="take n_t >= 2"):
            ratio_moments(x, n_t, estimator)
        return
    if not shared and n_t == 4:
        return
    found = ratio_moments(x, n_t, estimator)
    bias, variance = brute(estimator, shared, n_t)
    assert found.bias == pytest.approx(bias, rel=1e-10)
    assert found.variance == pytest.approx(variance, rel=1e-9)


def test_variance_of_a_term_is_lemma_5s():
    case = MODELS["tabular"].case(3, 6)
    (answers,) = tabulate([case])
    moments = contrast_moments(profiles(answers)["rejected"], Contrast("rejected", (1.0, -1.0)))
    for n_yt in (1, 3):
        x = log_ratio(answers, "rejected", Coupling(), n_yt)
        assert x.variance == pytest.approx(moments.v_time + moments.v_mask / n_yt, rel=1e-10)


def test_the_poisson_variance_by_its_own_series():
    """Conditional on K the factors are independent: sum the series of second moments."""
    x, rate, offset = log_ratio(ANSWERS, "chosen", Coupling()), 3.0, 0.4
    centre = TRUTH - rate + offset
    square = sum(p * ((v - centre) / rate) ** 2 for p, v in atoms(True))
    series = sum(math.exp(-rate) * (rate * square) ** k / math.factorial(k) for k in range(80))
    expected = math.exp(2 * (rate + centre - TRUTH)) * series - 1
    assert ratio_moments(x, rate, "poisson", offset=offset).variance == pytest.approx(expected, rel=1e-10)


def test_a_ratio_is_inflated_and_the_jackknife_deflates_it():
    case = MODELS["markov"].case(0, 8)
    (answers,) = tabulate([case])
    x = log_ratio(answers, "chosen", Coupling())
    plug_in, jackknife = (ratio_moments(x, 8, e) for e in ("plug-in", "jackknife"))
    assert plug_in.bias == pytest.approx(x.variance / 16, rel=0.5)
    assert 0 < abs(jackknife.bias) < 0.3 * plug_in.bias


def test_linear_rewards_need_no_correction():
    """A log-ratio is linear: every estimator of it is the mean of its blocks."""
    x = np.array([0.3, -2.0, 1.4])
    for estimator in functionals.ESTIMATORS:
        assert functionals.value(estimator, lambda v: v, x) == pytest.approx(x.mean(), rel=1e-12)
    assert Budget(3).n == 3
