"""Every loss: its slope is its derivative, its curvature a bound, and its bias what the exact engine says."""

import itertools
import math

import numpy as np
import pytest

from vrpo_theory import LOSSES, MODELS, Budget, Scheme, functionals, tabulate, true_margin
from vrpo_theory.exact import loss_estimator, loss_moments, score_law

MEMBERS = [example for name in LOSSES.names() for example in LOSSES[name].examples()]
every = pytest.mark.parametrize("loss", MEMBERS, ids=lambda loss: loss.spec)
GRID = np.linspace(-8, 8, 65)
BETA = 0.7
(CASE,) = tabulate([MODELS["tabular"].case(1, 3)])


@every
def test_the_slope_is_the_derivative(loss):
    """Central differences: an error of h^2/6 max|f'''|, and the rounding of f over h."""
    h = 1e-4
    found = (loss.value(GRID + h) - loss.value(GRID - h)) / (2 * h)
    rounding = 2 * np.finfo(float).eps * np.abs(loss.value(GRID)).max() / h
    assert np.abs(found - loss.slope(GRID)).max() < h**2 + rounding


@every
def test_the_curvature_is_the_largest(loss):
    second = np.diff(loss.slope(GRID)) / np.diff(GRID)
    assert loss.curvature * 0.98 < np.abs(second).max() <= loss.curvature * (1 + 1e-9)


@every
def test_the_spec_builds_it_again(loss):
    assert LOSSES.build(loss.spec) == loss


@every
@pytest.mark.parametrize("estimator", functionals.ESTIMATORS)
def test_exact_moments_are_those_of_all_joint_draws(loss, estimator):
    """Two timesteps of a mask each, on the law of one timestep's score."""
    one = score_law(CASE, Scheme(budget=Budget(1)), BETA)
    first = second = 0.0
    for atoms in itertools.product(zip(one.prob, one.value, strict=True), repeat=2):
        prob = math.prod(p for p, _ in atoms)
        value = functionals.value(estimator, loss.value, [x for _, x in atoms])
        first, second = first + prob * value, second + prob * value**2
    found = loss_estimator(CASE, Scheme(budget=Budget(2)), BETA, estimator, loss)
    assert found.bias == pytest.approx(first - float(loss.value(BETA * true_margin(CASE))), abs=1e-7)
    assert found.variance == pytest.approx(second - first**2, rel=1e-5)


@every
@pytest.mark.parametrize("n_t", [1, 4])
def test_the_bias_is_within_its_bound(loss, n_t):
    law = score_law(CASE, Scheme(budget=Budget(n_t)), BETA)
    found = loss_moments(law, BETA * true_margin(CASE), loss)
    bound = loss.bias_bound(law.variance)
    assert abs(found.bias) <= bound + found.error
    if loss.name == "ipo":  # a parabola
        assert found.bias == pytest.approx(bound, abs=found.error + 1e-9)


@pytest.mark.parametrize("flip", [-0.1, 0.5, 2.0])
@pytest.mark.parametrize("name", ["smoothed", "robust"])
def test_shares_of_flipped_labels_are_bounded(name, flip):
    with pytest.raises(ValueError, match="flip must be"):
        LOSSES[name](flip)


def test_flipped_labels_average_out():
    """Robust DPO's mean over labels of which a share is flipped is DPO's loss."""
    flip, robust, plain = 0.2, LOSSES["robust"](0.2), LOSSES["dpo"]()
    mean = (1 - flip) * robust.value(GRID) + flip * robust.value(-GRID)
    assert np.abs(mean - plain.value(GRID)).max() < 1e-12
