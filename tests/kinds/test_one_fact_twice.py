"""A fact that a checkpoint's files state twice: the sources agree, or the fact is refused by name.

https://github.com/inclusionAI/Ming/issues/67, https://github.com/deepspeedai/DeepSpeed/pull/8345
"""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from vrpo_theory.checkpoints.facts import Source, agreed
from vrpo_theory.errors import InputError
from vrpo_theory.models import load_model
from vrpo_theory.runs.inputs import Sources, tokenizer

from .conftest import CASES

CONFIG = {
    "width": ("base", {"hidden_size": 64}, "d_model is 32 .* and 64 by hidden_size in"),
    "heads": ("base", {"num_attention_heads": 4}, "n_heads is 2 .* and 4 by num_attention_heads"),
    "layers": ("base", {"num_hidden_layers": 1}, "n_layers is 2 .* and 1 by num_hidden_layers"),
    "feed-forward": ("base", {"intermediate_size": 64}, "mlp_hidden_size is 48 .* and 64 by intermediate_size"),
    "tying": ("base", {"tie_word_embeddings": True}, "weight_tying is False .* and True by tie_word_embeddings"),
    "length": ("base", {"max_position_embeddings": 99}, "max_sequence_length is 256 .* and 99"),
    "head": ("base", {"head_dim": 8}, "head_dim is 8 by .* and 16 by d_model / n_heads"),
    "base of rotations": (
        "base",
        {"rope_parameters": {"rope_theta": 1e4, "rope_type": "default"}},
        r"rope_theta is 500000.0 .* and 10000.0 by rope_parameters.rope_theta",
    ),
    "kind of rotations": (
        "base",
        {"rope_scaling": {"type": "linear", "rope_type": "default"}},
        "rope_type is 'default' by rope_scaling.rope_type .* and 'linear' by rope_scaling.type",
    ),
    "mask": ("base", {"mask_token_id": 5}, r"mask_token_id is 5 by .*config.json and 261 by <\|mdm_mask\|> in"),
    "BERT's mask": (
        "bert",
        {"mask_token_id": 3},
        r"mask_token_id is 3 by .*config.json and 4 by \[MASK\] in .*tokenizer",
    ),
}


@pytest.mark.parametrize("case", CONFIG)
def test_two_values_in_the_configuration_are_refused(checkpoint, edit, case):
    kind, changes, match = CONFIG[case]
    folder = checkpoint(kind)
    edit(folder / "config.json", **changes)
    refuse(folder, match)


def refuse(folder, match):
    with pytest.raises(InputError, match=match) as error:
        load_model(folder)
    assert "\n" not in str(error.value)


