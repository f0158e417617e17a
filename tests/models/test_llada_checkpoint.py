"""Checkpoints: what loads, bit for bit, and what is refused before it is loaded."""

import contextlib
import io
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from vrpo_theory.errors import InputError
from vrpo_theory.models.llada import LLaDA, LLaDAConfig, LLaDAModelLM, fingerprint, load, tiny

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
WTE, HEAD, NORM = (f"model.transformer.{name}.weight" for name in ("wte", "ff_out", "ln_f"))


@pytest.fixture
def module():
    return tiny("policy").module


@pytest.fixture
def folder(tmp_path, module):
    module.save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def sharded(tmp_path, module):
    module.save_pretrained(tmp_path, max_shard_size="200KB")
    return tmp_path


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def edit_json(path, **changes):
    value = json.loads(path.read_text())
    value.update(changes)
    path.write_text(json.dumps({key: item for key, item in value.items() if item is not ...}))


def edit_weights(path, **changes):
    tensors = load_file(path)
    tensors.update(changes)
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path, {"format": "pt"})


def edit_map(folder, **changes):
    table = json.loads((folder / INDEX).read_text())["weight_map"]
    table.update(changes)
    edit_json(folder / INDEX, weight_map={name: file for name, file in table.items() if file is not None})


def test_saved_model_loads_bit_for_bit(folder, module):
    loaded = load(folder)
    assert isinstance(loaded, LLaDA)
    assert same(loaded.module, module)
    assert loaded.fingerprint == tiny("policy").fingerprint
    assert not loaded.module.training


def test_sharded_model_loads_bit_for_bit(sharded, module):
    assert len(list(sharded.glob("*.safetensors"))) > 2
    assert same(load(sharded).module, module)


def test_saved_configuration_keeps_the_official_keys(folder, module):
    saved = json.loads((folder / "config.json").read_text())
    assert {name: saved[name] for name in module.config.official()} == module.config.official()


@pytest.mark.parametrize("auto", [AutoModel, AutoModelForCausalLM])
def test_auto_classes_know_llada(folder, module, auto):
    assert isinstance(AutoConfig.from_pretrained(folder), LLaDAConfig)
    assert same(auto.from_pretrained(folder, dtype="float32"), module)


@pytest.mark.parametrize("dtype", ["bfloat16", torch.float64])
def test_dtype_in_memory(folder, module, dtype):
    loaded = load(folder, dtype=dtype)
    assert loaded.dtype == (getattr(torch, dtype) if isinstance(dtype, str) else dtype)
    assert torch.equal(loaded.proxy_parameters()[0], module.get_parameter(proxy_name()).to(loaded.dtype))


def proxy_name():
    return "model.transformer.blocks.0.up_proj.weight"


def test_bfloat16_files_load(folder, module):
    module.bfloat16().save_pretrained(folder)
    assert same(load(folder, dtype="bfloat16").module, module)


def test_loading_is_silent_and_draws_nothing(folder):
    state, text = torch.get_rng_state(), io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        load(folder)
    assert text.getvalue() == ""
    assert torch.equal(torch.get_rng_state(), state)


def tied(folder):
    config = LLaDAConfig(**{**tiny("policy").module.config.official(), "weight_tying": True})
    with torch.random.fork_rng(devices=[]):
        module = LLaDAModelLM(config)
    module.save_pretrained(folder)
    return module


def test_tied_model_stores_one_matrix_and_stays_tied(tmp_path):
    """Seen at https://github.com/huggingface/transformers/blob/main/MIGRATION_GUIDE_V5.md."""
    module = tied(tmp_path)
    assert HEAD not in load_file(tmp_path / SINGLE)
    loaded = load(tmp_path)
    assert same(loaded.module, module)
    assert loaded.module.get_output_embeddings().weight is loaded.module.get_input_embeddings().weight


def test_tied_file_may_repeat_the_head_but_not_change_it(tmp_path):
    module = tied(tmp_path)
    wte = module.get_input_embeddings().weight.detach()
    edit_weights(tmp_path / SINGLE, **{HEAD: wte.clone()})
    assert same(load(tmp_path).module, module)
    head = wte.clone()
    head[-1, -1] += 1e-6
    edit_weights(tmp_path / SINGLE, **{HEAD: head})
    with pytest.raises(InputError, match=f"weight_tying is true but {HEAD} differs"):
        load(tmp_path)


