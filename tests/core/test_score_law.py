"""The exact law of the score against all joint draws, exact variances, and its own stated error."""

import itertools
import math

import numpy as np
import pytest

from vrpo_theory import (
    DESIGNS,
    MODELS,
    Budget,
    Coupling,
    Scheme,
    margin_variance,
    profiles,
    replicate,
    tabulate,
    true_margin,
)
from vrpo_theory.exact import estimator_law, loss_moments, margin_mean, score_law
from vrpo_theory.numerics import log_sigmoid

COUNT = DESIGNS["iid_count"]()
BETA = 0.7


def brute(answers, budget, shared):
    """Every joint draw of every contrast, from the design's own list."""
    prob, value = np.ones(1), np.zeros(1)
    for contrast in Coupling(shared).contrasts:
        response = answers.pair.side(contrast.side)
        parts = []
        for p, masks in COUNT.joint(response.length, budget):
            terms = sum(
                contrast.coefficient(r) * answers.model(r).look_up(response, masks.mask) for r in contrast.roles
            )
            parts.append((p, BETA * sum(response.length / masks.level * masks.weight * terms.sum(1))))
        p, v = (np.array(x) for x in zip(*parts, strict=True))
        prob, value = np.outer(prob, p).ravel(), np.add.outer(value, v).ravel()
    return prob, value


@pytest.mark.parametrize(
    ("budget", "shared"), list(itertools.product([Budget(1, 1), Budget(2, 1), Budget(1, 2)], [True, False]))
)
def test_small_laws_equal_brute_force(budget, shared):
    (answers,) = tabulate([MODELS["tabular"].case(1, 2)])
    law = score_law(answers, Scheme(budget=budget, coupling=Coupling(shared)), BETA)
    prob, value = brute(answers, budget, shared)
    assert law.jitter == 0
    for z in (0.3, 1.7):
        expected, found = (np.sum(p * np.exp(1j * z * v)) for p, v in ((prob, value), (law.prob, law.value)))
        assert abs(expected - found) < 1e-12
    score = BETA * true_margin(answers)
    gain = log_sigmoid(score) - log_sigmoid(value)
    moments = loss_moments(law, score)
    assert math.isclose(moments.bias, prob @ gain, rel_tol=1e-9, abs_tol=1e-13)
    assert math.isclose(moments.mean_absolute_error, prob @ np.abs(gain), rel_tol=1e-9)
    assert math.isclose(moments.variance, prob @ gain**2 - (prob @ gain) ** 2, rel_tol=1e-9)


DESIGNED = ["strata", "power_strata", "systematic", "importance_count", "midpoints"]


@pytest.mark.parametrize("name", DESIGNED)
@pytest.mark.parametrize("budget", [Budget(2, 1), Budget(3, 1), Budget(2, 2)], ids=str)
def test_laws_of_other_designs_equal_brute_force(name, budget):
    """All joint draws of both responses, from the design's own list."""
    (answers,) = tabulate([MODELS["tabular"].case(1, 3)])
    design, prob, value = DESIGNS[name](), np.ones(1), np.zeros(1)
    for side, sign in (("chosen", 1), ("rejected", -1)):
        response = answers.pair.side(side)
        policy, reference = (answers.model(r)[response] for r in ("policy", "reference"))

        def terms(mask, policy=policy, reference=reference):
            rows = mask @ (1 << np.arange(3))
            return policy.log_prob[rows] - reference.log_prob[rows]

        law = estimator_law(terms, 3, Scheme(design, budget=budget))
        prob, value = compressed(np.outer(prob, law.prob), np.add.outer(value, BETA * sign * law.value))
    found = score_law(answers, Scheme(design, budget=budget), BETA)
    for z in (0.3, 1.7):
        expected, ours = (np.sum(p * np.exp(1j * z * v)) for p, v in ((prob, value), (found.prob, found.value)))
        assert abs(expected - ours) < 1e-9 + z**2 * found.jitter


def compressed(prob, value):
    distinct, where = np.unique(np.round(value.ravel(), 12), return_inverse=True)
    return np.bincount(where, prob.ravel()), distinct


