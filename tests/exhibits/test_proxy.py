"""The proxy's cells against the engine, the picture against the cells, and the ablation's exact row beside them."""

import math

import numpy as np
import pytest
from scipy.stats import rankdata

from vrpo_theory import EXHIBITS, MODELS, Budget, Coupling, Scheme, tabulate
from vrpo_theory.exact import gradient_grams, leave_one_out_moments, loss_gradient_moments
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.paper import tables

EXHIBIT, BETA = EXHIBITS["proxy"], 0.2
CONFIGURATIONS = [(4, 1, True), (1, 1, True), (8, 1, True), (1, 4, True), (2, 2, True), (4, 1, False)]
LABELS = ["4x1", "1x1", "8x1", "1x4", "2x2", "4x1 apart"]
LEFT_OUT = [(4, 1, True), (8, 1, True), (4, 1, False)]
PARAMETERS = {"full": "full", "proxy": "up-proj"}


@pytest.fixture(scope="module")
def cases():
    return [MODELS["llada"].case(seed, 4) for seed in range(3)]


@pytest.fixture(scope="module")
def cells(cases):
    return EXHIBIT.documents(Context(cases={"toy LLaDA": cases}))


@pytest.fixture(scope="module")
def moments(cases):
    """(name, estimator, configuration) to the engine's moments of every pair; one selection of parameters at a time."""
    found = {}
    for case in cases:
        (answer,) = tabulate([case])
        for name, parameters in PARAMETERS.items():
            (gram,) = gradient_grams(case, (parameters,))
            for n_t, n_yt, shared in CONFIGURATIONS:
                arguments = answer, gram, Scheme(budget=Budget(n_t, n_yt), coupling=Coupling(shared)), BETA
                found.setdefault((name, "", n_t, n_yt, shared), []).append(loss_gradient_moments(*arguments))
                if (n_t, n_yt, shared) in LEFT_OUT:
                    found.setdefault((name, "_loo", n_t, n_yt, shared), []).append(leave_one_out_moments(*arguments))
    return found


def by_configuration(cells, row):
    part = [c for c in cells if c["row"] == row and "n_t" in c["column"]]
    return {(c["column"]["n_t"], c["column"]["n_yt"], c["column"]["shared"]): c for c in part}


def test_means_are_the_engine_s(cells, moments):
    for (name, kind, *setting), found in moments.items():
        for row, attribute in (("var", "variance"), ("bias", "bias_norm")):
            cell = by_configuration(cells, f"{row}_gradient_{name}{kind}")[tuple(setting)]
            assert cell["value"] == pytest.approx(np.mean([getattr(m, attribute) for m in found]), rel=1e-9)
            assert cell["n_pairs"] == 3
    for name in PARAMETERS:
        assert list(by_configuration(cells, f"bias_gradient_{name}_loo")) == LEFT_OUT


def test_ratios_and_shares_are_of_the_means(cells):
    values = {name: by_configuration(cells, f"var_gradient_{name}") for name in PARAMETERS}
    printed = tables()["table2_ablation"]["rows"]["var_gradient"]
    for k, key in enumerate(CONFIGURATIONS):
        share = by_configuration(cells, "share")[key]["value"]
        assert share == pytest.approx(values["proxy"][key]["value"] / values["full"][key]["value"], rel=1e-12)
        assert 0 < share < 1
        for name in PARAMETERS:
            ratio = by_configuration(cells, f"var_gradient_{name}_ratio")[key]
            base = values[name][4, 1, True]["value"]
            assert ratio["value"] == pytest.approx(values[name][key]["value"] / base, rel=1e-12)
            assert ratio["paper"] == (printed[k] / printed[0] if name == "proxy" else None)


def test_rank_correlations_are_pearson_s_of_the_ranks(cells):
    full, proxy = (
        np.array([c["value"] for c in cells if c["row"] == f"var_gradient_{name}" and "pair" in c["column"]])
        for name in PARAMETERS
    )

    def rank(x, y):
        return np.corrcoef(rankdata(x), rankdata(y))[0, 1]

    x, y = full.reshape(3, 6), proxy.reshape(3, 6)
    expected = {
        "all": rank(full, proxy),
        "within pairs": np.mean([rank(a, b) for a, b in zip(x, y, strict=True)]),
        "within configurations": np.mean([rank(a, b) for a, b in zip(x.T, y.T, strict=True)]),
    }
    found = {c["column"]["over"]: c["value"] for c in cells if c["row"] == "rank_correlation"}
    assert found == pytest.approx(expected)


