"""Exact-likelihood comparison against brute force: all orders, all joint draws of every mask."""

import itertools
import math

import numpy as np
import pytest

from vrpo_theory import EXHIBITS, MODELS, Budget, Scheme, tabulate
from vrpo_theory.exact import estimator_law
from vrpo_theory.reproduce import Context

EXHIBIT, BETA, LENGTH = EXHIBITS["likelihood"], 0.2, 4
KEYS = list(itertools.product(("policy", "reference"), ("chosen", "rejected")))
SIGNS = dict(zip(KEYS, (1, -1, -1, 1), strict=True))
CONFIGURATIONS = ["4x1", "1x1", "8x1", "1x4", "2x2", "4x1 apart"]


@pytest.fixture(scope="module")
def case():
    return MODELS["tabular"].case(3, LENGTH)


@pytest.fixture(scope="module")
def cells(case):
    return EXHIBIT.documents(Context(cases={"rough table": [case]}))


@pytest.fixture(scope="module")
def toys():
    return EXHIBIT.documents(Context(limit=2))


def one(cells, row, **column):
    (cell,) = [c for c in cells if c["row"] == row and c["column"] == {"model": "rough table", **column}]
    return cell["value"]


def loss(score):
    return math.log1p(math.exp(-score))


def orders(table):
    """log of the mean probability over all orders of unmasking, and the mean of the log-probability."""
    paths = []
    for order in itertools.permutations(range(LENGTH)):
        masked, path = (1 << LENGTH) - 1, 0.0
        for token in order:
            path += table.log_prob[masked, token]
            masked ^= 1 << token
        paths.append(path)
    return math.log(sum(map(math.exp, paths)) / len(paths)), sum(paths) / len(paths)


def test_scores_losses_and_gaps_by_all_orders(case, cells):
    (answer,) = tabulate([case])
    found = {(role, side): orders(answer.model(role)[case.pair.side(side)]) for role, side in KEYS}
    loglik, elbo = (BETA * sum(SIGNS[k] * found[k][j] for k in KEYS) for j in (0, 1))
    pair = {"pair": case.pair.id}
    assert one(cells, "score_loglik", **pair) == pytest.approx(loglik, rel=1e-10)
    assert one(cells, "score_elbo", **pair) == pytest.approx(elbo, rel=1e-10)
    assert one(cells, "loss_loglik", **pair) == pytest.approx(loss(loglik), rel=1e-10)
    assert one(cells, "loss_elbo", **pair) == pytest.approx(loss(elbo), rel=1e-10)
    assert one(cells, "elbo_gap_bias", **pair) == pytest.approx(loss(elbo) - loss(loglik), rel=1e-9)
    gaps = {k: found[k][0] - found[k][1] for k in KEYS}
    for role, side in KEYS:
        assert one(cells, "elbo_gap", role=role, side=side) == pytest.approx(gaps[role, side], rel=1e-10) != 0
    assert one(cells, "gap_sum", **pair) == pytest.approx(sum(gaps.values()), rel=1e-10)
    assert one(cells, "margin_gap", **pair) == pytest.approx((loglik - elbo) / BETA, rel=1e-9)
    left = abs(loglik - elbo) / BETA / sum(gaps.values())
    assert one(cells, "gap_left", **pair) == pytest.approx(left, rel=1e-9)
    assert one(cells, "gap_left", pair="mean") == pytest.approx(left, rel=1e-9)


def compressed(prob, value):
    """Equal values together, or the product over four contrasts would not fit."""
    distinct, where = np.unique(np.round(value, 12), return_inverse=True)
    return np.bincount(where, prob), distinct


def mean_loss(answer, budget, shared):
    """E loss_hat with every joint draw of every contrast listed."""
    prob, score = np.ones(1), np.zeros(1)
    for side, sign in (("chosen", 1), ("rejected", -1)):
        for coefficients in [(sign, -sign)] if shared else [(sign, 0), (0, -sign)]:
            law = contrast_law(answer, side, coefficients, budget)
            prob, score = compressed(np.outer(prob, law[0]).ravel(), np.add.outer(score, BETA * law[1]).ravel())
    return float(prob @ np.log1p(np.exp(-score)))


