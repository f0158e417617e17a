"""Errors of numbers: what they cover, how many digits they are worth, what they let one say."""

import math

import numpy as np
import pytest
from scipy.stats import t

from vrpo_theory import DESIGNS, MODELS, Budget, Scheme, estimate_scores, tabulate, true_margin
from vrpo_theory.numerics import jackknife, pooled_df
from vrpo_theory.reproduce.exhibits.table3 import order
from vrpo_theory.types import Estimate
from vrpo_theory.uncertainty import clear_of, quotient, ratio_of_sums, with_error

(ANSWERS,) = tabulate([MODELS["tabular"].case(2, 5)])


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ((0.02467, 0.00071), "0.0247(7)"),
        ((0.02467, 0.00071, 200.0), "0.02467(71)"),
        ((0.25, 0.096, 1.0), "0.25(10)"),
        ((1234.0, 132.0), "1200(100)"),
        ((3.2e-8, 4e-9), "3.2(4)e-8"),
        ((-0.001, 0.3), "0.0(3)"),
        ((4.0, 0.0), "4"),
        ((None, None), "-"),
    ],
)
def test_digits_end_where_the_error_does(number, text):
    assert with_error(*number) == text


def test_degrees_of_freedom_add_up():
    assert pooled_df([1.0, 1.0], [7, 7]) == pytest.approx(14)
    assert pooled_df([1.0, 0.0], [7, 7]) == pytest.approx(7)
    assert pooled_df([0.0, 0.0], [7, 7]) == 14


def test_the_jackknife_of_a_mean_is_its_standard_error():
    x = np.array([1.0, 4.0, 2.0, 9.0])
    left = np.array([np.delete(x, k).mean() for k in range(4)])
    assert jackknife(4.0, left[None]).stderr == pytest.approx(x.std(ddof=1) / 2, rel=1e-12)


def test_ratios_know_what_shares_its_draws():
    left = np.array([[1.0, 2.0, 1.5, 0.5]])
    one, four = jackknife(1.25, left), jackknife(5.0, 4 * left)
    assert (quotient(four, one).value, quotient(four, one).stderr) == (4.0, 0.0)
    apart = quotient(Estimate(5.0, four.stderr), Estimate(1.25, one.stderr))
    assert apart.stderr == pytest.approx(4 * math.sqrt(2) * one.stderr / 1.25)
    assert ratio_of_sums([four, four], [one, Estimate(1.25, 0.0)]).stderr > 0


def test_a_verdict_needs_an_error_that_it_clears():
    """One degree of freedom needs 235 standard errors for what three say of a normal law."""
    assert not clear_of(Estimate(2.0, 0.01, df=1), 1.0, 3.0)
    assert clear_of(Estimate(2.0, 0.01, df=30), 1.0, 3.0)
    ratio = {"value": 2.0, "stderr": None, "df": None}
    assert order(ratio, 8.0, 4.0, exact=False) == "inconclusive"
    assert order(ratio, 8.0, 4.0, exact=True) == "order holds"
    assert order(ratio | {"stderr": 0.0}, 2.0, 4.0, exact=False) == "order fails"
    assert order(ratio | {"value": None}, 8.0, 4.0, exact=True) is None


@pytest.mark.statistical(rate=1e-9, detects="95% intervals that cover less than 80%")
@pytest.mark.parametrize(
    ("design", "budget", "groups"), [("iid_count", 8, 1), ("power_strata", 4, 2), ("strata", 4, 4)]
)
def test_nominal_intervals_cover(design, budget, groups):
    """Student's t with the given degrees of freedom, 600 scores: six deviations of a coverage of 94% are 6%."""
    truth = true_margin(ANSWERS)
    found = [
        estimate_scores([ANSWERS], Scheme(DESIGNS[design](), budget=Budget(budget), groups=groups), seed=s)[0].margin
        for s in range(600)
    ]
    inside = [abs(f.value - truth) <= t.ppf(0.975, f.df) * f.stderr for f in found]
    assert np.mean(inside) > 0.87
