"""The ablation: its cells agree with one another, with Lemma 5, and with the printed table's shape."""

import math

import pytest

from vrpo_theory import EXHIBITS, MODELS, Budget, Coupling, Scheme, margin_variance, profiles, tabulate
from vrpo_theory.designs import DESIGNS
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.paper import tables
from vrpo_theory.reproduce.summary import over_pairs, ratio_of_means
from vrpo_theory.types import Estimate

EXHIBIT = EXHIBITS["table3"]
CONFIGURATIONS = [(4, 1, True), (1, 1, True), (8, 1, True), (1, 4, True), (2, 2, True), (4, 1, False)]


MODELS_SHOWN, METHODS = ("toy LLaDA", "markov"), ("exact", "mc")


@pytest.fixture(scope="module")
def cells():
    """Short responses and few repeats: every row is there, and the rows agree with one another."""
    short = {"toy LLaDA": ("llada", 3), "markov": ("markov", 5)}
    cases = {label: [MODELS[name].case(seed, length) for seed in range(2)] for label, (name, length) in short.items()}
    return EXHIBIT.documents(Context(cases=cases), repeats=5)


@pytest.fixture(scope="module")
def scores():
    """Many repeats, without the gradients, which take nearly all the time."""
    return EXHIBIT.documents(Context(limit=4), repeats=200, gradient="none")


def select(cells, row, method, model="markov"):
    found = [c for c in cells if (c["row"], c["method"], c["column"]["model"]) == (row, method, model)]
    return {(c["column"]["n_t"], c["column"]["n_yt"], c["column"]["shared"]): c for c in found}


def test_alias_is_its_number_in_the_second_version():
    assert EXHIBITS["table2"] is EXHIBIT


def test_columns_and_rows(cells):
    assert {c["column"]["model"] for c in cells} == {"markov", "toy LLaDA"}
    for row in ("var_score", "var_score_ratio", "var_loss", "bias_loss", "var_gradient"):
        assert list(select(cells, row, "mc")) == CONFIGURATIONS
    keys = [
        "row",
        "column",
        "value",
        "stderr",
        "df",
        "median",
        "interval",
        "n",
        "n_pairs",
        "unit",
        "method",
        "predicted",
        "paper",
        "verdict",
        "note",
    ]
    assert all(list(c) == keys for c in cells)


def test_exact_cells_are_the_mean_over_pairs_of_exact_variances(scores):
    answers = tabulate([MODELS["markov"].case(seed, 8) for seed in range(4)])
    design = DESIGNS["iid_count"]()
    for (n_t, n_yt, shared), cell in select(scores, "var_score", "exact").items():
        variances = [
            0.04 * margin_variance(profiles(a), Scheme(design, budget=Budget(n_t, n_yt), coupling=Coupling(shared)))
            for a in answers
        ]
        assert math.isclose(cell["value"], sum(variances) / 4, rel_tol=1e-12)
        assert cell["stderr"] is None
        assert cell["interval"][0] <= cell["value"] <= cell["interval"][1]


@pytest.mark.statistical(rate=1e-9, detects="a variance off by half (a factor 2 in n_t, beta, or sharing)")
def test_monte_carlo_agrees_with_exact_and_with_lemma_5(scores):
    """24 comparisons at 7 fourth-moment standard errors of means over four pairs."""
    for model in ("markov", "toy LLaDA"):
        exact, sampled = (select(scores, "var_score", m, model) for m in ("exact", "mc"))
        for key, cell in sampled.items():
            assert math.isclose(cell["predicted"], exact[key]["value"], rel_tol=1e-9)
            assert abs(cell["value"] - cell["predicted"]) < 7 * cell["stderr"]
            assert 7 * cell["stderr"] < 1.2 * cell["predicted"]


