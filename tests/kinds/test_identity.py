"""A fingerprint covers whatever moves a forward pass, and follows it as it changes.

https://github.com/huggingface/peft/issues/1964, https://github.com/sgl-project/sglang/issues/40835
"""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, RobertaConfig, RobertaForMaskedLM

from vrpo_theory import elbo
from vrpo_theory.models import llada, masked_lm
from vrpo_theory.models.llada import LLaDA, LLaDAConfig, LLaDAModelLM
from vrpo_theory.models.masked_lm import MaskedLM
from vrpo_theory.store import Recorded, SampleStore
from vrpo_theory.types import Response

WORDS = 30
BERT = {
    "vocab_size": WORDS, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 36,
    "max_position_embeddings": 32,
}  # fmt: skip
LLADA = {
    "d_model": 24, "n_heads": 4, "n_layers": 2, "mlp_hidden_size": 40, "vocab_size": WORDS, "embedding_size": WORDS,
    "mask_token_id": 29, "max_sequence_length": 32,
}  # fmt: skip
REQUESTS = [(Response((3, 1, 4), (1, 5, 9, 2, 6)), np.array([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1]], bool))]


def noisy(module):
    """The module in eval mode with noise in every tensor, the same noise wherever name and shape agree."""
    for name, parameter in module.named_parameters():
        generator = torch.Generator().manual_seed(sum(name.encode()))
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    return module.eval()


def build(kind, **options):
    with torch.random.fork_rng(devices=[]):
        if kind == "llada":
            return LLaDA(noisy(LLaDAModelLM(LLaDAConfig(**LLADA | options))))
        config, module = {"bert": (BertConfig, BertForMaskedLM), "roberta": (RobertaConfig, RobertaForMaskedLM)}[kind]
        return MaskedLM(noisy(module(config(**BERT | options))), 29)


def numbers(model):
    return np.concatenate([value.ravel() for value in elbo.terms(REQUESTS, model)])


MOVING = {
    "llada": {
        "rms_norm_eps": 0.1, "rope_theta": 100.0, "n_heads": 2, "n_kv_heads": 2, "scale_logits": True, "n_layers": 1,
        "weight_tying": True, "mlp_hidden_size": 32, "include_bias": True, "include_qkv_bias": True,
        "mask_token_id": 28, "multi_query_attention": True, "embedding_size": 32, "d_model": 16,
    },
    "bert": {
        "layer_norm_eps": 0.1, "hidden_act": "relu", "num_attention_heads": 4, "num_hidden_layers": 1,
        "intermediate_size": 32, "tie_word_embeddings": False, "pad_token_id": 5,
    },
    "roberta": {"pad_token_id": 5, "layer_norm_eps": 0.1, "hidden_act": "silu"},
}  # fmt: skip
STILL = {
    "llada": {
        "use_cache": True,
        "eos_token_id": [2, 3],
        "init_std": 0.5,
        "precision": "fp32",
        "attention_dropout": 0.0,
    },
    "bert": {"use_cache": False, "initializer_range": 0.5, "id2label": {0: "a"}, "architectures": ["X"]},
    "roberta": {"eos_token_id": 3, "bos_token_id": 4},
}
FIELDS = [(kind, name, value) for kind, fields in MOVING.items() for name, value in fields.items()]


@pytest.fixture(scope="module")
def plain():
    return {kind: build(kind) for kind in MOVING}


@pytest.mark.parametrize(("kind", "name", "value"), FIELDS)
def test_a_field_that_moves_a_number_moves_the_fingerprint(plain, kind, name, value):
    other = build(kind, **{name: value})
    if not np.array_equal(numbers(other), numbers(plain[kind])):
        assert other.fingerprint != plain[kind].fingerprint
    else:
        assert (kind, name) == ("bert", "pad_token_id")  # no row of noise is padding's


@pytest.mark.parametrize("kind", STILL)
def test_fields_that_move_nothing_leave_the_fingerprint(plain, kind):
    for name, value in STILL[kind].items():
        other = build(kind, **{name: value})
        assert np.array_equal(numbers(other), numbers(plain[kind]))
        assert other.fingerprint == plain[kind].fingerprint, name


def halved(model):
    model.module.get_input_embeddings().weight.data *= 0.5


def one_entry(model):
    with torch.no_grad():
        next(model.module.parameters())[1, 2] += 1


def swapped(model):
    weight = model.module.get_output_embeddings().weight
    weight.data = weight.data.flip(0)


def epsilon(model):
    next(part for part in model.modules() if hasattr(part, "variance_epsilon")).variance_epsilon = 0.5


def scaled(model):
    model.module.config.scale_logits = True


def slower(model):
    model.module.config.rope_theta = 10.0


def mask(model):
    model.mask_token_id = 28


@pytest.mark.parametrize(
    "act", [halved, one_entry, swapped, epsilon, scaled, slower, mask, LLaDA.double, LLaDA.bfloat16]
)
def test_a_change_in_place_is_seen(act):
    model = build("llada")
    before, values = model.fingerprint, numbers(model)
    act(model)
    assert model.fingerprint != before
    assert not np.array_equal(numbers(model), values)


