"""What every model promises, checked on every toy that is registered."""

import numpy as np
import pytest
import torch

from vrpo_theory import MODELS, Response, batching, elbo, rounding
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.models.base import Model

LENGTH = 8
EXACT_ACROSS_BATCHES = {"markov", "tabular"}


@pytest.fixture(params=MODELS.names())
def name(request):
    return request.param


@pytest.fixture
def case(name):
    return MODELS[name].case(0, LENGTH)


def answers(model, response):
    return elbo.terms([(response, all_masks(response.length))], model)[0]


def test_follows_the_protocol(case):
    for model in (case.policy, case.reference):
        assert isinstance(model, Model)
        assert len(model.fingerprint) == 64
    assert case.policy.fingerprint != case.reference.fingerprint


def test_case_is_a_function_of_its_seed(name, case):
    again, other = MODELS[name].case(0, LENGTH), MODELS[name].case(1, LENGTH)
    assert again.pair == case.pair
    assert again.policy.fingerprint == case.policy.fingerprint
    assert other.pair != case.pair


def test_nats_at_masked_tokens_and_exactly_zero_elsewhere(case):
    values, masks = answers(case.policy, case.pair.chosen), all_masks(LENGTH)
    assert (values[masks] <= 0).all()  # 0 where float32 rounds a probability to 1
    assert (values[masks] < 0).mean() > 0.9
    assert (values[~masks] == 0).all()


def test_values_under_the_mask_do_not_leak(case):
    """Change a masked token: the other masked tokens' log-probabilities must not move."""
    response, model = case.pair.chosen, case.policy
    changed = list(response.ids)
    changed[2] = (changed[2] + 1) % 4
    mask = np.zeros((1, LENGTH), bool)
    mask[0, [0, 2, 5]] = True
    before, after = (
        elbo.terms([(Response(response.prompt, ids), mask)], model)[0][0] for ids in (response.ids, changed)
    )
    assert before[2] != after[2]
    assert (before[[0, 5]] == after[[0, 5]]).all()


def test_probabilities_sum_to_one(case):
    """Over all values of one masked token, through the contract alone."""
    model, response = case.policy, case.pair.chosen
    mask = np.zeros((1, LENGTH), bool)
    mask[0, [1, 4]] = True
    words = getattr(model, "width", model.vocabulary)
    requests = [
        (Response(response.prompt, (response.ids[0], w, *response.ids[2:])), mask) for w in range(model.vocabulary)
    ]
    total = sum(np.exp(x[0, 1]) for x in elbo.terms(requests, model, batch_tokens=10**6))
    error = rounding.relative(str(model.dtype)[6:], model.vocabulary, model.vocabulary)  # of the softmax alone
    assert total <= 1 + error
    assert words > model.vocabulary or abs(total - 1) < error


def test_batch_size_and_order_do_not_matter(name, case):
    model, requests = case.policy, [(case.pair.chosen, all_masks(LENGTH)[1::5])]
    one, all_at_once = (elbo.terms(requests, model, batch_tokens=tokens)[0] for tokens in (1, 10**6))
    if name in EXACT_ACROSS_BATCHES:
        assert (one == all_at_once).all()
    assert np.abs(one - all_at_once).max() <= rounding.of_tokens(model, one)


def test_padding_changes_nothing(case):
    """Pad left, right and both ways by hand; only the answer's columns may count."""
    model, response = case.policy, case.pair.chosen
    mask = all_masks(LENGTH)[[5, 255]]
    expected = elbo.terms([(response, mask)], model)[0]
    tokens, answer, masked, attention = batching.collate([(response, mask)], model)
    for left, right in ((3, 0), (0, 4), (2, 2)):
        pad = lambda x, fill, left=left, right=right: torch.nn.functional.pad(x, (left, right), value=fill)  # noqa: E731
        got = model.log_prob(pad(tokens, 1), pad(answer, False), pad(masked, False), pad(attention, False))
        columns = slice(left + len(response.prompt), left + len(response.prompt) + LENGTH)
        difference = np.abs(got[:, columns].detach().numpy() - expected).max()
        assert difference <= rounding.of_tokens(model, expected)
        assert not got.detach()[:, : columns.start].any()


def test_gradients_reach_the_parameters(case):
    model = case.policy
    rows = [(case.pair.chosen, all_masks(LENGTH)[1:])]
    grads = torch.autograd.grad(model.log_prob(*batching.collate(rows, model)).sum(), list(model.parameters()))
    assert all(torch.isfinite(g).all() for g in grads)
    assert sum(float(g.abs().sum()) for g in grads) > 0


def test_global_generators_are_left_alone(name, case):
    before = torch.get_rng_state().clone()
    MODELS[name].case(3, LENGTH)
    answers(case.policy, case.pair.chosen)
    assert (torch.get_rng_state() == before).all()