@pytest.mark.parametrize("design", [DESIGNS["iid_time"](0.01), DESIGNS["clamped_time"](0.05, mask=False)], ids=str)
@pytest.mark.parametrize("budget", [Budget(4, 1), Budget(2, 2)], ids=str)
def test_laws_of_the_time_form_have_its_moments(design, budget):
    (answers,) = tabulate([MODELS["markov"].case(1, 6)])
    law, known = score_law(answers, Scheme(design, budget=budget), BETA), profiles(answers)
    assert law.mean == pytest.approx(BETA * margin_mean(known, Scheme(design, budget=budget)), rel=1e-9)
    exact = BETA**2 * margin_variance(known, Scheme(design, budget=budget))
    assert exact * (1 - 1e-9) <= law.variance <= (exact + law.jitter) * (1 + 1e-9)
    assert law.jitter < 0.01 * exact


@pytest.mark.parametrize(
    ("design", "coupling"),
    [("complementary", Coupling()), ("without_replacement", Coupling()), ("iid_count", Coupling(levels_shared=True))],
)
def test_what_does_not_convolve_is_refused(design, coupling):
    (answers,) = tabulate([MODELS["tabular"].case(1, 3)])
    with pytest.raises(ValueError, match=f"{design}.* Monte Carlo"):
        score_law(answers, Scheme(DESIGNS[design](), budget=Budget(2, 1), coupling=coupling), BETA)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("budget", [Budget(8, 1), Budget(2, 4), Budget(1, 16)], ids=str)
def test_lattice_keeps_the_mean_and_adds_no_more_variance_than_it_says(budget, shared):
    for name in ("tabular", "markov"):
        (answers,) = tabulate([MODELS[name].case(0, 8)])
        law = score_law(answers, Scheme(budget=budget, coupling=Coupling(shared)), BETA)
        exact = BETA**2 * margin_variance(profiles(answers), Scheme(budget=budget, coupling=Coupling(shared)))
        assert 0 < law.jitter < 1e-3 * exact
        assert math.isclose(law.mean, BETA * true_margin(answers), abs_tol=1e-9)
        assert exact * (1 - 1e-9) <= law.variance <= (exact + law.jitter) * (1 + 1e-9)


def test_lattice_and_list_agree_within_the_stated_error(monkeypatch):
    (answers,) = tabulate([MODELS["tabular"].case(3, 5)])
    budget, score = Budget(1, 1), BETA * true_margin(answers)
    listed = loss_moments(score_law(answers, Scheme(budget=budget), BETA), score)
    monkeypatch.setattr("vrpo_theory.convolution.ATOMS", 0)
    lattice = loss_moments(score_law(answers, Scheme(budget=budget), BETA), score)
    assert listed.error == 0 < lattice.error
    assert abs(lattice.bias - listed.bias) <= lattice.error
    assert abs(lattice.mean_absolute_error - listed.mean_absolute_error) <= math.sqrt(8 * lattice.error)
    assert abs(lattice.variance - listed.variance) <= 1e-5


@pytest.mark.statistical(rate=3e-9, detects="a bias of the loss off by three quarters, its variance by two fifths")
def test_monte_carlo_agrees_beyond_what_can_be_listed():
    (answers,) = tabulate([MODELS["tabular"].case(0, 6)])
    score = BETA * true_margin(answers)
    moments = loss_moments(score_law(answers, Scheme(budget=Budget(3, 2)), BETA), score)
    scores = BETA * np.array([m.mean for m in replicate(answers, Scheme(budget=Budget(3, 2)), 2500, seed=9)])
    gain = log_sigmoid(score) - log_sigmoid(scores)
    assert abs(gain.mean() - moments.bias) < 6.2 * gain.std() / math.sqrt(2500) < 0.75 * moments.bias
    error = math.sqrt(((gain - gain.mean()) ** 2).var() / 2500)
    assert abs(gain.var() - moments.variance) < 6.2 * error < 0.4 * moments.variance


def test_no_noise_no_law():
    case = MODELS["tabular"].case(0, 4)
    (answers,) = tabulate([type(case)(case.policy, case.policy, case.pair)])
    law = score_law(answers, Scheme(budget=Budget(4, 2)), BETA)
    assert np.allclose(law.value[law.prob > 1e-9], 0)
    assert loss_moments(law, 0.0).variance < 1e-20
