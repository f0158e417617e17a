"""Enumeration against brute force that shares no code with it."""

import itertools
import math
from functools import partial

import numpy as np
import pytest

from vrpo_theory import DESIGNS, MODELS, Budget, Coupling, Profile, Response, Scheme, profiles, tabulate, true_margin
from vrpo_theory.couplings import Contrast
from vrpo_theory.errors import InputError
from vrpo_theory.exact import contrast_moments, estimator_law, margin_moments, margin_variance, profile
from vrpo_theory.exact.enumeration import MaskTable, all_masks, enumerate_masks
from vrpo_theory.statements import lemma5
from vrpo_theory.types import SIDES, Case, PreferencePair

COUNT = DESIGNS["iid_count"]()
TOYS = [("tabular", 5), ("markov", 5), ("llada", 4)]


def one_table(name, length, role="policy"):
    case = MODELS[name].case(1, length)
    return enumerate_masks([case.pair.chosen], [case.model(role)])[0][case.pair.chosen]


@pytest.mark.parametrize(("name", "length"), TOYS)
def test_likelihood_is_the_mean_over_all_orders(name, length):
    table = one_table(name, length)
    paths = []
    for order in itertools.permutations(range(length)):
        masked, path = set(range(length)), 0.0
        for token in order:
            path += table.log_prob[sum(1 << i for i in masked), token]
            masked.remove(token)
        paths.append(path)
    expected = math.log(math.fsum(map(math.exp, paths)) / math.factorial(length))
    assert math.isclose(table.log_likelihood, expected, rel_tol=1e-12)


@pytest.mark.parametrize(("name", "length"), TOYS)
def test_elbo_is_the_mean_over_all_orders_of_log_conditionals(name, length):
    """The any-order identity: B(y) is the mean over orders of the sum of one-by-one log-conditionals."""
    table = one_table(name, length)
    total = 0.0
    for order in itertools.permutations(range(length)):
        masked = set(range(length))
        for token in order:
            total += table.log_prob[sum(1 << i for i in masked), token]
            masked.remove(token)
    expected = total / math.factorial(length)
    assert math.isclose(table.elbo, expected, rel_tol=1e-12)
    assert table.elbo <= table.log_likelihood


def test_exact_conditionals_make_the_bound_tight():
    case = MODELS["markov"].case(2, 8)
    table = enumerate_masks([case.pair.chosen], [case.reference])[0][case.pair.chosen]
    p, _ = MODELS["markov"].chain(2)
    ids = case.pair.chosen.ids
    stationary = np.linalg.matrix_power(p, 10_000)[0]
    chain = math.log(stationary[ids[0]]) + sum(math.log(p[a, b]) for a, b in itertools.pairwise(ids))
    assert math.isclose(table.elbo, chain, rel_tol=1e-10)
    assert math.isclose(table.log_likelihood, chain, rel_tol=1e-10)


BUDGETS = [Budget(1, 1), Budget(2, 1), Budget(1, 2), Budget(2, 2)]


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@pytest.mark.parametrize("name", ["tabular", "markov"])
def test_lemma5_against_all_joint_draws(name, budget):
    """Shared, and each role alone with variances added when not shared: brute force never forms V_t or V_yt."""
    (answers,) = tabulate([MODELS[name].case(4, 3)])
    known = profiles(answers)
    brute = {True: 0.0, False: 0.0}
    for side in SIDES:
        response = answers.pair.side(side)
        policy, reference = (partial(t.look_up, response) for t in (answers.policy, answers.reference))
        shared = estimator_law(lambda m, a=policy, b=reference: a(m) - b(m), 3, Scheme(budget=budget)).variance
        alone = [estimator_law(terms, 3, Scheme(budget=budget)).variance for terms in (policy, reference)]
        brute[True] += shared
        brute[False] += sum(alone)
        moments = contrast_moments(known[side], Contrast(side, (1.0, -1.0)))
        assert math.isclose(lemma5.variance(moments, budget), shared, rel_tol=1e-12)
        for c, variance in zip(((1.0, 0.0), (0.0, 1.0)), alone, strict=True):
            moments = contrast_moments(known[side], Contrast(side, c))
            assert math.isclose(lemma5.variance(moments, budget), variance, rel_tol=1e-12)
    for coupling in (Coupling(True), Coupling(False)):
        expected = brute[coupling.shared]
        assert math.isclose(
            lemma5.variance(margin_moments(known, Scheme(coupling=coupling)), budget), expected, rel_tol=1e-12
        )
        assert math.isclose(margin_variance(known, Scheme(budget=budget, coupling=coupling)), expected, rel_tol=1e-12)


def test_moments_have_the_margin_as_mean():
    (answers,) = tabulate([MODELS["tabular"].case(0, 6)])
    for coupling in (Coupling(True), Coupling(False)):
        assert math.isclose(
            margin_moments(profiles(answers), Scheme(coupling=coupling)).mean, true_margin(answers), rel_tol=1e-12
        )