def test_fingerprint_is_of_the_content(folder, tmp_path):
    first = fingerprint(folder)
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert fingerprint(copy) == first
    data = bytearray((copy / SINGLE).read_bytes())
    data[-1] ^= 1
    (copy / SINGLE).write_bytes(data)
    assert fingerprint(copy) != first
    edit_json(folder / "config.json", rope_theta=1e4)
    assert fingerprint(folder) != first
    (copy / "config.json").unlink()
    with pytest.raises(InputError, match=r"no config\.json"):
        fingerprint(copy)


def test_fingerprint_covers_every_shard(sharded):
    first = fingerprint(sharded)
    for shard in sharded.glob("*.safetensors"):
        kept = shard.read_bytes()
        shard.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        assert fingerprint(sharded) != first
        shard.write_bytes(kept)
    assert fingerprint(sharded) == first


def refuse(folder, match, **options):
    state = torch.get_rng_state()
    with pytest.raises(InputError, match=match) as error:
        load(folder, **options)
    assert "\n" not in str(error.value)
    assert torch.equal(torch.get_rng_state(), state)


CONFIG = {
    "other family": ({"model_type": "llama"}, "model_type is 'llama', expected 'llada'"),
    "no family": ({"model_type": ...}, "model_type is None"),
    "other weights": ({"transformers_weights": "other.safetensors"}, "transformers_weights"),
    "quantised": ({"quantization_config": {"bits": 4}}, "quantization_config"),
    "unsupported": ({"block_type": "sequential"}, "config.json: block_type='sequential'"),
    "stretched": ({"rope_scaling": {"factor": 2.0, "rope_type": "linear"}}, "config.json: rope_scaling"),
    "wrong type": ({"d_model": "64"}, "config.json: d_model='64'"),
    "lacks theta": ({"rope_theta": ...}, "lacks rope_theta"),
    "lacks mask": ({"mask_token_id": ...}, "lacks mask_token_id"),
    "more blocks": ({"n_layers": 3}, "lacks model.transformer.blocks.2.attn_norm.weight and 8 more"),
    "endless blocks": ({"n_layers": 10**9}, "too few for n_layers=1000000000"),
    "fewer blocks": ({"n_layers": 1}, "has unexpected model.transformer.blocks.1.attn_norm.weight and 8 more"),
    "other width": ({"mlp_hidden_size": 96}, r"blocks.0.ff_out.weight, \[64, 160\] instead of \[64, 96\]"),
    "biases": ({"include_qkv_bias": True}, "lacks model.transformer.blocks.0.k_proj.bias"),
    "grouped heads": ({"n_kv_heads": 2}, "wrong shape of model.transformer.blocks.0.k_proj.weight"),
    "tied": ({"weight_tying": True}, "weight_tying is true"),
}


@pytest.mark.parametrize("case", CONFIG)
def test_configuration_is_refused(folder, case):
    changes, match = CONFIG[case]
    edit_json(folder / "config.json", **changes)
    refuse(folder, match)


