"""The adversary reaches every sharp constant and breaks none."""

import numpy as np
import pytest

from vrpo_theory import STATEMENTS, sharpness
from vrpo_theory.numerics import log_sigmoid
from vrpo_theory.statements import loss

SEARCHED = [
    s for s in STATEMENTS.members() if s.relation == "<=" and s.domain in sharpness.DOMAINS and s.form == "sharp"
]


@pytest.mark.parametrize("statement", SEARCHED, ids=lambda s: s.name)
def test_a_sharp_constant_is_approached_and_never_exceeded(statement):
    found = sharpness.search(statement, starts=6)
    assert 0.99 <= found.ratio <= 1 + 1e-5


@pytest.mark.parametrize(("name", "used"), [("theorem1_variance", 0.25), ("lemma3_variance", 0.25), ("lemma4", 0.2862)])
def test_a_loose_constant_shows_its_slack(name, used):
    assert sharpness.search(STATEMENTS[name], starts=6).ratio == pytest.approx(used, rel=0.01)


def test_a_false_step_is_broken():
    assert sharpness.search(STATEMENTS["theorem4_printed_step"], starts=6).ratio > 1.4


def test_only_inequalities_between_laws_are_searched():
    for name in ("lemma2", "equation14"):
        with pytest.raises(ValueError, match="use its witness"):
            sharpness.search(STATEMENTS[name])


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (1.5, 0.5), (-2.0, 6.0)])
def test_the_bias_bound_is_the_value_of_its_moment_problem(mean, variance):
    """A linear programme over all laws on a grid: no two-point law is assumed."""
    grid = np.linspace(mean - 12, mean + 12, 2401)
    value, prob = sharpness.moment_problem(lambda x: log_sigmoid(mean) - log_sigmoid(x), grid, mean, variance)
    bound = float(loss.bias_bound(mean, variance))
    assert 0.99 * bound <= value <= bound * (1 + 1e-9)
    root = np.sqrt(mean**2 + variance)
    assert np.abs(np.abs(grid[prob > 1e-6]) - root).max() < 0.02


def test_moments_out_of_reach_are_refused():
    with pytest.raises(ValueError, match="widen the grid"):
        sharpness.moment_problem(np.abs, np.linspace(-1, 1, 11), 0.0, 9.0)
