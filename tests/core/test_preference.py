"""The loss and its two-pass gradient."""

import math

import numpy as np
import pytest
import torch

from vrpo_theory import DESIGNS, MODELS, WEIGHTINGS, Budget, Case, Coupling, Scheme, backward, batching, loss, rounding
from vrpo_theory.preference import contributions, margin
from vrpo_theory.weightings.plain import PLAIN

DESIGN = {"count": DESIGNS["iid_count"](), "time": DESIGNS["iid_time"](0.05)}
CASES = [("tabular", 4), ("markov", 5), ("llada", 3)]


def grads(model):
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def clear(case):
    case.policy.zero_grad() if hasattr(case.policy, "zero_grad") else None
    for p in case.policy.parameters():
        p.grad = None


def plug_in(case, draws, beta):
    """The whole loss in one graph, as trainers write it."""
    score = 0.0
    for draw in draws:
        batch = batching.collate([(draw.response, draw.masks.mask)], case.policy)
        factor = (
            1 / draw.masks.level * (draw.response.length if draw.masks.form == "count" else 1) / len(draw.masks.mask)
        )
        for role in draw.contrast.roles:
            sums = case.model(role).log_prob(*batch).double().sum(1)
            score = score + beta * draw.contrast.coefficient(role) * (torch.tensor(factor) * sums).sum()
    return -torch.nn.functional.logsigmoid(score)


@pytest.mark.parametrize(("name", "length"), CASES)
@pytest.mark.parametrize("form", ["count", "time"])
@pytest.mark.parametrize("shared", [True, False])
def test_two_passes_equal_autograd_of_the_plug_in_loss(name, length, form, shared):
    case = MODELS[name].case(0, length)
    draws = Scheme(DESIGN[form], budget=Budget(3, 2), coupling=Coupling(shared)).draw(case.pair, seed=1)
    clear(case)
    score = backward(case, draws, PLAIN, beta=0.3, batch_tokens=24)
    ours = grads(case.policy)
    clear(case)
    value = plug_in(case, draws, 0.3)
    value.backward()
    theirs = grads(case.policy)
    words = len(case.pair.chosen.prompt) + length
    assert math.isclose(float(loss(score)), float(value.detach()), rel_tol=rounding.of_functional(case.policy, words))
    atol = rounding.of_gradient(case.policy, words) * max(float(g.abs().max()) for g in theirs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol)
    clear(case)


def test_gradient_matches_finite_differences():
    case = MODELS["markov"].case(1, 4)
    draws = Scheme(budget=Budget(2, 2)).draw(case.pair, seed=0)

    def value():
        return float(loss(0.2 * margin(draws, contributions([case], [draws], PLAIN)[0])))

    clear(case)
    backward(case, draws, PLAIN)
    (gradient,) = grads(case.policy)
    step, logits = 1e-5, case.policy.logits.data
    for index in ((0, 1), (3, 2), (4, 4)):
        middle = float(logits[index])
        ends = []
        for sign in (1, -1):
            logits[index] = middle + sign * step
            ends.append(value())
        logits[index] = middle
        assert math.isclose((ends[0] - ends[1]) / (2 * step), float(gradient[index]), rel_tol=1e-6, abs_tol=1e-9)


def test_gradients_accumulate_and_a_known_score_saves_a_pass():
    case = MODELS["tabular"].case(0, 4)
    draws = Scheme(budget=Budget(4, 1)).draw(case.pair, seed=0)
    clear(case)
    score = backward(case, draws, PLAIN)
    (once,) = grads(case.policy)
    assert backward(case, draws, PLAIN, score=score) == score
    (twice,) = grads(case.policy)
    assert torch.allclose(twice, 2 * once, rtol=1e-14)