FILES = {
    "not a folder": (lambda f: shutil.rmtree(f), "is not a folder"),
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json"),
    "config not JSON": (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read as JSON"),
    "config not UTF-8": (lambda f: (f / "config.json").write_bytes(b"\xff"), "config.json cannot be read as JSON"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), "holds list, expected a JSON object"),
    "adapter": (lambda f: (f / "adapter_config.json").write_text("{}"), "adapter_config.json: merge"),
    "no weights": (lambda f: (f / SINGLE).unlink(), "and has only config.json: add the weights"),
    "pickle": (lambda f: (f / SINGLE).rename(f / "pytorch_model.bin"), "only pytorch_model.bin: convert"),
    "empty": (lambda f: (f / SINGLE).write_bytes(b""), f"{SINGLE} is not a complete safetensors file"),
    "pointer": (lambda f: (f / SINGLE).write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "truncated": (lambda f: (f / SINGLE).write_bytes((f / SINGLE).read_bytes()[:-1]), f"{SINGLE} is not a complete"),
    "header cut": (lambda f: (f / SINGLE).write_bytes((f / SINGLE).read_bytes()[:99]), f"{SINGLE} is not a complete"),
    "lying header": (lambda f: (f / SINGLE).write_bytes(b"\xff" * 8 + b"{}"), f"{SINGLE} is not a complete"),
    "a folder": (
        lambda f: ((f / SINGLE).unlink(), (f / SINGLE).mkdir()),
        rf"{SINGLE} cannot be read \(Is a directory\)",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_broken_folder_is_refused(folder, case):
    damage, match = FILES[case]
    damage(folder)
    refuse(folder, match)


TENSORS = {
    "missing": ({NORM: None}, f"lacks {NORM}:"),
    "extra": ({"model.transformer.wpe.weight": torch.zeros(2)}, "has unexpected model.transformer.wpe.weight:"),
    "transposed": ({WTE: torch.zeros(64, 259)}, rf"wrong shape of {WTE}, \[64, 259\] instead of \[259, 64\]"),
    "integers": ({NORM: torch.ones(64, dtype=torch.int64)}, f"{NORM} is I64"),
    "NaN": ({NORM: torch.full((64,), torch.nan)}, f"{NORM} holds NaN or Inf"),
    "infinite": ({HEAD: torch.full((259, 64), torch.inf)}, f"{HEAD} holds NaN or Inf"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_wrong_tensor_is_refused(folder, case):
    changes, match = TENSORS[case]
    edit_weights(folder / SINGLE, **changes)
    refuse(folder, match)


@pytest.mark.parametrize("rename", [lambda n: n.removeprefix("model."), lambda n: f"model.{n}"])
def test_wrong_prefix_is_refused(folder, rename):
    tensors = load_file(folder / SINGLE)
    save_file({rename(name): tensor for name, tensor in tensors.items()}, folder / SINGLE)
    refuse(folder, "lacks model.transformer.blocks.0.attn_norm.weight and 20 more")


def shard_of(folder, name):
    return json.loads((folder / INDEX).read_text())["weight_map"][name]


def other_shard(folder, name):
    return next(path.name for path in sorted(folder.glob("*.safetensors")) if path.name != shard_of(folder, name))


SHARDS = {
    "not JSON": (lambda f: (f / INDEX).write_text("{"), f"{INDEX} cannot be read as JSON"),
    "no map": (lambda f: edit_json(f / INDEX, weight_map=...), "no usable weight_map"),
    "odd map": (lambda f: edit_map(f, **{NORM: 1}), "no usable weight_map"),
    "outside": (lambda f: edit_map(f, **{NORM: "../x.safetensors"}), f"sends {NORM} to '../x.safetensors'"),
    "absolute": (lambda f: edit_map(f, **{NORM: str(f / "x.safetensors")}), f"sends {NORM} to '/"),
    "parent": (lambda f: edit_map(f, **{NORM: ".."}), f"sends {NORM} to '..'"),
    "pickled": (lambda f: edit_map(f, **{NORM: "x.bin"}), f"sends {NORM} to 'x.bin'"),
    "no shard": (lambda f: (f / shard_of(f, WTE)).unlink(), "names model-.*, which is missing"),
    "index lacks": (lambda f: edit_map(f, **{NORM: None}), f"lacks {NORM}, which model-.* holds"),
    "index lists more": (lambda f: edit_map(f, **{"x": shard_of(f, NORM)}), "puts x in model-.*does not hold it"),
    "elsewhere": (lambda f: edit_map(f, **{NORM: other_shard(f, NORM)}), f"puts {NORM} in .*does not hold it"),
    "doubled": (
        lambda f: edit_weights(f / other_shard(f, NORM), **{NORM: torch.ones(64)}),
        f"{NORM} is in both .*model-.* and .*model-",
    ),
    "truncated": (lambda f: (f / shard_of(f, WTE)).write_bytes(b"\0" * 9), "model-.* is not a complete safetensors"),
}


@pytest.mark.parametrize("case", SHARDS)
def test_broken_shards_are_refused(sharded, case):
    damage, match = SHARDS[case]
    damage(sharded)
    refuse(sharded, match)


@pytest.mark.parametrize(("option", "value"), [("dtype", "int8"), ("dtype", torch.int64), ("device", "nowhere")])
def test_odd_option_is_refused(folder, option, value):
    refuse(folder, f"{option}=", **{option: value})


def test_overflow_of_the_type_in_memory_is_refused(folder):
    edit_weights(folder / SINGLE, **{NORM: torch.full((64,), 1e6)})
    refuse(folder, f"{NORM} holds NaN or Inf in torch.float16", dtype="float16")
