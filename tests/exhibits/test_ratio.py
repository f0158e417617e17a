"""Importance ratios: cells against the engine, and the picture against the cells."""

import math

import pytest

from vrpo_theory import EXHIBITS, MODELS, Coupling, profiles, tabulate
from vrpo_theory.couplings import Contrast
from vrpo_theory.exact import contrast_moments, log_ratio, ratio_moments
from vrpo_theory.reproduce import Context

EXHIBIT = EXHIBITS["ratio"]
CASES = [MODELS["tabular"].case(s, 5) for s in range(2)]
ANSWERS = tabulate(CASES)


@pytest.fixture(scope="module")
def cells():
    return EXHIBIT.documents(Context(cases={"rough table": CASES}))


def value(cells, row, **column):
    (found,) = [c["value"] for c in cells if c["row"] == row and c["column"] == {"model": "rough table", **column}]
    return found


@pytest.mark.parametrize("estimator", ["plug-in", "jackknife", "poisson"])
def test_ratios_are_the_engines_means_over_pairs(cells, estimator):
    for n in (4, 16):
        found = [ratio_moments(log_ratio(a, "chosen", Coupling()), n, estimator) for a in ANSWERS]
        bias = sum(f.bias for f in found) / 2
        assert value(cells, "ratio_bias", estimator=estimator, n=n) == pytest.approx(bias, rel=1e-12)
        deviation = sum(math.sqrt(f.variance) for f in found) / 2
        assert value(cells, "ratio_deviation", estimator=estimator, n=n) == pytest.approx(deviation, rel=1e-12)


def test_linear_terms_follow_lemma_5(cells):
    for term, coefficients in (("likelihood", (1.0, 0.0)), ("log-ratio", (1.0, -1.0))):
        moments = [contrast_moments(profiles(a)["chosen"], Contrast("chosen", coefficients)) for a in ANSWERS]
        for n in (1, 8):
            expected = sum(m.v_time + m.v_mask for m in moments) / n / 2
            assert value(cells, "var_term", term=term, n=n) == pytest.approx(expected, rel=1e-12)


def test_the_plug_in_is_inflated_and_its_first_order_says_by_how_much(cells):
    for n in (8, 16):
        bias, local = (value(cells, row, estimator="plug-in", n=n) for row in ("ratio_bias", "ratio_bias_local"))
        assert 0 < local < bias < 1.6 * local
        assert abs(value(cells, "ratio_bias", estimator="jackknife", n=n)) < bias / 3
        assert value(cells, "ratio_bias", estimator="poisson", n=n) == 0


def test_lines_are_the_cells(cells, drawn):
    (ax,) = EXHIBIT.plot(cells).axes
    labels = {"ratio_bias": "bias", "ratio_deviation": "standard deviation"}
    expected = {}
    for c in cells:
        estimator = c["column"].get("estimator")
        if c["row"] in labels and (c["row"], estimator) != ("ratio_bias", "poisson"):
            points = expected.setdefault(f"{estimator}, {labels[c['row']]}", [])
            points.append([c["column"]["n"], abs(c["median"])])
    assert drawn(ax) == expected
    assert len(expected) == 5
