"""LLaDA as a predictor: what may and what may not change a log-probability."""

import copy

import numpy as np
import pytest
import torch

from vrpo_theory import rounding
from vrpo_theory.errors import InputError
from vrpo_theory.models.base import Model
from vrpo_theory.models.llada import LLaDA, LLaDAConfig, LLaDAModelLM, case, predictor, tiny

PROMPT, LENGTH, ROWS = 5, 8, 4
MASK_ID = 258


@pytest.fixture
def model():
    return tiny("policy")


@pytest.fixture
def batch():
    """(tokens, answer, mask, attention) without padding."""
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(0, 256, (ROWS, PROMPT + LENGTH), generator=generator)
    answer = (torch.arange(PROMPT + LENGTH) >= PROMPT).expand(ROWS, -1)
    mask = answer & (torch.rand(tokens.shape, generator=generator) < 0.5)
    return tokens, answer, mask, torch.ones_like(answer)


def padded(batch, left, right, fill):
    pad = torch.nn.functional.pad
    tokens, *flags = batch
    return pad(tokens, (left, right), value=fill), *(pad(flag, (left, right), value=False) for flag in flags)


def close(a, b, model):
    """To the rounding of the model; what these tests are there to find is a thousand times that."""
    torch.testing.assert_close(a, b, atol=rounding.of_tokens(model, b.detach()), rtol=0)


def test_follows_the_contract(model, batch):
    assert isinstance(model, Model)
    value = model.log_prob(*batch)
    assert (model.vocabulary, model.mask_token_id, model.dtype, model.device.type) == (
        259,
        MASK_ID,
        torch.float32,
        "cpu",
    )
    assert value.shape == batch[0].shape
    assert (value[batch[2]] < 0).all()
    assert not value[~batch[2]].any()


def test_equals_log_softmax_of_all_logits(model, batch):
    tokens, _, mask, attention = batch
    logits = model.module(tokens.masked_fill(mask, MASK_ID), attention).logits
    full = logits.log_softmax(-1).gather(-1, tokens[..., None]).squeeze(-1)
    close(model.log_prob(*batch)[mask], full[mask], model)


