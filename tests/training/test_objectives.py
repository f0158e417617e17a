"""The gradients of both stages against autograd of their formulas written out."""

import math

import pytest
import torch

from vrpo_theory import DESIGNS, Budget, Coupling, Scheme
from vrpo_theory.data import toy
from vrpo_theory.randomness import Address
from vrpo_theory.training import Supervised, Vrpo

COUNT = DESIGNS["iid_count"]()


def gradients(model):
    return [p.grad.clone() for p in model.parameters()]


def close(model, expected):
    model.zero_grad()
    expected.backward()
    return [p.grad.clone() for p in model.parameters()]


def log_prob(model, response, mask):
    """Of one response under one mask, from the logits: masked tokens alone, (l,)."""
    place = [len(response.prompt) + int(i) for i in mask.nonzero()[0]]
    ids = torch.tensor([response.prompt + response.ids])
    truth = ids[0, place]
    ids[0, place] = model.mask_token_id
    return model.module(ids).logits[0, place].double().log_softmax(-1).gather(1, truth[:, None]).squeeze(1)


def supervised_loss(model, responses, seed, first):
    """Mean of -(1/L) (L/l) sum over the l masked tokens of log p."""
    total = 0.0
    for number, response in enumerate(responses, first):
        address = Address(seed, COUNT.address, 1, 1, response.key, repeat=number)
        (mask,) = COUNT.draw(address.uniforms(), response.length, Budget(1, 1)).mask
        total = total - log_prob(model, response, mask).sum() / mask.sum()
    return total / len(responses)


def dpo_loss(policy, reference, pairs, seed, first):
    """Mean of -log sigmoid(s_hat), every mask of eight on its own; the same masks for both models."""
    total = 0.0
    for number, pair in enumerate(pairs, first):
        score = 0.0
        for draw in Scheme().draw(pair, seed=seed, repeat=number):
            sign = 1 if draw.response is pair.chosen else -1
            for mask in draw.masks.mask:
                gain = log_prob(policy, draw.response, mask).sum() - log_prob(reference, draw.response, mask).sum()
                score = score + sign * 0.2 * draw.response.length / mask.sum() * gain / 8
        total = total - torch.nn.functional.logsigmoid(score)
    return total / len(pairs)


def agree(ours, theirs):
    return all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("batch_tokens", [4096, 60])
def test_supervised_gradient_is_autograds(model, responses, batch_tokens):
    model.double()
    value = Supervised(responses, 6, seed=4, batch_tokens=batch_tokens).backward(model, 2)
    ours = gradients(model)
    expected = supervised_loss(model, [responses(i) for i in range(12, 18)], 4, 12)
    assert math.isclose(value, float(expected.detach()), rel_tol=1e-12)
    assert agree(ours, close(model, expected))


@pytest.mark.parametrize("anchor", [0.0, 0.5])
def test_vrpo_gradient_is_autograds(model, other, pairs, anchor):
    model.double(), other.double()
    value = Vrpo(other, pairs, 3, seed=4, anchor=anchor).backward(model, 2)
    ours = gradients(model)
    batch = [pairs(i) for i in range(6, 9)]
    expected = dpo_loss(model, other, batch, 4, 6)
    assert math.isclose(value, float(expected.detach()), rel_tol=1e-12)
    if anchor:
        assert not agree(ours, close(model, expected))
        expected = dpo_loss(model, other, batch, 4, 6) + anchor * supervised_loss(
            model, [pair.chosen for pair in batch], 4, 6
        )
    assert agree(ours, close(model, expected))


def test_a_policy_that_is_the_reference_starts_at_ln_2(model, pairs):
    """Only if both see the same masks.

    Seen at https://github.com/eric-mitchell/direct-preference-optimization/issues/34.
    """
    assert math.isclose(Vrpo(model, pairs, 4).backward(model, 0), math.log(2), rel_tol=1e-12)
    apart = Vrpo(model, pairs, 4, scheme=Scheme(coupling=Coupling(shared=False))).backward(model, 0)
    assert abs(apart - math.log(2)) > 1e-3


def test_the_reference_is_left_alone(model, other, pairs):
    Vrpo(other, pairs, 2).backward(model, 0)
    assert all(p.grad is None for p in other.parameters())


def test_steps_read_their_own_items(model, other):
    """Step s reads numbers s batch to (s + 1) batch - 1, in both stages."""
    read = []

    def pair(index):
        read.append(index)
        return toy.pair(0, "train", index)

    Vrpo(other, pair, 3).backward(model, 5)
    Supervised(lambda i: pair(i).chosen, 4).backward(model, 2)
    assert read == [15, 16, 17, 8, 9, 10, 11]
