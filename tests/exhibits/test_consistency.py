"""The printed ablation against Lemma 5: the known fit, found again, and a fit that recovers what it was made from."""

import math

import pytest

from vrpo_theory import EXHIBITS, Budget
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.exhibits.consistency import fit
from vrpo_theory.reproduce.paper import tables

EXHIBIT = EXHIBITS["consistency"]
PRINTED = {(4, 1): 2.2, (1, 1): 44.0, (8, 1): 1.0, (1, 4): 7.3, (2, 2): 4.7}


@pytest.fixture(scope="module")
def cells():
    return EXHIBIT.documents(Context())


def one(cells, row):
    (cell,) = [c for c in cells if c["row"] == row]
    return cell["value"]


def by_budget(cells, row):
    return {(c["column"]["n_t"], c["column"]["n_yt"]): c for c in cells if c["row"] == row}


def test_best_fit_without_1x1(cells):
    assert round(one(cells, "v_time"), 1) == 7.8
    assert round(one(cells, "v_mask"), 1) == 0.8
    assert round(one(cells, "rms_residual"), 2) == 0.09
    assert round(by_budget(cells, "var_score")[1, 1]["value"], 1) == 8.6


def test_no_other_components_fit_better(cells):
    def badness(v_time, v_mask):
        return sum(
            math.log((v_time / t + v_mask / (t * y)) / v) ** 2 for (t, y), v in PRINTED.items() if (t, y) != (1, 1)
        )

    v_time, v_mask = one(cells, "v_time"), one(cells, "v_mask")
    best = badness(v_time, v_mask)
    assert math.sqrt(best / 4) == pytest.approx(one(cells, "rms_residual"))
    assert all(badness(v_time + a, v_mask + b) > best for a in (-0.02, 0, 0.02) for b in (-0.02, 0, 0.02) if a or b)


def test_only_the_column_left_out_differs(cells):
    found = by_budget(cells, "var_score")
    assert {key: c["paper"] for key, c in found.items()} == PRINTED
    assert {key: c["verdict"] for key, c in found.items() if c["verdict"]} == {(1, 1): "differs"}
    residuals = {key: c["value"] for key, c in by_budget(cells, "log_residual").items()}
    assert max(abs(r) for key, r in residuals.items() if key != (1, 1)) < 0.15 < 1.6 < -residuals[1, 1]


def test_one_number_should_stand_in_three_columns(cells):
    found = by_budget(cells, "n_t_var_score")
    assert {key: round(c["paper"], 9) for key, c in found.items()} == {(4, 1): 8.8, (1, 1): 44.0, (8, 1): 8.0}
    assert len({round(c["value"], 9) for c in found.values()}) == 1


def test_consistent_variances_are_recovered_and_agree():
    made = {Budget(t, y): 3.0 / t + 5.0 / (t * y) for t, y in PRINTED}
    moments = fit(made)
    assert (moments.v_time, moments.v_mask) == (pytest.approx(3.0), pytest.approx(5.0))


def test_an_obeying_table_is_not_accused(monkeypatch):
    table = tables()["table2_ablation"]
    monkeypatch.setitem(table["rows"], "var_score", [2.2, 8.0, 1.0, 7.3, 4.7, 2183.7])
    assert by_budget(EXHIBIT.documents(Context()), "var_score")[1, 1]["verdict"] == "agrees"


def test_repeats_needed(cells):
    """3.125 (1 + CV^2)(kappa4 - 1) at 128 pairs and 5%."""
    found = [c for c in cells if c["row"] == "repeats_needed"]
    assert {c["paper"] for c in found} == {tables()["variance_protocol"]["repeats"]} == {8}
    for c in found:
        expected = 3.125 * (1 + c["column"]["variation"] ** 2) * (c["column"]["kurtosis"] - 1)
        assert c["value"] == pytest.approx(expected)


def test_points_and_lines_are_the_cells(cells, drawn, tmp_path):
    figure = EXHIBIT.plot(cells)
    variances, repeats = figure.axes
    assert [[y for _, y in points] for points in drawn(variances).values()] == [
        [c[key] for c in by_budget(cells, "var_score").values()] for key in ("paper", "value")
    ]
    lines = drawn(repeats)
    for variation in (0, 1, 2):
        part = [c for c in cells if c["row"] == "repeats_needed" and c["column"]["variation"] == variation]
        expected = [[c["column"]["kurtosis"], c["value"]] for c in part]
        assert lines[f"variation over pairs {variation}"] == expected
    assert {y for _, y in lines["made"]} == {8}
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
