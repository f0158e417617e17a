"""The budget notebook's numbers, held against what figures/ stores, the lines drawn, and the paper's statements."""

import json
import math
from pathlib import Path

import pytest

from vrpo_theory import EXHIBITS
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.comparison import differences

STORED = Path(__file__).parents[2] / "figures" / "allocation.json"
EXHIBIT = EXHIBITS["allocation"]


@pytest.fixture(scope="module")
def cases():
    return EXHIBIT.cases(Context())


@pytest.fixture(scope="module")
def cells(cases):
    return EXHIBIT.documents(Context(cases=cases))


def test_numbers_are_the_stored_ones(cells, cases):
    assert list(differences(json.loads(STORED.read_text())["cells"], cells, cases)) == []


def test_lines_are_the_numbers(cells, drawn):
    figure = EXHIBIT.plot(cells)
    lines = {(ax.get_title(), label): points for ax in figure.axes for label, points in drawn(ax).items()}
    for (model, label), points in lines.items():
        n = int(label.split(",")[0].removeprefix("n = "))
        expected = [
            [c["column"]["n_yt"], c["value"]]
            for c in cells
            if c["row"] == "var_score"
            and c["column"]["model"] == model
            and c["column"]["n"] == n
            and c["column"]["shared"] == ("not" not in label)
        ]
        assert points == expected
    assert len(lines) == 4 * 2 * 2


def test_proposition_1_timesteps_first_is_best(cells):
    ratios = [c for c in cells if c["row"] == "var_score_ratio" and c["column"]["shared"]]
    assert {c["value"] for c in ratios if c["column"]["n_yt"] == 1} == {1.0}
    assert all(c["value"] > 1 for c in ratios if c["column"]["n_yt"] > 1)


def test_lemma_5_ties_the_columns_together(cells):
    """Within a model the sixteen variances have two unknowns: any two columns give all the others."""
    for model in {c["column"]["model"] for c in cells}:
        found = {
            (c["column"]["n_t"], c["column"]["n_yt"]): c["value"]
            for c in cells
            if c["row"] == "var_score" and c["column"]["model"] == model and c["column"]["shared"]
        }
        v_time = (found[2, 2] - found[4, 1]) * 4
        v_mask = found[4, 1] * 4 - v_time
        assert all(math.isclose(v_time / t + v_mask / (t * y), v, rel_tol=1e-9) for (t, y), v in found.items())


def test_picture_is_drawn(cells, tmp_path):
    path = tmp_path / "figure.png"
    EXHIBIT.plot(cells).savefig(path)
    assert path.stat().st_size > 10_000