def test_a_buffer_that_no_file_keeps_is_seen():
    model = build("llada")
    model.module.register_buffer("table", torch.ones(3), persistent=False)
    before = model.fingerprint
    model.module.table[1] = 2
    assert model.fingerprint != before


def test_the_attention_and_the_precision_of_products_are_part_of_it():
    model = build("bert")
    found = {model.fingerprint}
    model.module.set_attn_implementation("eager")
    found.add(model.fingerprint)
    precision = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        found.add(model.fingerprint)
    finally:
        torch.set_float32_matmul_precision(precision)
    assert len(found) == 3


def test_copies_modes_and_checkpointing_leave_it():
    model = build("llada")
    before = model.fingerprint
    model.checkpoint_gradients()
    assert copy.deepcopy(model).train().fingerprint == model.fingerprint == before


LORA = {"r": 2, "lora_alpha": 8, "target_modules": ["q_proj", "up_proj"], "lora_dropout": 0.0}
CHANGED = {
    "alpha": {"lora_alpha": 32},
    "rank-stabilised": {"use_rslora": True},
    "alpha of one part": {"alpha_pattern": {"up_proj": 16}},
    "rank of one part": {"rank_pattern": {"up_proj": 4}},
    "targets": {"target_modules": ["q_proj"]},
    "layers": {"layers_to_transform": [0]},
    "magnitudes": {"use_dora": True},
    "bias": {"lora_bias": True},
    "stored transposed": {"fan_in_fan_out": True},
}


def adapted(**options):
    peft = pytest.importorskip("peft")
    model = build("llada")
    with torch.random.fork_rng(devices=[]):
        wrapped = peft.PeftModel(model.module, peft.LoraConfig(**LORA | options))
    for name, parameter in model.named_parameters():
        if ".lora_" in name and "magnitude" not in name:
            generator = torch.Generator().manual_seed(sum(name.encode()))
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    return model, wrapped


@pytest.mark.parametrize("case", CHANGED)
def test_every_option_of_an_adapter_is_covered(case):
    plain, other = adapted()[0], adapted(**CHANGED[case])[0]
    assert adapted()[0].fingerprint == plain.fingerprint
    if case != "stored transposed":  # peft takes it back for a linear layer
        assert not np.array_equal(numbers(plain), numbers(other))
        assert plain.fingerprint != other.fingerprint


def layers(model):
    return [part for part in model.modules() if hasattr(part, "set_scale")]


ACTS = {
    "set_scale": lambda model, wrapped: [layer.set_scale("default", 3.0) for layer in layers(model)],
    "scale_layer": lambda model, wrapped: [layer.scale_layer(0.5) for layer in layers(model)],
    "disabled": lambda model, wrapped: wrapped.base_model.disable_adapter_layers(),
    "merged": lambda model, wrapped: wrapped.merge_adapter(),
    "another one": lambda model, wrapped: (wrapped.add_adapter("two", two()), wrapped.set_adapter("two")),
}


def two():
    import peft

    return peft.LoraConfig(**LORA)


@pytest.mark.parametrize("act", ACTS)
def test_what_is_done_to_an_adapter_is_seen(act):
    model, wrapped = adapted()
    before, values = model.fingerprint, numbers(model)
    ACTS[act](model, wrapped)
    assert model.fingerprint != before
    if act != "merged":
        assert not np.array_equal(numbers(model), values)


def test_a_store_keeps_two_scalings_apart(tmp_path):
    models = [adapted(lora_alpha=alpha)[0] for alpha in (8, 32)]
    with SampleStore.open(tmp_path / "store", {}) as store:
        kept = [numbers(Recorded(model, store)) for model in models]
        again = [numbers(Recorded(model, store)) for model in models]
    for model, first, second in zip(models, kept, again, strict=True):
        assert np.array_equal(first, second)
        np.testing.assert_allclose(first, numbers(model), rtol=1e-12)
    assert not np.allclose(*kept, atol=1e-3)


BASE = Path(__file__).parents[1] / "data" / "cases" / "base" / "reference"


def test_files_of_one_adapter_with_two_alphas_are_two_models(tmp_path):
    peft = pytest.importorskip("peft")
    found = []
    for alpha in (8, 32):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            options = {**LORA, "lora_alpha": alpha, "init_lora_weights": False}
            wrapped = peft.PeftModel(llada.load(BASE).module, peft.LoraConfig(**options))
        wrapped.save_pretrained(tmp_path / str(alpha))
        path = tmp_path / str(alpha) / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": str(BASE)}))
        found.append(llada.load(BASE, adapter=tmp_path / str(alpha)))
    one, other = (tmp_path / str(alpha) / "adapter_model.safetensors" for alpha in (8, 32))
    assert one.read_bytes() == other.read_bytes()
    assert found[0].fingerprint != found[1].fingerprint
    assert not np.allclose(*map(numbers, found), atol=1e-3)


def test_a_checkpoint_and_the_same_weights_built_here_are_one_model(tmp_path):
    model = build("bert")
    model.module.save_pretrained(tmp_path)
    assert masked_lm.load(tmp_path, mask_token_id=29).fingerprint == model.fingerprint