@pytest.mark.parametrize("fill", [0, MASK_ID, -100])
@pytest.mark.parametrize(("left", "right"), [(0, 7), (7, 0), (3, 4)])
@torch.no_grad()
def test_padding_changes_nothing(model, batch, left, right, fill):
    columns = slice(left, left + PROMPT + LENGTH)
    more = padded(batch, left, right, fill)
    close(model.log_prob(*more)[:, columns], model.log_prob(*batch), model)
    model.double()
    close(model.log_prob(*more)[:, columns], model.log_prob(*batch), model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@torch.no_grad()
def test_batch_size_changes_nothing(model, batch, dtype):
    model.to(dtype)
    one_by_one = torch.cat([model.log_prob(*(x[row : row + 1] for x in batch)) for row in range(ROWS)])
    close(one_by_one, model.log_prob(*batch), model)


def test_values_under_the_mask_do_not_leak(model, batch):
    tokens, answer, mask, attention = batch
    row, column = mask.nonzero()[0]
    changed = tokens.clone()
    changed[row, column] = (tokens[row, column] + 1) % 256
    before, after = model.log_prob(*batch), model.log_prob(changed, answer, mask, attention)
    others = mask.clone()
    others[row, column] = False
    assert torch.equal(before[others], after[others])
    assert before[row, column] != after[row, column]


def test_literal_mask_token_is_not_a_masked_one(model, batch):
    """Seen at https://github.com/ML-GSAI/LLaDA/blob/main/get_log_likelihood.py."""
    tokens, answer, mask, attention = (x.clone() for x in batch)
    row, column = (answer & ~mask).nonzero()[0]
    tokens[row, column] = MASK_ID
    value = model.log_prob(tokens, answer, mask, attention)
    assert value[row, column] == 0
    mask[row, column] = True
    scored = model.log_prob(tokens, answer, mask, attention)
    assert scored[row, column] < 0
    close(scored[batch[2]], value[batch[2]], model)


@torch.no_grad()
def test_chunks_of_positions_change_nothing(model, batch, monkeypatch):
    whole = model.double().log_prob(*batch)
    monkeypatch.setattr(predictor, "LOGITS", 3 * 259)
    close(model.log_prob(*batch), whole, model)


def test_nothing_masked_gives_zeros(model, batch):
    tokens, answer, mask, attention = batch
    assert not model.log_prob(tokens, answer, torch.zeros_like(mask), attention).any()


@pytest.mark.parametrize("alien", [259, -1])
def test_token_outside_the_vocabulary_is_refused(model, batch, alien):
    batch[0][0, 0] = alien
    with pytest.raises(InputError, match=f"token id {alien} is outside the vocabulary of 259"):
        model.log_prob(*batch)


def test_ids_of_surplus_embedding_rows_are_outside_the_vocabulary(batch):
    config = LLaDAConfig(**{**tiny("policy").module.config.official(), "vocab_size": 200, "mask_token_id": 199})
    with torch.random.fork_rng(devices=[]):
        model = LLaDA(LLaDAModelLM(config))
    batch[0].clamp_(max=199)
    assert torch.isfinite(model.log_prob(*batch)).all()
    batch[0][0, 0] = 200
    with pytest.raises(InputError, match="vocabulary of 200"):
        model.log_prob(*batch)


def test_too_long_a_sequence_is_refused(model):
    tokens = torch.zeros(1, 129, dtype=torch.long)
    flags = torch.ones(1, 129, dtype=torch.bool)
    with pytest.raises(InputError, match="129 tokens exceeds max_sequence_length=128"):
        model.log_prob(tokens, flags, flags, flags)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradient_matches_finite_differences(model, batch, checkpointing):
    model.double().train(checkpointing)
    if checkpointing:
        model.module.activation_checkpointing_enable()
    model.log_prob(*padded(batch, 2, 3, 0)).sum().backward()
    step = 1e-5
    for parameter in model.parameters():
        assert parameter.grad.isfinite().all()
        index = parameter.grad.abs().argmax()
        ends = []
        for sign in (1, -1):
            moved = copy.deepcopy(model)
            twin = next(q for q, p in zip(moved.parameters(), model.parameters(), strict=True) if p is parameter)
            twin.data.view(-1)[index] += sign * step
            with torch.no_grad():
                ends.append(moved.log_prob(*batch).sum())
        slope = (ends[0] - ends[1]) / (2 * step)
        assert float(parameter.grad.view(-1)[index] / slope) == pytest.approx(1, rel=1e-5)  # the step's error


def test_proxy_is_the_first_up_projection(model):
    (proxy,) = model.proxy_parameters()
    assert proxy is dict(model.named_parameters())["module.model.transformer.blocks.0.up_proj.weight"]


def test_cast_to_bfloat16_keeps_rotations_in_float32(model):
    position = torch.tensor([[1000]])
    before = [x.double() for x in rotations_at(model, position)]
    model.bfloat16()
    for exact, kept in zip(before, rotations_at(model, position), strict=True):
        assert kept.dtype == torch.float32
        assert torch.equal(kept.double(), exact)
    assert not list(model.buffers())


def rotations_at(model, position):
    seen = []
    block = model.module.model.transformer["blocks"][0]
    with block.register_forward_pre_hook(lambda _, args: seen.append(args[1])):
        model.module.model(torch.zeros_like(position), position_ids=position)
    return seen[0]


@torch.no_grad()
def test_bfloat16_scores_in_float32(model, batch):
    """Seen at https://github.com/genlm/genlm-backend/pull/66, https://github.com/huggingface/trl/issues/7084."""
    exact = model.log_prob(*batch)
    value = model.bfloat16().log_prob(*batch)
    assert value.dtype == torch.float32
    assert (value.bfloat16() != value).any()  # as a softmax in bfloat16 would have it
    close(value, exact, model)


def test_global_generator_is_untouched(batch):
    state = torch.get_rng_state()
    model = tiny("reference").train()
    model.log_prob(*batch).sum().backward()
    assert torch.equal(torch.get_rng_state(), state)


def test_fingerprint_follows_the_weights_and_the_configuration(model):
    """Seen at https://github.com/ML-GSAI/LLaDA/issues/103."""
    first = model.fingerprint
    assert first == tiny("policy").fingerprint
    assert first != tiny("reference").fingerprint
    with torch.no_grad():
        model.proxy_parameters()[0][0, 0] += 1
    moved = model.fingerprint
    assert moved != first
    assert model.bfloat16().fingerprint not in (first, moved)
    other = tiny("policy")
    other.module.config.rope_theta = 100.0
    assert other.fingerprint != first


def test_tiny_models_are_the_callers_own(model):
    with torch.no_grad():
        model.double().proxy_parameters()[0].zero_()
    assert tiny("policy").dtype == torch.float32
    assert tiny("policy").proxy_parameters()[0].any()
    assert not model.module.training
    with pytest.raises(ValueError, match="policy, reference"):
        tiny("chosen")


def test_case_draws_ordinary_tokens():
    one, again, other = case(0, 6), case(0, 6), case(1, 6)
    assert one.pair == again.pair
    assert one.pair.chosen.ids != other.pair.chosen.ids
    assert one.policy.fingerprint == tiny("policy").fingerprint
    assert one.reference.fingerprint == tiny("reference").fingerprint
    assert one.pair.chosen.length == one.pair.rejected.length == 6
    rng = np.random.default_rng(7000)
    for ids in (one.pair.chosen.prompt, one.pair.chosen.ids, one.pair.rejected.ids):
        assert list(ids) == rng.integers(256, size=len(ids)).tolist()