def test_one_pair_ranks_configurations_only(cases):
    found = EXHIBIT.documents(Context(cases={"toy LLaDA": cases[:1]}))
    ranks = {c["column"]["over"]: c["value"] for c in found if c["row"] == "rank_correlation"}
    assert list(ranks) == ["all", "within pairs"]
    assert ranks["all"] == ranks["within pairs"]


def test_pairs_are_the_engine_s_and_average_to_the_means(cells, moments, cases):
    for name in PARAMETERS:
        part = [c for c in cells if c["row"] == f"var_gradient_{name}" and "pair" in c["column"]]
        assert [(c["column"]["pair"], c["column"]["configuration"]) for c in part] == [
            (case.pair.id, label) for case in cases for label in LABELS
        ]
        expected = [moments[(name, "", *key)][i].variance for i in range(3) for key in CONFIGURATIONS]
        assert [c["value"] for c in part] == pytest.approx(expected, rel=1e-9)


def heights(series):
    return [[y for _, y in points] for points in series.values()]


def test_points_are_the_cells(cells, cases, drawn, tmp_path):
    figure = EXHIBIT.plot(cells)
    ratios, pairs, bias = map(drawn, figure.axes)
    full, proxy = (list(by_configuration(cells, f"var_gradient_{n}_ratio").values()) for n in ("full", "proxy"))
    expected = [[c["paper"] for c in proxy], [c["value"] for c in proxy], [c["value"] for c in full]]
    assert heights(ratios) == expected
    assert list(pairs) == [case.pair.id for case in cases]
    for pair, points in pairs.items():
        x, y = (
            [c["value"] for c in cells if c["row"] == f"var_gradient_{n}" and c["column"].get("pair") == pair]
            for n in PARAMETERS
        )
        assert points == sorted(map(list, zip(x, y, strict=True)))
    plug_in, left_out = heights(bias)
    assert left_out == [c["value"] for c in by_configuration(cells, "bias_gradient_full_loo").values()]
    assert plug_in == [by_configuration(cells, "bias_gradient_full")[key]["value"] for key in LEFT_OUT]
    assert [label.get_text() for label in figure.axes[2].get_xticklabels()] == ["4x1", "8x1", "4x1 apart"]
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize("gradient", ["auto", "up-proj"])
def test_the_ablation_has_the_exact_row_and_predicts_the_sampled_one(cases, moments, gradient):
    cells = EXHIBITS["table3"].documents(Context(cases={"toy LLaDA": cases}), repeats=3, gradient=gradient)
    name = {"auto": "full", "up-proj": "proxy"}[gradient]
    part = [c for c in cells if c["row"] == "var_gradient"]
    exact, sampled = ([c for c in part if c["method"] == method] for method in ("exact", "mc"))
    assert part == exact + sampled
    for key, one, other in zip(CONFIGURATIONS, exact, sampled, strict=True):
        expected = np.mean([m.variance for m in moments[(name, "", *key)]])
        assert one["value"] == pytest.approx(expected, rel=1e-9)
        assert math.isclose(other["predicted"], one["value"], rel_tol=1e-12)
        assert one["stderr"] is None
        assert other["stderr"] > 0
        assert one["note"] == other["note"]


def test_the_ablation_has_no_exact_gradient_of_longer_responses_or_models_of_your_own(cases):
    long = [MODELS["markov"].case(0, 9)]
    for context in (Context(cases={"markov": long}), Context(cases={"own": cases}, scale="real")):
        cells = EXHIBITS["table3"].documents(context, repeats=3)
        part = [c for c in cells if c["row"] == "var_gradient"]
        assert {c["method"] for c in part} == {"mc" if context.scale == "toy" else "pooled"}
        assert all(c["predicted"] is None for c in part)
