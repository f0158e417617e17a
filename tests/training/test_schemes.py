"""VRPO under other schemes and estimators, against autograd of the loss of a score's independent blocks."""

import math

import pytest
import torch

from vrpo_theory import MODELS, Scheme, batching
from vrpo_theory.training import Vrpo

CASE = MODELS["tabular"].case(0, 4)
BETA, SEED = 0.3, 5


def pair(number):
    return CASE.pair


def blocks(scheme, repeat):
    """Scores of the independent blocks of one estimate, in one graph, (m,)."""
    out = torch.zeros(scheme.blocks, dtype=torch.float64)
    for draw in scheme.draws(CASE.pair, seed=SEED, repeat=repeat):
        block = torch.tensor(draw.masks.block) if scheme.iid else torch.zeros(len(draw.masks.mask), dtype=torch.int64)
        weights = torch.from_numpy(scheme.weighting.weights(draw.masks))
        batch = batching.collate([(draw.response, draw.masks.mask)], CASE.policy)
        for role in draw.contrast.roles:
            terms = draw.contrast.coefficient(role) * (weights * CASE.model(role).log_prob(*batch).double()).sum(1)
            out = out.index_add(0, draw.group * (scheme.blocks // scheme.groups) + block, terms)
    return BETA * scheme.blocks / scheme.groups * out


def losses(estimator, x):
    """The loss, and what has the gradient: of leave-one-out each block's own meets the slope of the others."""
    f, left = (lambda s: -torch.nn.functional.logsigmoid(s)), (x.sum() - x) / (len(x) - 1)
    if estimator == "leave-one-out":
        return f(left).mean(), -(torch.sigmoid(-left).detach() * x).mean()
    plug_in = f(x.mean())
    value = plug_in if estimator == "plug-in" else len(x) * plug_in - (len(x) - 1) * f(left).mean()
    return value, value


@pytest.mark.parametrize("estimator", ["plug-in", "jackknife", "leave-one-out"])
@pytest.mark.parametrize(
    "text", ["n_t=4, n_yt=2", "n_t=3, shared=False, groups=2", "power_strata, two_way, n_t=3, groups=3"]
)
def test_gradients_are_autograds(text, estimator):
    scheme = Scheme.parse(text)
    CASE.policy.zero_grad()
    objective = Vrpo(CASE.reference, pair, 3, seed=SEED, beta=BETA, scheme=scheme, estimator=estimator, batch_tokens=40)
    value = objective.backward(CASE.policy, 2)
    ours = [p.grad.clone() for p in CASE.policy.parameters()]
    CASE.policy.zero_grad()
    expected, differentiated = zip(*(losses(estimator, blocks(scheme, repeat)) for repeat in (6, 7, 8)), strict=True)
    (sum(differentiated) / 3).backward()
    assert math.isclose(value, float(sum(expected).detach()) / 3, rel_tol=1e-12)
    for a, p in zip(ours, CASE.policy.parameters(), strict=True):
        assert torch.allclose(a, p.grad, rtol=1e-9, atol=1e-12)
    CASE.policy.zero_grad()


@pytest.mark.parametrize(
    ("text", "estimator", "reason"),
    [
        ("n_t=1", "jackknife", "two independent blocks, got 1"),
        ("strata", "leave-one-out", "got 1"),
        ("", "mean", "choose"),
    ],
)
def test_estimators_that_a_scheme_cannot_have_are_refused_at_once(text, estimator, reason):
    with pytest.raises(ValueError, match=reason):
        Vrpo(CASE.reference, pair, 1, scheme=Scheme.parse(text), estimator=estimator)