def contrast_law(answer, side, coefficients, budget):
    response, models = answer.pair.side(side), (answer.policy, answer.reference)

    def terms(mask):
        return sum(c * m.look_up(response, mask) for c, m in zip(coefficients, models, strict=True))

    law = estimator_law(terms, response.length, Scheme(budget=budget))
    return compressed(law.prob, law.value)


def test_mean_loss_by_all_joint_draws():
    """To 1e-8 nats: laws of many atoms stand on a lattice."""
    case = MODELS["tabular"].case(3, 2)
    (answer,) = tabulate([case])
    cells = EXHIBIT.documents(Context(cases={"rough table": [case]}))
    for name in CONFIGURATIONS:
        n_t, n_yt = map(int, name.split()[0].split("x"))
        column = {"n_t": n_t, "n_yt": n_yt, "shared": "apart" not in name}
        expected = mean_loss(answer, Budget(n_t, n_yt), column["shared"])
        assert one(cells, "loss_mean", pair=case.pair.id, configuration=name) == pytest.approx(expected, abs=1e-8)
        assert one(cells, "loss_mean", **column) == pytest.approx(expected, abs=1e-8)
        bias = expected - one(cells, "loss_elbo", pair="mean")
        assert one(cells, "monte_carlo_bias", **column) == pytest.approx(bias, abs=1e-8)


def test_the_two_biases_add_up_and_noise_only_raises_the_loss(toys):
    found = {(c["row"], *c["column"].values()): c["value"] for c in toys if "pair" in c["column"]}
    configured = [key for key in found if key[0] == "monte_carlo_bias"]
    assert len(configured) == 4 * 2 * 6
    for _, model, pair, configuration in configured:
        total = found["loss_mean", model, pair, configuration] - found["loss_loglik", model, pair]
        parts = found["elbo_gap_bias", model, pair], found["monte_carlo_bias", model, pair, configuration]
        assert total == pytest.approx(sum(parts), abs=1e-12)
        assert parts[1] > 0


def test_exact_conditionals_have_no_gap(toys):
    gaps = {(c["column"]["model"], c["column"]["role"]): c["value"] for c in toys if c["row"] == "elbo_gap"}
    assert abs(gaps["markov", "reference"]) < 1e-12 < 1e-4 < gaps["markov", "policy"]
    assert all(gap > 1e-2 for (model, _), gap in gaps.items() if model != "markov")


def test_means_are_over_pairs(toys):
    for row in ("score_loglik", "elbo_gap_bias", "gap_sum"):
        part = [c for c in toys if c["row"] == row and c["column"]["model"] == "markov"]
        (mean,) = [c for c in part if c["column"]["pair"] == "mean"]
        pairs = [c["value"] for c in part if c is not mean]
        assert len(pairs) == mean["n_pairs"] == 2
        assert mean["value"] == pytest.approx(sum(pairs) / 2)


def test_points_are_the_cells(toys, tmp_path):
    figure = EXHIBIT.plot(toys)
    assert [ax.get_title() for ax in figure.axes] == ["rough table", "mid table", "markov", "toy LLaDA"]
    for ax in figure.axes:
        labels = [label.get_text() for label in ax.get_xticklabels()]
        assert labels == ["ELBO gap", *CONFIGURATIONS]
        drawn = {
            labels[round(line.get_xdata()[0])]: list(line.get_ydata()) for line in ax.lines if line.get_marker() == "o"
        }
        part = [c for c in toys if c["column"]["model"] == ax.get_title() and c["column"].get("pair", "mean") != "mean"]
        for label in CONFIGURATIONS:
            points = [c for c in part if c["row"] == "monte_carlo_bias" and c["column"]["configuration"] == label]
            assert drawn[label] == [c["value"] for c in points]
        assert drawn["ELBO gap"] == [c["value"] for c in part if c["row"] == "elbo_gap_bias"]
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
