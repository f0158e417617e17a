"""Exact moments of gradients against every joint draw, against replication, and against what theorems say of them."""

import itertools
import math

import numpy as np
import pytest
import torch

from vrpo_theory import DESIGNS, MODELS, Budget, Case, Coupling, PreferencePair, Response, Scheme, batching, rounding
from vrpo_theory.couplings import Draw
from vrpo_theory.errors import InputError
from vrpo_theory.exact import (
    _lattice,
    elbo_gradient_moments,
    gradient_grams,
    grams,
    leave_one_out_moments,
    loss_gradient_moments,
    margin_variance,
    profiles,
    score_gradient_moments,
    score_law,
    tabulate,
    true_margin,
)
from vrpo_theory.models.base import select_parameters
from vrpo_theory.numerics import sigmoid
from vrpo_theory.preference import backward
from vrpo_theory.sampling import gradient_variance, replicate
from vrpo_theory.statements.gradient import bias_bound, variance_bound
from vrpo_theory.weightings.plain import PLAIN

COUNT = DESIGNS["iid_count"]()
BETA = 0.7
ROLES = ("policy", "reference")


def uneven(seed=0):
    """A chain's pair of two and three tokens."""
    case = MODELS["markov"].case(seed, 3)
    return Case(case.policy, case.reference, PreferencePair(Response((), (0, 1)), Response((), (2, 2, 0))))


def blocks():
    """A table's pair in blocks: two of two tokens, and one of two before one of one."""
    case, prompt = MODELS["block_tabular"].case(1, 4), (1, 2)
    return Case(
        case.policy, case.reference, PreferencePair(Response(prompt, (3, 1, 0, 2)), Response(prompt, (0, 3, 1)))
    )


CASES = {
    "tabular 2": lambda: MODELS["tabular"].case(1, 2),
    "tabular 3": lambda: MODELS["tabular"].case(1, 3),
    "markov 2": lambda: MODELS["markov"].case(1, 2),
    "markov 3": lambda: MODELS["markov"].case(1, 3),
    "uneven": uneven,
    "blocks": blocks,
}


def prepared(case, parameters="full"):
    (answer,) = tabulate([case])
    (gram,) = gradient_grams(case, (parameters,))
    return answer, gram


def gradient(case, response, masks):
    """Autograd of B_hat, written from the equations."""
    log_prob = case.policy.log_prob(*batching.collate([(response, masks.mask)], case.policy))
    weight = torch.from_numpy(response.length / masks.level * masks.weight)
    found = torch.autograd.grad((weight * log_prob.double().sum(1)).sum(), list(case.policy.parameters()))
    return torch.cat([g.flatten() for g in found]).double().numpy()


def draws(case, answer, side, budget):
    """Every joint draw of one response: probability, addends of the score under policy and reference, gradient."""
    parts = [part_draws(case, answer, part, budget) for part in case.parts(side)]
    sign = 1 if side == "chosen" else -1
    rows = [
        (math.prod(p for p, *_ in draw), *(sign * sum(x[k] for x in draw) for k in (1, 2, 3)))
        for draw in itertools.product(*parts)
    ]
    return [np.array(x) for x in zip(*rows, strict=True)]


def part_draws(case, answer, response, budget):
    """Of one block, or of the whole response."""
    rows = []
    for prob, masks in COUNT.joint(response.length, budget):
        weight = BETA * response.length / masks.level * masks.weight
        terms = [weight @ answer.model(role).look_up(response, masks.mask).sum(1) for role in ROLES]
        rows.append((prob, terms[0], -terms[1], BETA * gradient(case, response, masks)))
    return rows


def summary(prob, rows, squares, true):
    """Norm of the mean, norm of the bias, variance."""
    mean = prob @ rows
    return np.linalg.norm(mean), np.linalg.norm(mean - true), prob @ squares - mean @ mean


def plug_in(case, answer, budget, shared):
    """Moments over every joint draw of both responses, and of the reference's own masks where they are not shared."""
    chosen, rejected = (draws(case, answer, side, budget) for side in ("chosen", "rejected"))
    prob = np.outer(chosen[0], rejected[0]).ravel()
    policy, reference = (np.add.outer(chosen[k], rejected[k]).ravel() for k in (1, 2))
    total = (chosen[3][:, None] + rejected[3]).reshape(len(prob), -1)
    if shared:
        slope = sigmoid(-policy - reference)
        square = slope**2
    else:
        table = sigmoid(-np.add.outer(policy, reference))
        slope, square = table @ prob, table**2 @ prob
    true = -sigmoid(-BETA * true_margin(answer)) * (prob @ total)
    return summary(prob, -slope[:, None] * total, square * (total**2).sum(1), true)


