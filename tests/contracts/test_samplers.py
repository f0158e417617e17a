"""Every sampler: its text builds it, its blocks cover the answer, and its answers depend on what they say alone."""

import pytest
import torch

from vrpo_theory import MODELS, SAMPLERS, generate
from vrpo_theory.generation import passes

MEMBERS = [example for name in SAMPLERS.names() for example in SAMPLERS[name].examples()]
every = pytest.mark.parametrize("sampler", MEMBERS, ids=lambda sampler: sampler.spec)
MODEL = MODELS["markov"].case(0).policy
CANVASES = [((k % 5,), 3 + k % 3) for k in range(7)]


class Counted:
    """A model that counts the sequences it is asked about."""

    def __init__(self, model):
        self.model, self.count = model, 0
        self.device, self.dtype, self.vocabulary = model.device, model.dtype, model.vocabulary
        self.fingerprint = model.fingerprint

    def log_prob(self, tokens, answer, mask, attention):
        self.count += len(tokens)
        return self.model.log_prob(tokens, answer, mask, attention)


@every
def test_the_spec_builds_it_again(sampler):
    assert SAMPLERS.build(sampler.spec) == sampler


@every
def test_blocks_cover_the_answer(sampler):
    for length in range(1, 70):
        blocks = sampler.blocks(length)
        assert sum(blocks) == length
        assert min(blocks) > 0


@every
def test_answers_do_not_depend_on_their_neighbours(sampler):
    together = generate(MODEL, CANVASES, sampler, seed=1)
    assert [len(answer.ids) for answer in together] == [length for _, length in CANVASES]
    assert [generate(MODEL, [canvas], sampler, seed=1)[0] for canvas in CANVASES] == together
    assert generate(MODEL, CANVASES[::-1], sampler, seed=1, batch_tokens=11) == together[::-1]


@every
def test_chance_is_the_seed_s_and_the_repeat_s(sampler):
    drawn = sampler.temperature > 0
    before = torch.get_rng_state().clone()
    one, again, other, more = (
        generate(MODEL, CANVASES, sampler, seed=seed, repeat=repeat)
        for seed, repeat in ((1, 0), (1, 0), (2, 0), (1, 1))
    )
    assert one == again
    assert (one != other) == (one != more) == drawn
    assert torch.equal(torch.get_rng_state(), before)


@every
@pytest.mark.parametrize("steps", [None, 3])
def test_passes_are_those_of_the_model(sampler, steps):
    """Of a model that gives the true tokens' log-probabilities alone: one pass for every token of the vocabulary."""
    model, told = Counted(MODEL), []
    found = generate(model, CANVASES, sampler, steps=steps, seed=1, progress=told.append)
    assert sum(answer.passes for answer in found) == model.count == sum(told)
    assert [answer.passes for answer in found] == [passes(model, canvas, sampler, steps) for canvas in CANVASES]
    whole = generate(MODEL, CANVASES, sampler, steps=steps, seed=1)
    assert [answer.ids for answer in found] == [answer.ids for answer in whole]
    assert model.count == MODEL.vocabulary * sum(answer.passes for answer in whole)


@pytest.mark.parametrize("name", SAMPLERS.names())
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_temperatures_are_checked(name, value):
    with pytest.raises(ValueError, match="temperature must be"):
        SAMPLERS[name](temperature=value)


@every
def test_tokens_follow_the_softmax(sampler):
    """On a grid of uniforms each token has as many of them as its probability says, to one at every boundary."""
    log_prob = torch.tensor([0.2, 0.5, 0.0, 0.3], dtype=torch.float64).log()
    grid = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    found = torch.bincount(sampler.token(log_prob.expand(1000, 4), grid), minlength=4)
    t = sampler.temperature
    expected = (log_prob / t).softmax(-1) * 1000 if t else torch.tensor([0, 1000, 0, 0])
    assert (found - expected).abs().max() <= 1
    assert found[2] == 0
    last = torch.tensor([1 - 2**-53], dtype=torch.float64)
    assert sampler.token(torch.tensor([[0.0, 0.0, -torch.inf]], dtype=torch.float64), last) in (0, 1)