@pytest.mark.parametrize("eps", [0.5, 1e-2, 1e-6])
def test_time_form_on_independent_tokens_follows_its_closed_form(eps):
    """Tokens that ignore the masks: V_t = 0, V_yt = sum a^2 (log(1/eps)/(1 - eps) - 1), no bias from the floor."""
    case = MODELS["tabular"].case(3, 6, common=1.0)
    (answers,) = tabulate([case])
    table = answers.policy[case.pair.chosen]
    a = -table.log_prob[-1]
    known = profiles(answers)["chosen"]
    moments = contrast_moments(known, Contrast("chosen", (1.0, 0.0)), Scheme(DESIGNS["iid_time"](eps)))
    assert math.isclose(moments.mean, -a.sum(), rel_tol=1e-10)
    assert moments.v_time < 1e-15
    assert math.isclose(moments.v_mask, (a @ a) * (math.log(1 / eps) / (1 - eps) - 1), rel_tol=1e-10)


def test_time_form_diverges_by_ln_10_a_decade_and_count_form_does_not():
    (answers,) = tabulate([MODELS["markov"].case(0, 8)])
    known, coupling = profiles(answers), Coupling()
    variance = [
        margin_variance(known, Scheme(DESIGNS["iid_time"](10.0**-k), budget=Budget(1, 1), coupling=coupling))
        for k in range(3, 13)
    ]
    alone = 0.0
    for side in SIDES:
        response = answers.pair.side(side)
        singles = 1 << np.arange(8)
        d = answers.policy[response].sums[singles] - answers.reference[response].sums[singles]
        alone += float(d @ d)
    assert np.diff(variance)[-1] == pytest.approx(math.log(10) * alone, rel=1e-6)
    assert margin_variance(known, Scheme(budget=Budget(1, 1), coupling=coupling)) < variance[0]
    with pytest.raises(ValueError, match="infinite"):
        margin_variance(known, Scheme(DESIGNS["iid_time"](0.0), budget=Budget(1, 1), coupling=coupling))


def test_a_floor_biases_a_general_model():
    case = MODELS["tabular"].case(0, 5)
    (answers,) = tabulate([case])
    means = [margin_moments(profiles(answers), Scheme(DESIGNS["iid_time"](eps))).mean for eps in (0.3, 1e-4, 1e-8)]
    errors = np.abs(np.array(means) - true_margin(answers))
    assert errors[0] > 1e-2
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 1e-6


def test_refusals():
    with pytest.raises(InputError, match="use --method mc"):
        all_masks(21)
    case = MODELS["tabular"].case(0, 3)
    (answers,) = tabulate([case])
    with pytest.raises(ValueError, match="different responses"):
        profile(answers.policy[case.pair.chosen], answers.policy[case.pair.rejected])
    with pytest.raises(ValueError, match="3 tokens"):
        enumerate_masks([Response((), (0, 1))], [case.policy])


def test_tables_answer_like_the_model():
    case = MODELS["markov"].case(0, 5)
    (answers,) = tabulate([case])
    masks = all_masks(5)[[3, 0, 31, 3]]
    assert (
        answers.policy.look_up(case.pair.chosen, masks) == answers.policy[case.pair.chosen].log_prob[[3, 0, 31, 3]]
    ).all()
    with pytest.raises(KeyError):
        answers.policy.look_up(Response((), (0, 0, 0, 0, 0)), masks)


def test_a_model_that_returns_nan_is_stopped():
    case = MODELS["tabular"].case(0, 3)
    case.policy.logits.data[0] = math.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        enumerate_masks([case.pair.chosen], [case.policy])


def test_sharing_can_hurt():
    """L = 2, token terms (1, 3) under the policy and (3, 1) under the reference: 4.0 not shared, 8.0 shared."""
    response = Response((), (0, 1))
    mask = all_masks(2)
    tables = [MaskTable(response, mask * -np.array(a)) for a in ((1.0, 3.0), (3.0, 1.0))]
    known = profile(*tables)
    alone = [contrast_moments(known, Contrast("chosen", c)) for c in ((1.0, 0.0), (0.0, 1.0))]
    both = contrast_moments(known, Contrast("chosen", (1.0, -1.0)))
    one = Budget(1, 1)
    assert sum(lemma5.variance(m, one) for m in alone) == pytest.approx(4.0, rel=1e-12)
    assert lemma5.variance(both, one) == pytest.approx(8.0, rel=1e-12)


def test_profile_is_free_of_the_design():
    """One profile, every design: the second moment of S by count from a direct loop."""
    table = one_table("tabular", 5)
    known = profile(table, table)
    assert isinstance(known, Profile)
    for count in range(6):
        sums = [table.log_prob[bits].sum() for bits in range(32) if bits.bit_count() == count]
        assert np.allclose(known.mean[count], np.mean(sums))
        assert np.allclose(known.covariance[count], np.var(sums))


def test_models_are_swept_once_per_response():
    """Two pairs that share a response: it is evaluated once per model, 2^L - 1 masks (the empty one costs nothing)."""
    case = MODELS["markov"].case(0, 4)
    other = PreferencePair(case.pair.chosen, Response((), (0, 0, 0, 0)))
    done = []
    tabulate([case, Case(case.policy, case.reference, other)], progress=done.append)
    assert sum(done) == 2 * 3 * 15