def leave_one_out(case, answer, n, shared):
    """Moments over all joint draws of n timesteps, one mask each, of every contrast."""
    contrasts = []
    for side in ("chosen", "rejected"):
        prob, policy, reference, own = draws(case, answer, side, Budget(1, 1))
        if shared:
            contrasts.append(list(zip(prob, policy + reference, own, strict=True)))
        else:
            contrasts += [list(zip(prob, policy, own, strict=True)), list(zip(prob, reference, 0 * own, strict=True))]
    atoms = list(itertools.product(*contrasts))
    prob = np.array([math.prod(p for p, _, _ in atom) for atom in atoms])
    score = np.array([sum(x for _, x, _ in atom) for atom in atoms])
    one = np.array([sum(g for _, _, g in atom) for atom in atoms])
    steps = np.array(list(itertools.product(range(len(atoms)), repeat=n)))
    weight = prob[steps].prod(1)
    slope = sigmoid(-(score[steps].sum(1, keepdims=True) - score[steps]) / (n - 1))
    rows = -np.einsum("qi,qip->qp", slope, one[steps]) / n
    true = -sigmoid(-BETA * true_margin(answer)) * (prob @ one)
    return summary(weight, rows, (rows**2).sum(1), true)


def agrees(found, expected):
    """To the lattice's error, about 1e-11 of the slope: a bias, being a small difference, keeps fewer digits."""
    mean, bias, variance = expected
    assert found.mean_norm == pytest.approx(mean, rel=1e-10)
    assert found.variance == pytest.approx(variance, rel=1e-9)
    assert found.bias_norm == pytest.approx(bias, rel=1e-9, abs=1e-10 * mean)
    assert bias > 1e-7 * mean


BUDGETS = [Budget(1, 1), Budget(2, 1), Budget(1, 2)]


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_plug_in_against_every_joint_draw(name, budget, shared):
    case = CASES[name]()
    answer, gram = prepared(case)
    agrees(
        loss_gradient_moments(answer, gram, Scheme(budget=budget, coupling=Coupling(shared)), BETA),
        plug_in(case, answer, budget, shared),
    )


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("budget", [Budget(2, 2), Budget(1, 3)], ids=str)
def test_plug_in_where_several_timesteps_have_several_masks(budget, shared):
    case = CASES["tabular 2"]()
    answer, gram = prepared(case)
    agrees(
        loss_gradient_moments(answer, gram, Scheme(budget=budget, coupling=Coupling(shared)), BETA),
        plug_in(case, answer, budget, shared),
    )


@pytest.mark.parametrize(
    ("name", "n", "shared"),
    [("tabular 2", 2, True), ("tabular 2", 2, False), ("tabular 2", 3, True), ("markov 2", 3, True),
     ("tabular 3", 2, True), ("uneven", 2, True), ("blocks", 2, True)],
)  # fmt: skip
def test_leave_one_out_against_every_joint_draw(name, n, shared):
    case = CASES[name]()
    answer, gram = prepared(case)
    found = leave_one_out_moments(answer, gram, Scheme(budget=Budget(n, 1), coupling=Coupling(shared)), BETA)
    agrees(found, leave_one_out(case, answer, n, shared))


def test_plug_in_is_autograd_of_the_loss():
    """The loss itself differentiated at each of the nine joint draws of (1, 1), shared."""
    case = CASES["tabular 2"]()
    answer, gram = prepared(case)
    prob, rows = [], []
    for (p, chosen), (r, rejected) in itertools.product(COUNT.joint(2, Budget(1, 1)), repeat=2):
        score = 0.0
        for sign, response, masks in ((1, case.pair.chosen, chosen), (-1, case.pair.rejected, rejected)):
            batch = batching.collate([(response, masks.mask)], case.policy)
            ratio = case.policy.log_prob(*batch).sum() - case.reference.log_prob(*batch).sum().detach()
            score = score + BETA * sign * 2 / masks.level.item() * ratio
        loss = -torch.nn.functional.logsigmoid(score)
        (found,) = torch.autograd.grad(loss, list(case.policy.parameters()))
        prob.append(p * r)
        rows.append(found.flatten().numpy())
    prob, rows = np.array(prob), np.array(rows)
    found = loss_gradient_moments(answer, gram, Scheme(budget=Budget(1, 1)), BETA)
    assert found.mean_norm == pytest.approx(np.linalg.norm(prob @ rows), rel=1e-10)
    assert found.variance == pytest.approx(prob @ ((rows - prob @ rows) ** 2).sum(1), rel=1e-9)


