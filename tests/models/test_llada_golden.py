"""The native LLaDA against numbers and names made by the official code."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vrpo_theory import rounding
from vrpo_theory.models.llada import LLaDAConfig, LLaDAModelLM, tiny

DATA = Path(__file__).parents[1] / "data"
TINY, FULL = DATA / "llada_tiny", DATA / "llada8b_format"
PROMPT, LENGTH = 5, 6


@pytest.fixture(scope="module")
def golden():
    return load_file(TINY / "io.safetensors")


def close(found, expected):
    """To the rounding of float32, in which the official code ran; dropping a block moves logits by whole nats."""
    tolerance = rounding.of_tokens(tiny("policy"), expected)
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0, check_dtype=False)


@pytest.mark.parametrize(("role", "key"), [("policy", "logits"), ("reference", "logits_reference_model")])
@torch.no_grad()
def test_logits(golden, role, key):
    logits = tiny(role).module(golden["input_ids"]).logits
    close(logits, golden[key])


@torch.no_grad()
def test_logits_of_padded_rows(golden):
    mask = golden["attention_mask"]
    logits = tiny("policy").module(golden["input_ids_padded"], mask).logits
    real = mask.bool()
    close(logits[real], golden["logits_attention_mask"][real])


@torch.no_grad()
def test_padding_mask_is_not_ignored(golden):
    """Seen at https://github.com/ML-GSAI/LLaDA/issues/89, https://github.com/ML-GSAI/LLaDA/issues/90,
    https://github.com/ZHZisZZ/dllm/issues/15.
    """
    unmasked = tiny("policy").module(golden["input_ids_padded"]).logits
    assert (unmasked - golden["logits_attention_mask"])[2, -1].abs().max() > 1e-2


@torch.no_grad()
def test_hidden_states_and_head_make_the_logits(golden):
    module = tiny("policy").module
    embedded = module.get_input_embeddings()(golden["input_ids"])
    logits = module.head(module.model(inputs_embeds=embedded))
    close(logits, golden["logits"])


@pytest.mark.parametrize("side", ["chosen", "rejected"])
@pytest.mark.parametrize("role", ["policy", "reference"])
@torch.no_grad()
def test_log_probabilities_of_all_64_masks(role, side):
    table = load_file(TINY / "elbo.safetensors")
    tokens = torch.cat([table["prompt"], table[side]]).expand(2**LENGTH, -1)
    mask = torch.zeros(tokens.shape, dtype=torch.bool)
    mask[:, PROMPT:] = (torch.arange(2**LENGTH)[:, None] >> torch.arange(LENGTH) & 1).bool()
    answer = (torch.arange(tokens.shape[1]) >= PROMPT).expand_as(mask)
    value = tiny(role).double().log_prob(tokens, answer, mask, torch.ones_like(mask))
    assert value.dtype == torch.float64
    assert not value[~mask].any()
    close(value[:, PROMPT:], table[f"{role}.{side}.logp_table"])
    close(-value.sum(1) / LENGTH, table[f"{role}.{side}.loss_table"] / LENGTH)


def test_names_shapes_and_counts_of_the_8b_checkpoint():
    expected = json.loads((FULL / "tensors.json").read_text())["tensors"]
    with torch.device("meta"):
        module = LLaDAModelLM(LLaDAConfig.from_pretrained(FULL))
    assert {name: list(tensor.shape) for name, tensor in module.state_dict().items()} == expected
    assert len(expected) == 291
    counts = {name: parameter.numel() for name, parameter in module.named_parameters()}
    assert sum(counts.values()) == 8_015_581_184
    ends = counts["model.transformer.wte.weight"] + counts["model.transformer.ff_out.weight"]
    assert sum(counts.values()) - ends == 6_979_588_096


def test_defaults_are_the_8b_configuration():
    official = json.loads((FULL / "config.json").read_text())
    config = LLaDAConfig()
    implied = {"n_kv_heads": config.kv_heads, "embedding_size": config.rows}
    assert {**config.official(), **implied} == {name: official[name] for name in config.official()}
