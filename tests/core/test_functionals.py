"""Functions of a mean: by hand, by all joint draws, and by autograd."""

import itertools
import math

import numpy as np
import pytest
import torch

from vrpo_theory import functionals
from vrpo_theory.numerics import log_sigmoid, sigmoid

PROB, VALUE = np.array([0.2, 0.5, 0.3]), np.array([-1.0, 0.4, 2.0])


def loss(x):
    return -log_sigmoid(x)


def slope(x):
    return -sigmoid(-np.asarray(x))


def expectation(f, m):
    """E f(x_1, ..., x_m) over all joint draws."""
    return sum(math.prod(PROB[list(i)]) * np.asarray(f(VALUE[list(i)])) for i in itertools.product(range(3), repeat=m))


def test_by_hand():
    x = np.array([1.0, 3.0, 8.0])
    assert functionals.value("plug-in", np.square, x) == 16.0
    assert functionals.value("leave-one-out", np.square, x) == pytest.approx((5.5**2 + 4.5**2 + 2.0**2) / 3)
    jackknife = 3 * 16.0 - 2 * (5.5**2 + 4.5**2 + 2.0**2) / 3
    assert functionals.value("jackknife", np.square, x) == pytest.approx(jackknife)


def test_the_jackknife_is_unbiased_for_squares():
    mean = PROB @ VALUE
    assert expectation(lambda x: functionals.value("jackknife", np.square, x), 3) == pytest.approx(mean**2, rel=1e-12)


@pytest.mark.parametrize("g", [loss, np.exp], ids=["loss", "exp"])
def test_the_jackknife_removes_the_first_order(g):
    truth = float(g(np.array([PROB @ VALUE]))[0])
    bias = {
        (name, m): abs(expectation(lambda x, name=name: functionals.value(name, g, x), m) - truth)
        for name in ("plug-in", "jackknife")
        for m in (3, 6)
    }
    assert bias["plug-in", 3] / bias["plug-in", 6] == pytest.approx(2, rel=0.25)
    assert bias["jackknife", 3] / bias["jackknife", 6] > 3
    assert bias["jackknife", 6] < 0.2 * bias["plug-in", 6]


@pytest.mark.parametrize("estimator", ["plug-in", "jackknife"])
def test_slopes_are_the_gradient_of_the_value(estimator):
    x = torch.tensor([0.3, -1.2, 2.0, 0.1], dtype=torch.float64, requires_grad=True)
    m = len(x)
    f = torch.nn.functional.logsigmoid
    value = -f(x.mean())
    if estimator == "jackknife":
        left = (x.sum() - x) / (m - 1)
        value = -m * f(x.mean()) + (m - 1) * f(left).mean()
    assert float(value.detach()) == pytest.approx(functionals.value(estimator, loss, x.detach().numpy()), rel=1e-12)
    value.backward()
    found = functionals.slopes(estimator, slope, x.detach().numpy()) / m
    assert np.allclose(found, x.grad.numpy(), rtol=1e-12)


def test_left_out_slopes_do_not_covary_with_their_block():
    """E mean_k c_k g_k = E g'(mean of m - 1) E g_1, with g_k a function of x_k: exactly, over all joint draws."""
    gradient = VALUE**2 + 1

    def estimate(x):
        g = x**2 + 1
        return float(np.mean(functionals.slopes("leave-one-out", slope, x) * g))

    expected = expectation(lambda x: slope(x.mean()), 3) * (PROB @ gradient)
    assert expectation(estimate, 4) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("estimator", ["jackknife", "leave-one-out"])
def test_one_block_is_refused(estimator):
    with pytest.raises(ValueError, match="two independent blocks, got 1"):
        functionals.value(estimator, loss, [0.3])
    with pytest.raises(ValueError, match="two independent blocks, got 1"):
        functionals.slopes(estimator, slope, [0.3])


def test_unknown_estimators_are_named():
    with pytest.raises(ValueError, match="choose from: plug-in, jackknife, leave-one-out"):
        functionals.value("bootstrap", loss, [0.3, 0.4])


def test_poisson_estimates_have_the_ratio_as_mean():
    """Sum over the number of terms and over all draws, to 12 digits of the tail."""
    rate, centre, mean = 1.5, -0.7, PROB @ VALUE
    total = 0.0
    for k in range(40):
        weight = math.exp(-rate) * rate**k / math.factorial(k)
        if k <= 6:
            total += weight * float(expectation(lambda x: functionals.poisson_ratio(x, rate, centre), k))
        else:  # the terms are independent: the mean of the product is the product of the means
            total += weight * functionals.poisson_ratio([mean] * k, rate, centre)
    assert total == pytest.approx(math.exp(mean), rel=1e-12)
