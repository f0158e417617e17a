"""Writing answers: the law of random remasking, greedy answers step by step, and how steps are shared out."""

import math

import numpy as np
import pytest
import torch

from vrpo_theory import MODELS, Case, PreferencePair, Response, batching, generate, tabulate
from vrpo_theory.errors import InputError
from vrpo_theory.exact.cases import log_likelihood_of
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.generation import schedule
from vrpo_theory.models.llada import tiny

LENGTH, WORDS, NUMBER = 3, 4, 2_000
KINDS = {"llada": 0, "dream": 1, "illada": 0, "sdar": 0, "llada2": 0}
"""Families, and the columns from a token back to the logits that predict it."""


def policy(name):
    return tiny("policy") if name == "llada" else MODELS[name].case(0).policy


@pytest.mark.statistical(rate=3e-9, detects="a law off by 26 points of total variation, as low-confidence remasking is")
@pytest.mark.parametrize(("name", "prompt"), [("tabular", ()), ("block_tabular", (2,))])
def test_random_remasking_has_the_any_order_likelihood(name, prompt):
    """Total variation over all 64 answers: beyond d with a probability of at most 2^64 exp(-2 n d^2).

    The canvases differ by the first token of the prompt, which has no effect.
    """
    model = MODELS[name].case(0, LENGTH).policy
    answers = [Response((0, *prompt), ids) for ids in np.ndindex(*[WORDS] * LENGTH)]
    pairs = [PreferencePair(one, other) for one, other in zip(answers[::2], answers[1::2], strict=True)]
    tables = tabulate([Case(model, model, pair) for pair in pairs])
    law = [math.exp(log_likelihood_of(t, "policy", side)) for t in tables for side in ("chosen", "rejected")]
    assert math.isclose(sum(law), 1)

    def distance(sampler):
        canvases = [((k, *prompt), LENGTH) for k in range(NUMBER)]
        written = generate(model, canvases, sampler, batch_tokens=2**14)
        place = np.array([answer.ids for answer in written]) @ (WORDS ** np.arange(LENGTH)[::-1])
        return np.abs(np.bincount(place, minlength=WORDS**LENGTH) / NUMBER - law).sum() / 2

    bound = math.sqrt((WORDS**LENGTH * math.log(2) + math.log(1e9)) / (2 * NUMBER))
    assert distance("diffusion") < bound < 0.13
    if name == "tabular":
        assert distance("low_confidence(temperature=1.0)") > bound


def by_hand(model, shift, prompt, blocks, kept, eos=None):
    """Greedy low-confidence remasking of one answer, block by block, ``kept`` tokens a pass, from official logits."""
    ids = [*prompt, *[model.mask_token_id] * sum(blocks)]
    end = len(prompt)
    for size in blocks:
        start, end = end, end + size
        while masked := [i for i in range(start, end) if ids[i] == model.mask_token_id]:
            logits = model.module(torch.tensor([ids if not model_blocks(model) else ids[:end]])).logits[0].double()
            prob = logits.softmax(-1)
            prob[:, model.mask_token_id] = -1
            best = {i: prob[i - shift, : model.vocabulary].max(-1) for i in masked}
            sure = {i: 0.0 if int(b.indices) == eos else float(b.values) for i, b in best.items()}
            for i in sorted(masked, key=lambda i: -sure[i])[:kept]:
                ids[i] = int(best[i].indices)
    return tuple(ids[len(prompt) :])


def model_blocks(model):
    return getattr(model, "block_length", None)


@pytest.mark.parametrize("kept", [1, 2])
@pytest.mark.parametrize("sampler", ["low_confidence()", "semi_autoregressive(block_length=4)"])
@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_greedy_answers_are_those_by_hand(name, sampler, kept):
    model, length = policy(name), 12
    for prompt in ((1, 2, 3, 4), (7, 5, 3, 1, 2, 6, 4, 8)):  # whole blocks of four
        blocks = [4, 4, 4] if model_blocks(model) or "semi" in sampler else [12]
        eos = by_hand(model, KINDS[name], prompt, blocks, kept)[0]
        for text, last in ((sampler, None), (sampler.replace("(", f"(eos={eos}, "), eos)):
            (found,) = generate(model, [(prompt, length)], text, steps=length // kept)
            assert found.passes == length // kept
            assert found.ids == by_hand(model, KINDS[name], prompt, blocks, kept, last)


@pytest.mark.parametrize("name", MODELS.names())
def test_every_model_writes(name):
    """Answers of any length, beside one another; never the mask token; and laws that are those of `log_prob`."""
    case = MODELS[name].case(0, 8)
    model, response = case.policy, case.pair.chosen
    requests = [(response, all_masks(8)[[3, 77, 255]])]
    batch = batching.collate(requests, model)
    with torch.no_grad():
        every = torch.cat(list(model.conditionals(*batch)))
        value = model.log_prob(*batch)[batch[2]]
    assert every.shape == (len(value), model.vocabulary)
    torch.testing.assert_close(every.gather(1, batch[0][batch[2]][:, None])[:, 0], value)
    lengths = (8,) if name in ("tabular", "shock") else (8, 3, 5)
    canvases = [(response.prompt, length) for length in lengths]
    for sampler in ("diffusion", "semi_autoregressive(block_length=3)"):
        found = generate(model, canvases, sampler)
        assert [len(answer.ids) for answer in found] == list(lengths)
        written = {token for answer in found for token in answer.ids}
        assert written <= set(range(model.vocabulary)) - {getattr(model, "mask_token_id", None)}


@pytest.mark.parametrize("length", range(1, 9))
@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_the_rule_of_llada_where_it_has_one(blocks, length):
    for steps in range(1, length + 1):
        base, more = divmod(length, steps)
        found = schedule([[length] * blocks], steps * blocks)
        assert [step.kept for step in found] == [base + (k < more) for k in range(steps)] * blocks


@pytest.mark.parametrize("blocks", [[[5]], [[1], [4], [4], [2]], [[2, 1], [3]]])
def test_steps_are_shared_out(blocks):
    sizes = [size for block in blocks for size in block]
    for steps in range(len(sizes), sum(sizes) + 3):
        found = schedule(blocks, steps)
        assert len(found) == min(steps, sum(sizes))
        assert min(step.kept for step in found) > 0
        ends = sorted({step.end for step in found})
        assert [sum(s.kept for s in found if s.end == end) for end in ends] == sizes
    with pytest.raises(InputError, match="at least one step a block") if len(sizes) > 1 else pytest.raises(InputError):
        schedule(blocks, len(sizes) - 1)


def test_one_block_of_the_model_is_seen_at_a_time():
    """Blocks of four from the start of the prompt: of seven tokens after two, two, four and one."""
    model, seen = MODELS["block_markov"].case(0).policy, []
    usual = model.conditionals
    model.conditionals = lambda *batch: seen.append(int(batch[3].sum())) or usual(*batch)
    generate(model, [((1, 2), 7)], "semi_autoregressive(block_length=3)")
    assert seen == [4, 4, 8, 8, 8, 8, 9]


def test_text_that_is_no_sampler_is_refused():
    for text, cause in (
        ("greedy", "unknown sampler"),
        ("low_confidence(1)", "expected NAME"),
        ("diffusion(t=1)", "form"),
    ):
        with pytest.raises(InputError, match=cause):
            generate(MODELS["markov"].case(0).policy, [((), 3)], text)