@pytest.mark.parametrize(
    ("estimator", "moments"), [("plug-in", loss_gradient_moments), ("leave-one-out", leave_one_out_moments)]
)
def test_moments_are_those_of_the_gradient_that_training_takes(estimator, moments):
    """`preference.backward` at each of the 81 joint draws of (2, 1), shared."""
    case, budget, prob, rows = CASES["tabular 2"](), Budget(2, 1), [], []
    answer, gram = prepared(case)
    for (p, chosen), (r, rejected) in itertools.product(COUNT.joint(2, budget), repeat=2):
        both = zip(Coupling().contrasts, (chosen, rejected), strict=True)
        drawn = [Draw(contrast, case.pair.side(contrast.side), masks) for contrast, masks in both]
        backward(case, drawn, PLAIN, beta=BETA, estimator=estimator)
        prob.append(p * r)
        rows.append(case.policy.logits.grad.flatten().numpy().copy())
        case.policy.logits.grad = None
    prob, rows = np.array(prob), np.array(rows)
    found = moments(answer, gram, Scheme(budget=budget), BETA)
    assert found.mean_norm == pytest.approx(np.linalg.norm(prob @ rows), rel=1e-10)
    assert found.variance == pytest.approx(prob @ ((rows - prob @ rows) ** 2).sum(1), rel=1e-9)


@pytest.mark.parametrize("side", ["chosen", "rejected"])
@pytest.mark.parametrize("name", CASES)
def test_lemma_5_for_gradients(name, side):
    """Both components from the rows themselves, and the variance of every joint draw from both, to 1e-12."""
    case = CASES[name]()
    answer, gram = prepared(case)
    found, mean, between, within = elbo_gradient_moments(gram, side), 0.0, 0.0, 0.0
    for part in case.parts(side):
        singles = [
            (masks.level.item(), gradient(case, part, masks)) for _, masks in COUNT.joint(part.length, Budget(1))
        ]
        levels = [np.array([g for level, g in singles if level == count]) for count in range(1, part.length + 1)]
        means = np.array([rows.mean(0) for rows in levels])
        mean = mean + means.mean(0)
        between += ((means - means.mean(0)) ** 2).sum(1).mean()
        within += np.mean([((rows - rows.mean(0)) ** 2).sum(1).mean() for rows in levels])
    assert found.mean_norm == pytest.approx(np.linalg.norm(mean), rel=1e-12)
    assert found.v_time == pytest.approx(between, rel=1e-12)
    assert found.v_mask == pytest.approx(within, rel=1e-12)
    for budget in (*BUDGETS, Budget(2, 2))[: 4 if case.pair.side(side).length == 2 else 3]:
        prob, _, _, rows = draws(case, answer, side, budget)
        variance = prob @ ((rows - prob @ rows) ** 2).sum(1)
        assert BETA**2 * found.variance(budget) == pytest.approx(variance, rel=1e-12)


def test_score_gradient_is_the_sum_of_two_independent_responses():
    case = uneven()
    answer, gram = prepared(case)
    found = score_gradient_moments(gram, BETA)
    for budget in BUDGETS:
        parts = [draws(case, answer, side, budget) for side in ("chosen", "rejected")]
        variance = sum(p @ ((g - p @ g) ** 2).sum(1) for p, _, _, g in parts)
        assert found.variance(budget) == pytest.approx(variance, rel=1e-12)
    assert found.mean_norm == pytest.approx(np.linalg.norm(sum(p @ g for p, _, _, g in parts)), rel=1e-12)


