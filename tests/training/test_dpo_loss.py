"""The loss of torch: its value, and that ``backward`` is right however it is used."""

import copy
import math

import pytest
import torch

from vrpo_theory import LOSSES, MODELS, Scheme, dpo_loss
from vrpo_theory.data import toy
from vrpo_theory.training import PairObjective
from vrpo_theory.training.differentiable import loss

PAIRS = [toy.pair(0, "train", i) for i in range(5)]


def gradients(model):
    return [p.grad.clone() for p in model.parameters()]


def close(ours, theirs):
    largest = max(float(g.abs().max()) for g in theirs)
    return all(torch.allclose(a, b, rtol=1e-9, atol=1e-12 * largest) for a, b in zip(ours, theirs, strict=True))


def written_out(objective, policy, reference, batch, step):
    """The mean loss in one graph, plug-in, of masks that both models see."""
    total = 0.0
    for pair in batch:
        score = 0.0
        for draw in objective.scheme.draws(pair, seed=objective.seed, repeat=step):
            ids = torch.tensor([[*draw.response.prompt, *draw.response.ids]] * len(draw.masks.mask))
            answer = torch.arange(ids.shape[1]).expand_as(ids) >= len(draw.response.prompt)
            mask = torch.zeros_like(answer)
            mask[:, len(draw.response.prompt) :] = torch.tensor(draw.masks.mask)
            weights = torch.tensor(objective.scheme.weighting.weights(draw.masks))
            for role, model in (("policy", policy), ("reference", reference)):
                found = model.log_prob(ids, answer, mask, torch.ones_like(mask))[:, len(draw.response.prompt) :]
                score = score + objective.beta * draw.contrast.coefficient(role) * (weights * found).sum()
        if objective.loss.name == "ipo":
            total = total + (score - 0.5) ** 2
        else:
            flip = getattr(objective.loss, "flip", 0.0)
            f = torch.nn.functional.logsigmoid
            total = total - (1 - flip) * f(score) - flip * f(-score)
    return total / len(batch)


@pytest.mark.parametrize("spec", ["dpo", "ipo", "smoothed(flip=0.2)"])
@pytest.mark.parametrize("text", ["n_t=3", "n_t=2, n_yt=2, shared=False"])
def test_value_and_gradient_are_autograds(model, other, spec, text):
    model.double(), other.double()
    options = {"scheme": Scheme.parse(text), "loss": LOSSES.build(spec), "seed": 3, "batch_tokens": 100}
    objective = PairObjective(**options)
    value = loss(objective, model, other, PAIRS, 7)
    (3 * value).backward()
    ours = gradients(model)
    model.zero_grad()
    expected = written_out(objective, model, other, PAIRS, 7)
    (3 * expected).backward()
    assert math.isclose(float(value.detach()), float(expected.detach()), rel_tol=1e-12)
    assert close(ours, gradients(model))


def test_a_policy_that_is_the_reference_starts_at_ln_2(model):
    model.double()
    assert abs(float(dpo_loss(model, copy.deepcopy(model), PAIRS).detach()) - math.log(2)) < 1e-12
    apart = dpo_loss(model, copy.deepcopy(model), PAIRS, Scheme.parse("n_t=8, shared=False"))
    assert abs(float(apart.detach()) - math.log(2)) > 1e-3


@pytest.mark.statistical(rate=1e-9, detects="an excess over ln 2 off by 90%")
def test_losses_of_apart_masks_exceed_ln_2_by_the_exact_bias():
    """The mean over seeds, against the exact law; six of its standard errors."""
    from vrpo_theory import loss_moments, score_law, tabulate
    from vrpo_theory.types import Case

    case = MODELS["tabular"].case(0, 4)
    same, scheme = Case(case.policy, case.policy, case.pair), Scheme.parse("n_t=2, shared=False")
    (tables,) = tabulate([same])
    exact = loss_moments(score_law(tables, scheme, 0.2), 0.0)
    objective, seeds = PairObjective(scheme=scheme, batch_tokens=2**14), 1600
    scored = objective.score(case.policy, case.policy, [(seed, case.pair) for seed in range(seeds)])
    mean = sum(one.loss for one in scored) / seeds
    assert exact.bias > 0.01
    assert abs(mean - math.log(2) - exact.bias) < 6.1 * math.sqrt(exact.variance / seeds) < 0.9 * exact.bias


def test_steps_and_seeds_have_their_own_masks(model, other):
    values = [
        float(dpo_loss(model, other, PAIRS, seed=s, step=t).detach()) for s, t in ((0, 0), (0, 1), (1, 0), (0, 0))
    ]
    assert values[0] == values[3]
    assert len(set(values)) == 3


def test_changed_weights_are_noticed(model, other):
    value = dpo_loss(model, other, PAIRS)
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_frozen_parameters_get_no_gradient(model, other):
    frozen = dict(model.named_parameters())["module.model.transformer.wte.weight"].requires_grad_(False)
    dpo_loss(model, other, PAIRS).backward()
    assert frozen.grad is None
    assert all(p.grad is not None for p in model.parameters() if p is not frozen)


def test_autocast_holds_in_both_passes(model, other):
    """The gradient is that of the function that was evaluated, bfloat16's, not float32's."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = dpo_loss(model, other, PAIRS, batch_tokens=2**14)
        inside = loss_terms(model, other)
    value.backward()
    ours = gradients(model)
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (again,) = [part.value(model) for part in inside.batches(2**14)]
    again.backward()
    assert all(torch.equal(a, b) for a, b in zip(ours, gradients(model), strict=True))
    model.zero_grad()
    dpo_loss(model, other, PAIRS, batch_tokens=2**14).backward()
    assert not all(torch.equal(a, b) for a, b in zip(ours, gradients(model), strict=True))


def loss_terms(model, other):
    objective = PairObjective(batch_tokens=2**14)
    return objective.batch_terms(objective.score(model, other, [(0, pair) for pair in PAIRS]))


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"beta": -1.0}, "beta"), ({"anchor": math.inf}, "anchor"), ({"estimator": "mean"}, "choose")],
)
def test_bad_options_are_refused_at_once(options, reason):
    with pytest.raises(ValueError, match=reason):
        PairObjective(**options)