FILES = {
    "generation": (
        "generation_config.json",
        {"mask_token_id": 7},
        "mask_token_id is 261 by .* and 7 by .*generation_config",
    ),
    "declared": ("tokenizer_config.json", {"mask_token": "<|eot_id|>"}, r"261 by .* and 260 by <\|eot_id\|> in"),
    "decoder": (
        "tokenizer_config.json",
        {"added_tokens_decoder": {"9": {"content": "<|mdm_mask|>"}}, "mask_token": "<|mdm_mask|>"},
        "mask_token_id is 261 by .* and 9 by .*tokenizer_config.json",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_two_files_that_differ_are_refused(checkpoint, edit, case):
    name, changes, match = FILES[case]
    folder = checkpoint("base")
    edit(folder / name, **changes)
    refuse(folder, match)


def test_two_names_of_the_mask_are_refused(checkpoint, edit):
    folder = checkpoint("bert")
    edit(folder / "special_tokens_map.json", mask_token={"content": "[PAD]"})
    refuse(folder, r"mask_token is '\[MASK\]' by .*tokenizer_config.json and '\[PAD\]' by .*special_tokens_map.json")


def test_the_tokenizer_s_mask_is_the_model_s():
    folder = str(CASES / "bert" / "policy")
    sources = Sources(folder, folder)
    assert tokenizer(sources, 4).mask_token_id == 4
    with pytest.raises(InputError, match=r"the tokenizer's mask token \[MASK\] is 4, the model's mask_token_id is 5"):
        tokenizer(sources, 5)


def test_policy_and_reference_write_a_text_by_one_chat_template(checkpoint, edit, tmp_path):
    sources = {role: checkpoint("base", role) for role in ("policy", "reference")}
    for folder, words in zip(sources.values(), ("{{ messages }}", "{{ messages }} "), strict=True):
        edit(folder / "tokenizer_config.json", chat_template=words)
    with pytest.raises(InputError, match=r"different chat templates, .* choose one for both with --chat-template"):
        tokenizer(Sources(**sources))
    chosen = tmp_path / "chosen.jinja"
    chosen.write_text("{{ messages }}!")
    assert tokenizer(Sources(**sources, chat_template=chosen)).chat_template == "{{ messages }}!"


def test_a_key_with_two_values_is_refused(checkpoint):
    path = checkpoint("base") / "config.json"
    path.write_text(path.read_text().replace("{", '{"rope_theta": 10000.0,', 1))
    refuse(path.parent, "rope_theta is both 10000.0 and 500000.0")


AGREEING = {
    "aliases": {"hidden_size": 32, "num_hidden_layers": 2, "tie_word_embeddings": False, "head_dim": 16},
    "only the alias": {"hidden_size": 32, "d_model": ..., "num_attention_heads": 2, "n_heads": ...},
    "rotations of transformers 5": {"rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}},
    "rotations in the table alone": {"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}, "rope_theta": ...},
    "mask by the tokenizer alone": {"mask_token_id": ...},
}


@pytest.mark.parametrize("case", AGREEING)
def test_sources_that_agree_give_the_same_model(checkpoint, edit, case):
    folder = checkpoint("base")
    first = load_model(folder).fingerprint
    edit(folder / "config.json", **AGREEING[case])
    assert load_model(folder).fingerprint == first


def test_stop_tokens_of_generation_bear_on_no_score(checkpoint, edit):
    folder = checkpoint("base")
    first = load_model(folder).fingerprint
    edit(folder / "generation_config.json", eos_token_id=[257, 260], pad_token_id=0, mask_token_id=261)
    assert load_model(folder).fingerprint == first


def split(folder, **extra):
    """Two shards of a checkpoint without an index, the first tensors in the first one."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    halves = {n: tensors[n] for n in names[:9]}, {n: tensors[n] for n in names[9:]} | extra
    for number, half in enumerate(halves, 1):
        save_file(half, folder / f"model-{number:05d}-of-00002.safetensors")
    return tensors


@pytest.mark.parametrize("change", [0.0, 1e-3])
def test_a_single_file_beside_shards_must_hold_the_same(checkpoint, capsys, change):
    folder = checkpoint("base")
    tensors = split(folder)
    name = "model.transformer.ln_f.weight"
    save_file(tensors | {name: tensors[name] + change}, folder / "model.safetensors")
    if change:
        refuse(folder, f"{name} is in both .*model.safetensors and .*model-00002-of-00002.safetensors, and differs")
    else:
        load_model(folder)
        assert "read from model.safetensors; model-00001-of-00002.safetensors and 1 more" in capsys.readouterr().err


@pytest.mark.parametrize("change", [0.0, 1.0])
def test_a_tensor_in_two_shards_must_be_the_same(checkpoint, change):
    folder = checkpoint("base")
    name = min(load_file(folder / "model.safetensors"))
    split(folder, **{name: load_file(folder / "model.safetensors")[name] + change})
    (folder / "model.safetensors").unlink()
    refuse(folder, f"{name} is in both") if change else load_model(folder)


def test_a_size_in_the_index_is_named_where_it_is_wrong(checkpoint, capsys):
    folder = checkpoint("base")
    tensors = load_file(folder / "model.safetensors")
    shutil.move(folder / "model.safetensors", folder / "model-00001-of-00001.safetensors")
    index = {"metadata": {"total_size": 12}, "weight_map": dict.fromkeys(tensors, "model-00001-of-00001.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    load_model(folder)
    stored = sum(tensor.nbytes for tensor in tensors.values())
    assert f"total_size is 12, the shards hold {stored} bytes" in capsys.readouterr().err


def test_an_adapter_of_another_base_is_named(checkpoint, edit, capsys, tmp_path):
    peft = pytest.importorskip("peft")
    folder = checkpoint("base")
    with torch.random.fork_rng(devices=[]):
        wrapped = peft.PeftModel(load_model(folder).module, peft.LoraConfig(r=2, target_modules=["q_proj"]))
    wrapped.save_pretrained(tmp_path / "adapter")
    for name, said in (("org/Other-8B", True), (f"/elsewhere/{folder.name}", False)):
        edit(tmp_path / "adapter" / "adapter_config.json", base_model_name_or_path=name)
        load_model(folder, adapter=tmp_path / "adapter")
        assert ("was trained on org/Other-8B" in capsys.readouterr().err) == said


def test_silence_is_no_contradiction():
    assert agreed("x", (Source("a", None), Source("b", 3), Source("c", 3.0))) == 3
    assert agreed("x", ()) is None