def test_ratios_are_ratios_and_verdicts_are_about_order(cells, scores):
    for method in ("exact", "mc"):
        values, ratios = select(cells, "var_score", method), select(cells, "var_score_ratio", method)
        for key, cell in ratios.items():
            assert math.isclose(cell["value"], values[key]["value"] / values[CONFIGURATIONS[0]]["value"], rel_tol=1e-12)
    exact = select(scores, "var_score_ratio", "exact")
    assert [c["verdict"] for c in exact.values()] == [None] + ["order holds"] * 5
    assert {c["verdict"] for c in cells} <= {None, "order holds", "order fails", "inconclusive"}


def test_printed_numbers_stand_beside_and_never_as_ours(cells):
    printed = tables()["table2_ablation"]["rows"]
    for row, numbers in printed.items():
        method = "mc" if row.startswith("var") else "paper"
        assert [c["paper"] for c in select(cells, row, method).values()] == numbers
    training = [c for c in cells if c["method"] == "paper"]
    assert len(training) == 2 * 9 * 6
    assert all(c["value"] is None and c["note"] == "not reproduced: needs training" for c in training)


def test_methods_can_be_asked_for():
    chains = {"markov": [MODELS["markov"].case(0, 6)]}
    for method, expected in (("exact", {"exact", "paper"}), ("mc", {"mc", "paper"})):
        cells = EXHIBIT.documents(Context(chains, method=method), repeats=5)
        assert {c["method"] for c in cells} == expected
        if method == "mc":
            assert all(c["value"] is None and "exact score" in c["note"] for c in cells if c["row"] == "bias_loss")


def test_without_tables_lemma_5_is_predicted_from_nested_draws():
    """Each shared column but the one the components come from; within 60% at 60 repeats."""
    cells = EXHIBIT.documents(Context(limit=2, method="mc"), repeats=60, gradient="none")
    found = select(cells, "var_score", "mc")
    assert [k for k, c in found.items() if c["predicted"] is None] == [(2, 2, True), (4, 1, False)]
    assert all(0.4 < c["predicted"] / c["value"] < 1.6 for c in found.values() if c["predicted"] is not None)


def test_proxy_gradient_is_smaller_than_the_full_one():
    rows = {}
    for gradient in ("full", "up-proj"):
        cases = {"toy LLaDA": [MODELS["llada"].case(0, 4)]}
        cells = EXHIBIT.documents(Context(cases=cases), repeats=6, gradient=gradient)
        rows[gradient] = select(cells, "var_gradient", "mc", "toy LLaDA")
    for key, cell in rows["up-proj"].items():
        assert 0 < cell["value"] < rows["full"][key]["value"]
        assert "up-projection" in cell["note"]


def test_dots_are_the_ratios(cells):
    figure = EXHIBIT.plot(cells)
    assert [ax.get_title() for ax in figure.axes] == [
        f"variance of the {what}" for what in ("score", "loss", "gradient")
    ]
    drawn = {c.get_label(): c for c in figure.axes[0].containers}
    shown = {f"{m}, {method}": select(cells, "var_score_ratio", method, m) for m in MODELS_SHOWN for method in METHODS}
    assert drawn.keys() == {"paper (8B)", *shown}
    for name, part in shown.items():
        assert list(drawn[name][0].get_ydata()) == [c["value"] for c in part.values()]
        (bars,) = drawn[name].lines[2]
        ends = [segment[:, 1] for segment in bars.get_segments() if len(segment)]
        assert [high - low for low, high in ends] == pytest.approx(
            [2 * c["stderr"] for c in part.values() if c["stderr"] is not None]
        )


def test_summary_of_pairs():
    estimates = [Estimate(1.0, 0.3), Estimate(3.0, 0.4)]
    summary = over_pairs(estimates, 0)
    assert (summary["value"], summary["median"], summary["n_pairs"]) == (2.0, 2.0, 2)
    assert summary["stderr"] == pytest.approx(0.25)
    assert over_pairs(estimates[:1], 0)["interval"] is None
    ratio = ratio_of_means([Estimate(2.0), Estimate(4.0)], [Estimate(1.0), Estimate(2.0)], 0)
    assert ratio["value"] == 2.0
    assert ratio["interval"] == (2.0, 2.0)
