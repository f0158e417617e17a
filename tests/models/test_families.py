"""Families that AutoModelForMaskedLM knows: each gives transformers' own numbers, or is refused with the reason."""

import pytest
import torch
import transformers

from vrpo_theory.errors import InputError
from vrpo_theory.models.masked_lm import load

WORDS, MASK = 40, 39
SIZE = {
    "vocab_size": WORDS, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 36,
    "max_position_embeddings": 64,
}  # fmt: skip
KIN = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
SOUND = {
    "Albert": {"embedding_size": 12},
    "Camembert": KIN,
    "Data2VecText": KIN,
    "Deberta": {**RELATIVE, "max_relative_positions": 16},
    "DebertaV2": {**RELATIVE, "position_buckets": 8},
    "Electra": {"embedding_size": 12},
    "Ernie": {},
    "Esm": {"pad_token_id": 1, "mask_token_id": MASK, "position_embedding_type": "rotary"},
    "Longformer": {**KIN, "attention_window": 4},
    "MPNet": KIN,
    "MegatronBert": {},
    "RemBert": {"input_embedding_size": 12, "output_embedding_size": 20},
    "RoFormer": {"embedding_size": 24},
    "RobertaPreLayerNorm": KIN,
    "XLMRoberta": KIN,
}
BIG_BIRD = {"attention_type": "block_sparse", "block_size": 4, "num_random_blocks": 1}
UNSOUND = {
    "FNet": ({}, "padding, or its output head"),  # mixes all positions
    "MobileBert": (
        {"embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16},
        "padding, or its output head",  # embeds a token together with its neighbours, padding included
    ),
    "Funnel": (
        {"d_model": 24, "n_head": 2, "d_head": 12, "d_inner": 36, "block_sizes": [1, 1]},
        "padding, or its output",
    ),
    "BigBird": (BIG_BIRD, "a forward pass changes its options"),
}


def saved(folder, family, options):
    config = getattr(transformers, f"{family}Config")
    own = {name: SIZE[name] for name in SIZE if family != "Funnel" or name in ("vocab_size", "max_position_embeddings")}
    with torch.random.fork_rng(devices=[]):
        module = transformers.AutoModelForMaskedLM.from_config(config(**own | options))
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    module.save_pretrained(folder)
    return module.eval()


@torch.no_grad()
@pytest.mark.parametrize("family", SOUND)
def test_numbers_are_those_of_transformers(tmp_path, family):
    module = saved(tmp_path, family, SOUND[family])
    model = load(tmp_path, mask_token_id=MASK)
    tokens = torch.tensor([[7, 8, 9, 10, 11, 12]])
    mask, real = torch.tensor([[False, True, False, True, True, False]]), torch.ones(1, 6, dtype=torch.bool)
    logits = module(input_ids=tokens.masked_fill(mask, MASK)).logits
    expected = logits.log_softmax(-1).gather(-1, tokens[..., None]).squeeze(-1) * mask
    torch.testing.assert_close(model.log_prob(tokens, real, mask, real), expected, atol=1e-4, rtol=0)
    assert model.proxy_parameters()[0].shape == (36, 24)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", UNSOUND)
def test_what_is_unsound_is_refused_with_the_reason(tmp_path, family, dtype):
    """In half precision too, whose rounding is larger than some of the faults."""
    options, match = UNSOUND[family]
    saved(tmp_path, family, options)
    with pytest.raises(InputError, match=match) as error:
        load(tmp_path, mask_token_id=MASK, dtype=dtype)
    assert "\n" not in str(error.value)


def test_a_discriminator_is_no_masked_language_model(tmp_path):
    config = transformers.ElectraConfig(**SIZE, embedding_size=12)
    with torch.random.fork_rng(devices=[]):
        transformers.ElectraForPreTraining(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"missing keys: generator_\S+ and \d more"):
        load(tmp_path, mask_token_id=MASK)


def test_albert_with_a_pooler_loads(tmp_path, capsys):
    config = transformers.AlbertConfig(**SIZE, embedding_size=12)
    with torch.random.fork_rng(devices=[]):
        transformers.AlbertForPreTraining(config).save_pretrained(tmp_path)
    capsys.readouterr()
    load(tmp_path, mask_token_id=MASK)
    assert "albert.pooler.bias and 3 more not used: no part of AlbertForMaskedLM" in capsys.readouterr().err