def block_plug_in(case, draws, blocks, beta):
    """Block scores in one graph: x_b = m times what the masks of block b add to the score."""
    x = torch.zeros(blocks, dtype=torch.float64)
    for draw in draws:
        batch = batching.collate([(draw.response, draw.masks.mask)], case.policy)
        factor = torch.tensor(draw.response.length / draw.masks.level / len(draw.masks.mask))
        for role in draw.contrast.roles:
            sums = case.model(role).log_prob(*batch).double().sum(1)
            terms = blocks * beta * draw.contrast.coefficient(role) * factor * sums
            x = x.index_add(0, torch.tensor(draw.masks.block), terms)
    return x


@pytest.mark.parametrize("estimator", ["jackknife", "leave-one-out"])
@pytest.mark.parametrize("shared", [True, False])
def test_gradients_that_leave_timesteps_out(estimator, shared):
    """Against autograd: of the jackknife's value, and of slopes held constant for leave-one-out."""
    case = MODELS["markov"].case(0, 5)
    draws = Scheme(budget=Budget(4, 2), coupling=Coupling(shared)).draw(case.pair, seed=1)
    clear(case)
    score = backward(case, draws, PLAIN, beta=0.3, batch_tokens=24, estimator=estimator)
    ours = grads(case.policy)
    clear(case)
    x = block_plug_in(case, draws, 4, 0.3)
    assert math.isclose(score, float(x.detach().mean()), rel_tol=1e-12)
    left, f = (x.sum() - x) / 3, torch.nn.functional.logsigmoid
    if estimator == "jackknife":
        (-4 * f(x.mean()) + 3 * f(left).mean()).backward()
    else:
        (-(torch.sigmoid(-left).detach() * x).mean()).backward()
    for a, b in zip(ours, grads(case.policy), strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)
    clear(case)


def test_groups_make_blocks_of_any_design_and_weights():
    """Two groups of coupled masks: the gradient of the mean of their scores, and of its jackknife."""
    case, design, weighting = MODELS["markov"].case(0, 6), DESIGNS["balanced"](), WEIGHTINGS["two_way"]()
    groups = [Scheme(design, budget=Budget(4)).draw(case.pair, seed=1, group=g) for g in range(2)]
    together = [draw for group in groups for draw in group]
    alone = []
    for group in groups:
        clear(case)
        alone.append((backward(case, group, weighting), grads(case.policy)[0]))
    clear(case)
    score = backward(case, together, weighting)
    assert math.isclose(score, (alone[0][0] + alone[1][0]) / 2, rel_tol=1e-12)
    slope = [float(torch.sigmoid(torch.tensor(-s, dtype=torch.float64))) for s, _ in alone]
    middle = float(torch.sigmoid(torch.tensor(-score, dtype=torch.float64)))
    expected = sum(middle / q * g / 2 for q, (_, g) in zip(slope, alone, strict=True))
    assert torch.allclose(grads(case.policy)[0], expected, rtol=1e-9)
    clear(case)
    with pytest.raises(ValueError, match="two independent blocks, got 1"):
        backward(case, groups[0], weighting, estimator="jackknife")


def test_loss_is_stable_and_ln_2_at_zero():
    assert float(loss(0.0)) == pytest.approx(math.log(2), abs=1e-15)
    assert np.allclose(loss([-800.0, 800.0]), [800.0, 0.0])


def test_the_reference_gets_no_gradient():
    case = MODELS["tabular"].case(0, 4)
    backward(case, Scheme(budget=Budget(2, 1), coupling=Coupling(False)).draw(case.pair, seed=0), PLAIN)
    assert case.reference.logits.grad is None


def test_models_are_told_apart_in_one_stream():
    """Cases of several models in one call give what each gives alone."""
    cases = [MODELS["markov"].case(s, 5) for s in range(3)]
    cases.append(Case(cases[0].policy, cases[1].reference, cases[2].pair))
    draws = [Scheme(budget=Budget(2, 2)).draw(c.pair, seed=0) for c in cases]
    together = contributions(cases, draws, PLAIN, batch_tokens=17)
    for case, draw, addends in zip(cases, draws, together, strict=True):
        alone = contributions([case], [draw], PLAIN)[0]
        assert all((a == b).all() for a, b in zip(addends, alone, strict=True))
