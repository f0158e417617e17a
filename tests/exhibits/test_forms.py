"""Time against count form: variances against profiles and closed forms, bias against exact ELBOs, lines drawn."""

import itertools
import math

import numpy as np
import pytest

from vrpo_theory import (
    DESIGNS,
    EXHIBITS,
    MODELS,
    Budget,
    Scheme,
    margin_variance,
    profiles,
    tabulate,
    true_margin,
)
from vrpo_theory.reproduce import Context

EXHIBIT = EXHIBITS["forms"]
FLOORS = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]


@pytest.fixture(scope="module")
def cells():
    return EXHIBIT.documents(Context(limit=2))


def select(cells, row, model, **column):
    found = [c for c in cells if c["row"] == row and c["column"]["model"] == model]
    return [c for c in found if all(c["column"].get(k) == v for k, v in column.items())]


def test_variances_are_the_exact_ones(cells):
    answers = tabulate([MODELS["markov"].case(seed, 8) for seed in range(2)])
    designs = {None: DESIGNS["iid_count"](), **{floor: DESIGNS["iid_time"](floor) for floor in FLOORS[:3]}}
    for floor, design in designs.items():
        found = [0.04 * margin_variance(profiles(a), Scheme(design, budget=Budget(8, 1))) for a in answers]
        form = {"form": "count"} if floor is None else {"form": "time", "floor": floor}
        (cell,) = select(cells, "var_score", "markov", **form)
        assert cell["value"] == pytest.approx(sum(found) / 2, rel=1e-12)


def test_ratios_are_to_the_count_form(cells):
    for model in ("rough table", "mid table", "markov", "toy LLaDA"):
        (base,) = select(cells, "var_score", model, form="count")
        values, ratios = (select(cells, row, model) for row in ("var_score", "var_score_ratio"))
        assert [r["value"] for r in ratios] == pytest.approx([v["value"] / base["value"] for v in values])
        assert ratios[0]["value"] == 1


def test_a_decade_of_floor_costs_the_same_again(cells):
    """The divergence: V grows by a constant a decade, so that it has no limit."""
    for model in ("rough table", "mid table", "markov", "toy LLaDA"):
        values = [c["value"] for c in select(cells, "var_score_ratio", model, form="time")]
        steps = np.diff(values)
        assert (steps > 0).all()
        assert steps[-1] == pytest.approx(steps[-2], rel=0.01)
        assert values[1] > 1


def test_bias_is_that_of_the_floor(cells):
    """Against enumeration of masks with a quadrature in t of another kind."""
    (answer,) = tabulate([MODELS["tabular"].case(0, 8)])
    node, weight = np.polynomial.legendre.leggauss(40)
    t = 0.1 + 0.9 * (1 + node) / 2
    margin = 0.0
    for sign, side in ((1, "chosen"), (-1, "rejected")):
        response = answer.pair.side(side)
        gain = answer.policy[response].sums - answer.reference[response].sums
        counts = answer.policy[response].counts
        chance = t[:, None] ** counts * (1 - t[:, None]) ** (8 - counts)
        margin += sign * float((weight / 2 / t) @ (chance @ gain))
    cells = EXHIBIT.documents(Context(cases={"rough table": [MODELS["tabular"].case(0, 8)]}))
    (cell,) = select(cells, "bias_score", "rough table", form="time", floor=0.1)
    assert cell["value"] == pytest.approx(0.2 * (margin - true_margin(answer)), rel=1e-9)
    (count,) = select(cells, "bias_score", "rough table", form="count")
    assert abs(count["value"]) < 1e-12


def test_independent_tokens_against_the_binomial_law(cells):
    """V(N/t), N binomial: the quantile form of t by a midpoint rule on ten thousand points; the count form has none."""
    for length, floor in itertools.product((8, 64), (1e-1, 1e-2)):
        (cell,) = select(cells, "var_term", "independent tokens", L=length, form="time", floor=floor)
        t = floor + (1 - floor) * (np.arange(10_000) + 0.5) / 10_000
        assert cell["value"] == pytest.approx(np.mean(length * t * (1 - t) / t**2), rel=1e-3)
    lengths = [c["column"]["L"] for c in select(cells, "var_term", "independent tokens", form="count")]
    assert lengths == [8, 64, 512, 4096]
    assert all(abs(c["value"]) < 1e-20 for c in select(cells, "var_term", "independent tokens", form="count"))


def test_lines_are_the_cells(cells, drawn, tmp_path):
    figure = EXHIBIT.plot(cells)
    left, right = map(drawn, figure.axes)
    for model, points in left.items():
        part = select(cells, "var_score_ratio", model, form="time")
        assert points == [[c["column"]["floor"], c["value"]] for c in part]
    for label, points in right.items():
        part = select(cells, "var_term", "independent tokens", form="time", L=int(label.removeprefix("L = ")))
        assert points == [[c["column"]["floor"], c["value"]] for c in part]
    assert (len(left), len(right)) == (4, 4)
    assert all(math.isfinite(y) for points in (left | right).values() for _, y in points)
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
