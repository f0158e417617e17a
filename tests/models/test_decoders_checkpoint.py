"""Checkpoints of masked decoders: what loads, bit for bit, and what is refused in one line."""

import importlib
import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vrpo_theory import Response, elbo, load_model, rounding
from vrpo_theory.checkpoints.decoders.toy import OPTIONS
from vrpo_theory.errors import InputError
from vrpo_theory.models import MODELS, describe

from .conftest import FAMILIES, FULL, copied

WEIGHTS = "model.safetensors"
RESPONSE, MASK = Response((3, 4, 5), (6, 7, 8, 9)), np.array([[True, False, True, False], [False, True, True, True]])


@pytest.fixture(params=["dream", "lladamoe", "a2d_qwen3_mdlm", "llada2"])
def name(request):
    """One family of every base."""
    return request.param


@pytest.fixture
def folder(name, tmp_path):
    return copied(name, tmp_path / "checkpoint")


def edit(folder, **changes):
    path = folder / "config.json"
    options = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in options.items() if value is not ...}))


def refuse(folder, match, **options):
    state = torch.get_rng_state()
    with pytest.raises(InputError, match=match) as error:
        load_model(folder, **options)
    assert "\n" not in str(error.value)
    assert torch.equal(torch.get_rng_state(), state)


def numbers(model):
    return elbo.terms([(RESPONSE, MASK)], model)[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_saved_model_loads_bit_for_bit(models, name, tmp_path):
    """What its files did not say is saved with it; the official names and keys stay."""
    model = models(name)["policy"]
    model.module.save_pretrained(tmp_path)
    again = load_model(tmp_path)
    for one, other in zip(again.module.state_dict().items(), model.module.state_dict().items(), strict=True):
        assert one[0] == other[0]
        assert torch.equal(one[1], other[1])
    assert again.fingerprint == model.fingerprint
    assert (numbers(again) == numbers(model)).all()
    saved, first = (json.loads((f / "config.json").read_text()) for f in (tmp_path, copied(name, tmp_path / "first")))
    keys = ("architectures", "hidden_size", "model_type", "rms_norm_eps", "rope_theta", "tie_word_embeddings")
    assert {key: saved[key] for key in keys} == {key: first[key] for key in keys}


@pytest.mark.parametrize("name", FAMILIES)
def test_fingerprint_covers_what_moves_a_number(models, name):
    model = models(name)["policy"]
    assert model.fingerprint != models(name)["reference"].fingerprint
    assert model.fingerprint != models(name, dtype="float64")["policy"].fingerprint


def test_fingerprint_covers_mask_and_block(golden):
    folder = golden("a2d_qwen3_bd3lm")["policy"]
    facts = [{"mask_token_id": 157}, {"mask_token_id": 156}, {"mask_token_id": 157, "block_length": 4}]
    facts.append({"mask_token_id": 157, "block_length": 8})
    assert len({load_model(folder, **given).fingerprint for given in facts}) == len(facts)


def first(tensors, end):
    return next(name for name in sorted(tensors) if name.endswith(end))


DAMAGE = {
    "removed": (lambda t, n: t.pop(n), "lacks {}:"),
    "renamed": (lambda t, n: t.update({f"{n}s": t.pop(n)}), "lacks {}:"),
    "transposed": (lambda t, n: t.update({n: t[n].T.contiguous()}), r"wrong shape of {}, \["),
    "NaN": (lambda t, n: t[n].fill_(torch.nan), "{} holds NaN"),
    "more": (lambda t, n: t.update({f"{n}.more": t[n].clone()}), "has unexpected {}.more:"),
    "integers": (lambda t, n: t.update({n: t[n].int()}), "{} is I32"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_weights_are_refused(folder, name, damage):
    change, match = DAMAGE[damage]
    tensors = load_file(folder / WEIGHTS)
    chosen = first(tensors, "down_proj.weight")
    change(tensors, chosen)
    save_file(tensors, folder / WEIGHTS)
    refuse(folder, match.format(chosen), **FAMILIES[name])


CONFIG = {
    "activation": ({"hidden_act": "gelu"}, "hidden_act='gelu' is not supported"),
    "stretched": ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "rope_scaling=.* is not supported"),
    "window": ({"use_sliding_window": True}, "use_sliding_window=True is not supported"),
    "layers' kinds": ({"layer_types": ["sliding_attention"] * 2}, "layer_types=.* is not supported"),
    "quantised": ({"quantization_config": {"bits": 4}}, "quantization_config=.* is not supported"),
    "no base of rotations": ({"rope_theta": ...}, "config.json lacks rope_theta"),
    "wrong kind": ({"hidden_size": "64"}, "hidden_size='64' must be a positive integer"),
    "epsilon": ({"rms_norm_eps": 0}, "rms_norm_eps=0 must be a positive number"),
    "more layers": ({"num_hidden_layers": 10**9, "layer_types": ...}, "too few for num_hidden_layers=1000000000"),
    "one layer more": ({"num_hidden_layers": 5, "moe_layer_freq": [1] * 5, "layer_types": ...}, "lacks model.layers"),
    "one layer": ({"num_hidden_layers": 1, "moe_layer_freq": [1], "layer_types": ...}, "has unexpected model.layers.1"),
    "vocabulary": ({"vocab_size": 158, "pad_token_id": 150}, "wrong shape of"),
    "groups": ({"num_key_value_heads": 3}, "num_key_value_heads=3 does not divide num_attention_heads=4"),
    "width of a head": ({"head_dim": 14}, "head_dim is 14 by|wrong shape of|rotates 7 of 14 numbers"),
    "another family": ({"model_type": "sdar", "architectures": ["DreamModel"]}, "of Dream .* 'sdar' of SDAR"),
    "other code's type": ({"transformers_weights": "x"}, "transformers_weights"),
}


@pytest.mark.parametrize("case", CONFIG)
def test_configuration_is_refused(folder, name, case):
    changes, match = CONFIG[case]
    edit(folder, **changes)
    refuse(folder, match, **FAMILIES[name])


OWN = {
    "Dream's positions": ("dream", {"use_mrope": True}, "use_mrope=True"),
    "iLLaDA's norm": ("illada", {"layer_norm_eps": 1e-5}, "layer_norm_eps=1e-05"),
    "iLLaDA's biases": ("illada", {"mlp_bias": True}, "lacks model.layers.0.mlp.down_proj.bias"),
    "Qwen3's biases": ("sdar", {"attention_bias": True}, "lacks model.layers.0.self_attn.k_proj.bias"),
    "tied": ("sdar", {"tie_word_embeddings": True}, "tie_word_embeddings is true but lm_head.weight differs"),
    "not tied": ("a2d_qwen3_mdlm", {"tie_word_embeddings": False}, "lacks lm_head.weight"),
    "another type": ("sdar", {"model_type": "qwen3"}, "model_type is 'qwen3', expected 'sdar'"),
    "MoE's norms": ("lladamoe", {"qk_layernorm": False}, "qk_layernorm=False"),
    "MoE's bias": ("lladamoe", {"moe_router_enable_expert_bias": True}, "moe_router_enable_expert_bias=True"),
    "MoE's rotations": ("lladamoe", {"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5"),
    "MoE's layers": ("lladamoe", {"moe_layer_freq": [1]}, r"moe_layer_freq=\[1\] must be 0 or 1 for each"),
    "a dense layer": ("lladamoe", {"moe_layer_freq": [0, 1]}, "lacks model.layers.0.mlp.down_proj.weight"),
    "endless experts": ("lladamoe", {"num_experts": 10**9}, "too few for num_experts=1000000000"),
    "too many experts": ("lladamoe", {"num_experts_per_tok": 9}, "num_experts_per_tok=9 exceeds num_experts=8"),
    "groups of experts": ("llada2", {"n_group": 3}, "n_group=3 does not divide num_experts=8"),
    "router": ("llada2", {"score_function": "softmax"}, "score_function='softmax'"),
    "scale": ("llada2", {"routed_scaling_factor": "x"}, "routed_scaling_factor='x' must be a positive number"),
    "rotated": ("llada2", {"partial_rotary_factor": 1.0}, "rotary_dim=8, but partial_rotary_factor rotates 16"),
    "dense layers": ("llada2", {"first_k_dense_replace": 2}, "lacks model.layers.1.mlp.down_proj.weight"),
    "split projections": ("llada2", {"using_split_qkv_in_self_attention": True}, "using_split_qkv_in_self"),
    "block": ("sdar", {"block_size": "4"}, "block_length is '4' by block_size in .*expected a positive integer"),
    "no block": ("sdar", {"block_size": ...}, "lacks block_length.*: give --block-length; that of SDAR and TraDo is 4"),
}


@pytest.mark.parametrize("case", OWN)
def test_a_family_s_own_options_are_refused(tmp_path, case):
    name, changes, match = OWN[case]
    folder = copied(name, tmp_path / "checkpoint")
    edit(folder, **changes)
    refuse(folder, match, **FAMILIES[name])


OPEN = {
    "mask of iLLaDA": ("illada", {}, "lacks mask_token_id.*: give --mask-token-id; that of iLLaDA is 5"),
    "mask of LLaDA2": ("llada2", {"block_length": 4}, "lacks mask_token_id.* is 156895"),
    "block of LLaDA2": ("llada2", {"mask_token_id": 157}, "lacks block_length.* LLaDA2.0 and 2.1 is 32"),
    "a block of none": ("dream", {"block_length": 8}, "Dream and DiffuCoder sees whole sequences: leave out --block-l"),
    "mask outside": ("illada", {"mask_token_id": 151}, "mask_token_id=151 is outside the vocabulary of 151"),
    "attention": ("sdar", {"attn_implementation": "flex_attention"}, "takes no mask .*: use sdpa or eager"),
}


@pytest.mark.parametrize("case", OPEN)
def test_facts_that_are_open_or_wrong_are_refused(golden, case):
    name, given, match = OPEN[case]
    refuse(golden(name)["policy"], match, **given)


def test_what_is_given_counts_for_more_than_the_files(golden):
    model = load_model(golden("sdar")["policy"], mask_token_id=5, block_length=8)
    assert (model.mask_token_id, model.block_length) == (5, 8)


def test_the_tokenizer_says_the_mask_token(tmp_path):
    folder = copied("a2d_qwen3_mdlm", tmp_path / "checkpoint")
    words = {"added_tokens_decoder": {"157": {"content": "<|mask|>"}}}
    (folder / "tokenizer_config.json").write_text(json.dumps(words))
    assert load_model(folder).mask_token_id == 157


def test_one_id_with_two_names_is_no_contradiction(tmp_path):
    """As in SDAR's release, where config.json states the id."""
    folder = copied("sdar", tmp_path / "checkpoint")
    words = {"mask_token": "<|MASK|>", "added_tokens_decoder": {"157": {"content": "<|MASK|>"}}}
    (folder / "tokenizer_config.json").write_text(json.dumps(words))
    (folder / "special_tokens_map.json").write_text(json.dumps({"mask_token": "<MASK>"}))
    assert load_model(folder).mask_token_id == 157
    edit(folder, mask_token_id=156)
    refuse(folder, "mask_token_id is 156 by .*config.json and 157 by <.MASK.> in")


def test_attention_that_no_file_states_is_named(golden, capsys):
    load_model(golden("a2d_qwen3_mdlm")["policy"], mask_token_id=157)
    assert "read with full attention (no block length given; A2D of Qwen3 with blocks usually has 32)" in (
        capsys.readouterr().err
    )


def test_a_tied_head_may_be_stored_as_well(tmp_path):
    """As in iLLaDA's release, by its size."""
    folder = copied("illada", tmp_path / "checkpoint")
    tensors = load_file(folder / WEIGHTS)
    save_file(tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}, folder / WEIGHTS)
    assert load_model(folder, mask_token_id=5).module.lm_head.weight is not None
    save_file(tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"] + 1e-6}, folder / WEIGHTS)
    refuse(folder, "tie_word_embeddings is true but lm_head.weight differs", mask_token_id=5)


def test_the_row_of_the_padding_s_embedding_stays(models):
    module = models("dream")["policy"].module
    assert module.model.embed_tokens.weight[module.config.pad_token_id].abs().max() > 0.01


@torch.no_grad()
def test_under_a_shift_the_first_token_needs_one_before_it(models):
    model = models("dream")["policy"]
    with pytest.raises(InputError, match="the first token of an empty prompt's response has none: give a prompt"):
        elbo.terms([(Response((), (6, 7)), np.array([[False, True]]))], model)
    assert (elbo.terms([(Response((5,), (6, 7)), np.array([[True, True]]))], model)[0] < 0).all()
    for name in set(FAMILIES) - {"dream"}:
        value = elbo.terms([(Response((), (6, 7)), np.array([[True, True]]))], models(name)["policy"])[0]
        assert (value < 0).all()


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_a_cast_leaves_rotations_and_norms_exact(models, name):
    """Against the golden float32 weights in float64: what was rounded at once stays rounded, nothing else is."""
    exact, narrow = (models(name, dtype=dtype)["policy"] for dtype in ("float64", "float32"))
    known = numbers(exact)
    np.testing.assert_allclose(numbers(narrow), known, rtol=0, atol=rounding.of_tokens(narrow, known))
    assert not [buffer for buffer, _ in exact.module.named_buffers() if "expert_bias" not in buffer]


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_are_the_same_with_activations_recomputed(golden, name):
    def gradients(**options):
        model = load_model(golden(name)["policy"], **FAMILIES[name], **options).double().train()
        tokens = torch.tensor([RESPONSE.prompt + RESPONSE.ids])
        answer = torch.arange(tokens.shape[1])[None] >= len(RESPONSE.prompt)
        model.log_prob(tokens, answer, answer, torch.ones_like(answer)).sum().backward()
        return [p.grad for p in model.proxy_parameters()]

    for plain, recomputed in zip(gradients(), gradients(gradient_checkpointing=True), strict=True):
        assert plain.abs().max() > 0 or name in ("lladamoe", "llada2")  # an expert that no token chose
        torch.testing.assert_close(plain, recomputed, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("name", ["dream", "sdar", "llada2"])
def test_an_adapter_is_put_on(golden, models, name, tmp_path):
    peft = pytest.importorskip("peft")
    targets = ["query_key_value"] if name == "llada2" else ["q_proj", "v_proj"]
    model = load_model(golden(name)["policy"], **FAMILIES[name])
    with torch.random.fork_rng(devices=[]):
        wrapped = peft.PeftModel(model.module, peft.LoraConfig(r=2, target_modules=targets))
    for key, parameter in wrapped.named_parameters():
        if "lora_B" in key:
            parameter.data.fill_(0.1)
    wrapped.save_pretrained(tmp_path)
    again = load_model(golden(name)["policy"], adapter=tmp_path, **FAMILIES[name])
    assert (numbers(again) == numbers(model)).all()
    assert (numbers(again) != numbers(models(name)["policy"])).any()


NEWCOMER = '''
"""A newcomer: Qwen3 with blocks of 3, shifted by nothing."""

from vrpo_theory.checkpoints.decoders import SIZES, Decoder

FAMILY: Decoder = Decoder(
    title="Newcomer",
    model_type="newcomer",
    architectures=("NewcomerForMaskedLM",),
    base="transformers.Qwen3ForCausalLM",
    sizes=(*SIZES, "head_dim"),
    attention="blocks",
    checked="nothing",
    unchecked="everything",
)
load, case = FAMILY.load, FAMILY.case
'''


def test_a_new_family_is_one_new_file(tmp_path, monkeypatch):
    package = importlib.import_module("vrpo_theory.models")
    (tmp_path / "newcomer.py").write_text(NEWCOMER)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "vrpo_theory.models.newcomer", raising=False)
    case = MODELS["newcomer"].case(0)
    case.policy.module.save_pretrained(tmp_path / "saved")
    again = load_model(tmp_path / "saved", dtype="float64")
    assert again.block_length == 4
    assert again.fingerprint == case.policy.fingerprint
    assert describe(tmp_path / "saved").family is MODELS["newcomer"].FAMILY
    assert describe(tmp_path / "saved").sizes["layers"] == OPTIONS["num_hidden_layers"]


def test_families_are_told_apart_without_torch():
    """LLaDA-MoE calls itself "llada"; importing the declarations imports no model."""
    import subprocess

    code = (
        "import sys; from pathlib import Path; from vrpo_theory.models import family_of, MODELS\n"
        "kind = lambda **o: family_of(Path('x'), o).__name__.rpartition('.')[2]\n"
        "print(kind(model_type='llada', architectures=['LLaDAMoEModelLM']), kind(model_type='llada'),\n"
        "      kind(model_type='anything', architectures=['ILLaDAForCausalLM']), kind(model_type='Dream'),\n"
        "      kind(model_type='bert'), [m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["llada_moe", "llada", "illada", "dream", "masked_lm", "[]"]


def test_full_families_have_no_block_length(models):
    assert {name: models(name)["policy"].block_length for name in FAMILIES} == {
        name: None if name in FULL else 4 for name in FAMILIES
    }
