"""Decoding: which token comes first, which value it takes, and how often the whole is right."""

import math

import numpy as np
import pytest
import torch

from vrpo_theory import MODELS, tabulate
from vrpo_theory.data import toy
from vrpo_theory.training import accuracy, decode
from vrpo_theory.training.decoding import confident, diffusion

PROMPTS = [(q.prompt, len(q.answer)) for q in (toy.question(0, "test", i) for i in range(12))]


@pytest.mark.parametrize("sampler", ["low_confidence", "diffusion"])
def test_responses_do_not_depend_on_their_neighbours(model, sampler):
    together = decode(model, PROMPTS, sampler, seed=1)
    assert [len(response) for response in together] == [length for _, length in PROMPTS]
    assert all(toy.MASK not in response for response in together)
    assert [decode(model, [canvas], sampler, seed=1)[0] for canvas in PROMPTS] == together
    assert decode(model, PROMPTS[::-1], sampler, seed=1) == together[::-1]


def test_the_seed_is_the_diffusion_samplers(model):
    for sampler, same in (("low_confidence", True), ("diffusion", False)):
        assert (decode(model, PROMPTS, sampler, seed=1) == decode(model, PROMPTS, sampler, seed=2)) == same


def test_the_most_confident_token_comes_first(model):
    """By hand, one response: the greatest probability over places and values, then again."""
    prompt, length = PROMPTS[0]
    row = torch.tensor([[*prompt, *[toy.MASK] * length]])
    with torch.no_grad():
        for _ in range(length):
            prob = model.module(row).logits[0].double()
            prob[:, toy.MASK] = -math.inf
            prob = prob.softmax(-1)
            prob[row[0] != toy.MASK] = -1
            place, token = divmod(int(prob.argmax()), prob.shape[1])
            row[0, place] = token
    assert decode(model, [(prompt, length)], "low_confidence") == [tuple(row[0, len(prompt) :].tolist())]


def test_choosers():
    prob = torch.tensor([[[0.2, 0.5, 0.3], [0.1, 0.0, 0.9]]], dtype=torch.float64)
    place, token = torch.tensor([[0.8, 0.1]]), torch.tensor([[0.69, 0.1]], dtype=torch.float64)
    priority, value = confident(prob, place, token)
    assert priority.tolist() == [[0.5, 0.9]]
    assert value.tolist() == [[1, 2]]
    priority, value = diffusion(prob, place, token)
    assert priority is place
    assert value.tolist() == [[1, 2]]
    grid = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    values = diffusion(prob[:, :1].expand(1, 1000, 3), grid[None], grid[None])[1]
    assert np.bincount(values[0]).tolist() == [200, 500, 300]


@pytest.mark.statistical(rate=2e-9, detects="a sampler off by 12 points, as low-confidence remasking is")
def test_diffusion_sampling_has_the_law_of_the_exact_likelihood():
    """The number of right answers against the sum of their exact probabilities: Hoeffding at 1e-9, twice."""
    cases = [MODELS["toy_llada"].case(i) for i in range(20)]
    policy = cases[0].policy
    tables = tabulate([type(c)(policy, policy, c.pair) for c in cases])
    expected = np.mean([math.exp(t.policy[t.pair.chosen].log_likelihood) for t in tables])
    canvases = [(c.pair.chosen.prompt, c.pair.chosen.length) for c in cases]

    def share(sampler, seeds):
        right = [
            written == case.pair.chosen.ids
            for seed in range(seeds)
            for case, written in zip(cases, decode(policy, canvases, sampler, seed=seed), strict=True)
        ]
        return sum(right) / len(right)

    bound = math.sqrt(math.log(2 / 1e-9) / (2 * 20 * 40))
    assert abs(share("diffusion", 40) - expected) < bound < 0.12
    assert abs(share("low_confidence", 1) - expected) > bound


def test_accuracy_has_a_binomial_error():
    found = accuracy([True] * 30 + [False] * 10)
    assert found.value == 0.75
    assert math.isclose(found.stderr, math.sqrt(0.75 * 0.25 / 40))


def test_global_generators_are_left_alone(model):
    before = torch.get_rng_state().clone()
    decode(model, PROMPTS[:2], "diffusion")
    assert torch.equal(torch.get_rng_state(), before)