@pytest.mark.parametrize("parameters", ["full", "up-proj"])
@pytest.mark.parametrize("rows", [1, 4, 6])
def test_blocks_make_the_same_gram_within_their_memory(parameters, rows, monkeypatch):
    case = MODELS["llada"].case(0, 3)
    (whole,) = gradient_grams(case, (parameters,))
    width = sum(p.numel() for p in select_parameters(case.policy, parameters))
    held, compute = [], grams._gradients

    def counted(model, used, requests, progress=None):
        held.append(len(requests) * sum(p.numel() for p in used))
        return compute(model, used, requests, progress)

    monkeypatch.setattr(grams, "_gradients", counted)
    (found,) = gradient_grams(case, (parameters,), numbers=2 * rows * width + 1)
    assert 2 * max(held) <= 2 * rows * width
    assert np.allclose(found.gram, whole.gram, rtol=1e-12, atol=1e-12 * whole.gram.max())
    assert (found.gram == found.gram.T).all()


def test_gram_holds_inner_products_of_both_selections_and_leaves_the_model_alone():
    case = MODELS["llada"].case(0, 2)
    parameters = list(case.policy.parameters())
    parameters[0].requires_grad_(False)
    parameters[1].grad = torch.ones_like(parameters[1])
    seen = []
    full, proxy = gradient_grams(case, ("full", "up-proj"), progress=seen.append)
    assert [p.requires_grad for p in parameters] == [False] + [True] * (len(parameters) - 1)
    assert [p.grad is None for p in parameters[:3]] == [True, False, True]
    assert torch.equal(parameters[1].grad, torch.ones_like(parameters[1]))
    assert sum(seen) == len(full.gram) == 6
    parameters[0].requires_grad_(True)
    masks = [np.array([m]) for m in ([True, False], [False, True], [True, True])]
    for gram, chosen in ((full, parameters), (proxy, case.policy.proxy_parameters())):
        rows = []
        for response, mask in itertools.product((case.pair.chosen, case.pair.rejected), masks):
            value = case.policy.log_prob(*batching.collate([(response, mask)], case.policy)).sum()
            rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(value, chosen)]).double().numpy())
        expected = np.array(rows) @ np.array(rows).T
        error = 2 * rounding.of_gradient(case.policy, 7) * expected.max()  # of either factor
        assert np.allclose(gram.gram, expected, rtol=0, atol=error)
    assert np.trace(proxy.gram) < 0.5 * np.trace(full.gram)


@pytest.mark.parametrize("shared", [True, False])
def test_theorem_4_bounds_the_exact_moments(shared):
    for case, budget in itertools.product((MODELS["tabular"].case(0, 4), MODELS["markov"].case(0, 4)), BUDGETS):
        answer, gram = prepared(case)
        found = loss_gradient_moments(answer, gram, Scheme(budget=budget, coupling=Coupling(shared)), BETA)
        score = score_gradient_moments(gram, BETA)
        variance = BETA**2 * margin_variance(profiles(answer), Scheme(budget=budget, coupling=Coupling(shared)))
        longest = gram.lengths / gram.counts * np.sqrt(np.diag(gram.gram))
        bound = BETA * sum(longest[gram.rows(side)].max() for side in ("chosen", "rejected"))
        of_gradient = score.variance(budget)
        assert found.variance <= variance_bound(bound, variance, of_gradient)
        assert 0 < found.bias_norm <= bias_bound(variance, of_gradient, score.mean_norm)


@pytest.mark.parametrize("budget", [Budget(1, 1), Budget(3, 1), Budget(2, 2)], ids=str)
def test_policy_equal_to_reference_has_half_the_gradient_of_the_score(budget):
    """s_hat = 0 in every draw, so Z = -grad s_hat / 2, left out or not."""
    case = MODELS["tabular"].case(0, 4)
    answer, gram = prepared(Case(case.policy, case.policy, case.pair))
    score, found = (
        score_gradient_moments(gram, BETA),
        [loss_gradient_moments(answer, gram, Scheme(budget=budget), BETA)],
    )
    if budget == Budget(3, 1):
        found.append(leave_one_out_moments(answer, gram, Scheme(budget=budget), BETA))
    for moments in found:
        assert moments.variance == pytest.approx(score.variance(budget) / 4, rel=1e-10)
        assert moments.mean_norm == pytest.approx(score.mean_norm / 2, rel=1e-10)
        assert moments.bias_norm < 1e-10 * score.mean_norm


