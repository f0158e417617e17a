"""Exact moments of plug-in, jackknife and leave-one-out losses against all joint draws, and what they remove."""

import itertools
import math

import pytest

from vrpo_theory import MODELS, Budget, Coupling, Scheme, functionals, loss, tabulate, true_margin
from vrpo_theory.exact import loss_estimator, loss_moments, score_law

BETA = 0.7
(SMALL,) = tabulate([MODELS["tabular"].case(1, 2)])


def terms(shared):
    """Probability and score of one timestep (a mask of each contrast), by the equations."""
    parts = []
    for side, sign in (("chosen", 1), ("rejected", -1)):
        response = SMALL.pair.side(side)
        tables = [(1, SMALL.policy[response]), (-1, SMALL.reference[response])]
        for group in [tables] if shared else [[t] for t in tables]:
            parts.append([
                (0.5 / math.comb(2, b.bit_count()), sign * 2 / b.bit_count() * sum(c * t.sums[b] for c, t in group))
                for b in (1, 2, 3)
            ])  # fmt: skip
    return [(math.prod(p for p, _ in x), BETA * sum(v for _, v in x)) for x in itertools.product(*parts)]


@pytest.mark.parametrize(("estimator", "n_t"), list(itertools.product(functionals.ESTIMATORS, (2, 3))))
def test_moments_are_those_of_all_joint_draws(estimator, n_t):
    first = second = 0.0
    for draws in itertools.product(terms(True), repeat=n_t):
        prob = math.prod(p for p, _ in draws)
        value = functionals.value(estimator, loss, [x for _, x in draws])
        first, second = first + prob * value, second + prob * value**2
    found = loss_estimator(SMALL, Scheme(budget=Budget(n_t)), BETA, estimator)
    assert found.bias == pytest.approx(first - float(loss(BETA * true_margin(SMALL))), abs=1e-9)
    assert found.variance == pytest.approx(second - first**2, rel=1e-7)


def test_masks_of_their_own_count_too():
    draws = terms(False)
    mean = sum(p * q * functionals.value("jackknife", loss, [x, y]) for p, x in draws for q, y in draws)
    found = loss_estimator(SMALL, Scheme(budget=Budget(2), coupling=Coupling(shared=False)), BETA, "jackknife")
    assert found.bias == pytest.approx(mean - float(loss(BETA * true_margin(SMALL))), abs=1e-9)


@pytest.mark.parametrize("budget", [Budget(1), Budget(8), Budget(2, 4)], ids=str)
def test_the_plug_in_agrees_with_the_law_of_the_score(budget):
    (answers,) = tabulate([MODELS["markov"].case(0, 8)])
    known = loss_moments(score_law(answers, Scheme(budget=budget), BETA), BETA * true_margin(answers))
    found = loss_estimator(answers, Scheme(budget=budget), BETA)
    assert found.bias == pytest.approx(known.bias, abs=known.error + 1e-9)
    assert found.variance == pytest.approx(known.variance, rel=1e-3)


def test_the_jackknife_removes_most_of_the_bias_for_nothing():
    for seed in range(4):
        (answers,) = tabulate([MODELS["tabular"].case(seed, 6)])
        plug_in, jackknife, left = (
            loss_estimator(answers, Scheme(budget=Budget(8)), BETA, e) for e in functionals.ESTIMATORS
        )
        assert 0 < plug_in.bias < left.bias
        assert abs(jackknife.bias) < 0.25 * plug_in.bias
        assert jackknife.variance < 1.1 * plug_in.variance


def test_refusals():
    with pytest.raises(ValueError, match="n_t >= 2"):
        loss_estimator(SMALL, Scheme(budget=Budget(1, 4)), BETA, "jackknife")
    with pytest.raises(ValueError, match="choose from"):
        loss_estimator(SMALL, Scheme(budget=Budget(2)), BETA, "bootstrap")
    with pytest.raises(ValueError, match="levels_shared=False"):
        loss_estimator(SMALL, Scheme(budget=Budget(2), coupling=Coupling(levels_shared=True)), BETA)