def test_lattice_errs_by_no_more_than_it_says(monkeypatch):
    """On a lattice 16 times coarser, against the listed law: a part of n atoms times 3/128 step^4 max|f''''|."""
    (answer,) = tabulate([MODELS["tabular"].case(0, 4)])
    monkeypatch.setattr(_lattice, "STEP", 2.0**-4)
    for budget in (Budget(1, 1), Budget(1, 2)):
        law, lattice = (
            score_law(answer, Scheme(budget=budget), BETA),
            _lattice.Lattice(answer, Scheme(budget=budget), BETA),
        )
        assert law.jitter == 0
        found = lattice.mean(sigmoid(-lattice.score) ** 2, lattice.rest())[0]
        bound = 2 * budget.n * 3 / 128 * _lattice.STEP**4 * 0.28
        assert 1e-3 * bound < abs(found - law.prob @ sigmoid(-law.value) ** 2) < bound


def test_refining_the_lattice_moves_nothing(monkeypatch):
    """Half the step, a sixteenth of the error: the step in use leaves less than 1e-8."""
    answer, gram = prepared(MODELS["tabular"].case(0, 5))

    def moments(step):
        monkeypatch.setattr(_lattice, "STEP", step)
        found = [
            loss_gradient_moments(answer, gram, Scheme(budget=Budget(4, 1), coupling=Coupling(False)), BETA),
            loss_gradient_moments(answer, gram, Scheme(budget=Budget(2, 2)), BETA),
            leave_one_out_moments(answer, gram, Scheme(budget=Budget(4, 1)), BETA),
        ]
        return np.array([(m.mean_norm, m.bias_norm, m.variance) for m in found])

    used = _lattice.STEP
    coarse, middle, fine = (moments(used * k) for k in (4, 2, 1))
    assert np.allclose(middle, fine, rtol=1e-8, atol=0)
    ratio = (coarse - fine) / (middle - fine)
    assert (ratio > 3).all()
    assert np.median(ratio) == pytest.approx(17, rel=0.1)


@pytest.mark.statistical(rate=4e-9, detects="a variance of the gradient off by half")
@pytest.mark.parametrize(
    ("budget", "shared", "parameters"), [(Budget(2, 1), True, "full"), (Budget(1, 2), False, "up-proj")]
)
def test_replications_agree(budget, shared, parameters):
    """400 replications; 6.2 jackknife standard errors, 2e-9 each if those were normal."""
    case, coupling = MODELS["llada"].case(0, 4), Coupling(shared)
    answer, gram = prepared(case, parameters)
    exact = loss_gradient_moments(answer, gram, Scheme(budget=budget, coupling=coupling), 0.2).variance
    scores = [0.2 * m.mean for m in replicate(answer, Scheme(budget=budget, coupling=coupling), 400, seed=1)]
    found = gradient_variance(
        case, Scheme(budget=budget, coupling=coupling), 400, seed=1, parameters=parameters, scores=scores
    )
    assert abs(found.value - exact) < 6.2 * found.stderr < 0.5 * exact


def test_what_is_refused():
    case = MODELS["tabular"].case(0, 2)
    answer, gram = prepared(case)
    for budget in (Budget(1, 1), Budget(4, 2)):
        with pytest.raises(ValueError, match="n_t >= 2 and n_yt = 1"):
            leave_one_out_moments(answer, gram, Scheme(budget=budget), BETA)
    (_, other) = prepared(MODELS["tabular"].case(1, 2))
    for moments in (loss_gradient_moments, leave_one_out_moments):
        with pytest.raises(ValueError, match="use one pair"):
            moments(answer, other, Scheme(budget=Budget(2, 1)), BETA)
        with pytest.raises(ValueError, match="levels_shared=False"):
            moments(answer, gram, Scheme(budget=Budget(2, 1), coupling=Coupling(levels_shared=True)), BETA)
    with pytest.raises(InputError, match="stop at 10 tokens, got 11"):
        gradient_grams(MODELS["markov"].case(0, 11))
    with pytest.raises(InputError, match="up-proj"):
        gradient_grams(case, ("up-proj",))


def test_a_gradient_that_is_not_finite_is_named():
    case = MODELS["tabular"].case(0, 2)
    with torch.no_grad():
        case.policy.logits[0, 0, 0] = math.nan
    with pytest.raises(FloatingPointError, match="tabular-0"):
        gradient_grams(case)
