"""``vrpo inspect``: what a checkpoint is, from its headers, without the model."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from vrpo_theory.models import describe

from .conftest import FAMILIES, FULL, GOLDEN, copied, told


@pytest.mark.parametrize("name", FAMILIES)
def test_facts_sizes_and_where_they_are_found(golden, vrpo, name):
    given = [word for fact, value in FAMILIES[name].items() for word in (f"--{fact.replace('_', '-')}", value)]
    result = vrpo("inspect", golden(name)["policy"], *given, "--json")
    assert result.exit_code == 0, result.stderr
    found, known = json.loads(result.stdout), told(name)
    config = json.loads((GOLDEN / name / "config.json").read_text())
    assert found["problems"] == []
    assert found["mask_token_id"]["value"] == known["mask_token_id"]
    assert ("the given" in found["mask_token_id"]["where"]) == ("mask_token_id" not in config)
    assert found["block_length"]["value"] == known.get("block_size")
    assert found["attention"]["value"] == ("full" if name in FULL else "block-causal")
    assert found["shift"]["value"] == known["shift_logits"]
    assert found["sizes"]["vocabulary"] == config["vocab_size"]
    assert found["dtypes"] == {"F32": found["tensors"]}
    assert found["memory"]["scoring"]["bfloat16"] == 2 * found["parameters"]
    assert found["memory"]["training"]["float32"] == 16 * found["parameters"]


def test_parameters_are_those_of_the_model(models, golden):
    for name in ("dream", "llada2"):  # not tied
        tensors = models(name)["policy"].module.state_dict().values()
        assert describe(golden(name)["policy"]).parameters == sum(tensor.numel() for tensor in tensors)


def test_text_names_every_fact(golden, vrpo):
    text = vrpo("inspect", golden("sdar")["policy"]).stdout
    for line in (
        "SDAR and TraDo (architectures ['SDARForCausalLM'], model_type 'sdar')",
        "2 layers, width 64, 4 heads, vocabulary 160, sequences of up to 256 tokens",
        "94,624 in 25 tensors, stored as F32",
        "block-causal, blocks of 4 (block_size in",
        "157 (mask_token_id in",
        "0.378 MB in float32",
        "2^4 - 1 masks a block",
    ):
        assert line in text


def test_what_is_lacking_is_said_with_the_family_s_own_value(golden, vrpo):
    result = vrpo("inspect", golden("llada2")["policy"])
    assert result.exit_code == 0
    assert "not stated" in result.stdout
    for advice in ("give --mask-token-id; that of LLaDA2.0 and 2.1 is 156895", "give --block-length; that of"):
        assert advice in result.stdout


UNSUPPORTED = {
    "another activation": ({"hidden_act": "gelu"}, "not supported: use a checkpoint with hidden_act='silu'"),
    "a word for a size": ({"hidden_size": "64"}, "hidden_size='64' must be a positive integer"),
    "no architectures": ({"architectures": 5}, "Dream and DiffuCoder (architectures 5"),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_is_not_supported_is_said(tmp_path, vrpo, case):
    changes, says = UNSUPPORTED[case]
    folder = copied("dream", tmp_path / "checkpoint")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    result = vrpo("inspect", folder)
    assert result.exit_code == 0, result.stderr
    assert says in result.stdout


def test_types_that_are_not_read_are_said(tmp_path, vrpo):
    folder = copied("dream", tmp_path / "checkpoint")
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"lm_head.weight": tensors["lm_head.weight"].to(torch.int8)}, folder / "model.safetensors")
    assert "holds I8, expected F64, F32, F16, BF16: convert them" in vrpo("inspect", folder).stdout


def renamed(folder, architecture):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architectures": [architecture]}))


DAMAGE = {
    "no folder": (lambda f: f.rename(f.with_name("moved")), "is not a folder"),
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json"),
    "config not JSON": (lambda f: (f / "config.json").write_text("{"), "cannot be read as JSON"),
    "Fast-dLLM v2": (lambda f: renamed(f, "Fast_dLLM_QwenForCausalLM"), "so it has no one ELBO"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "add the weights"),
    "weights cut": (lambda f: (f / "model.safetensors").write_bytes(b"\x00" * 9), "not a complete safetensors file"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_unreadable_folders_end_with_exit_code_2(tmp_path, vrpo, damage):
    change, match = DAMAGE[damage]
    folder = copied("dream", tmp_path / "checkpoint")
    change(folder)
    result = vrpo("inspect", folder)
    assert result.exit_code == 2
    assert match in result.stderr
    assert result.stderr.count("\n") == 1


def test_neither_torch_nor_transformers_is_imported(golden):
    code = (
        "import sys; from vrpo_theory.models import describe; describe(sys.argv[1]).document()\n"
        "print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    arguments = [sys.executable, "-c", code, str(golden("sdar")["policy"])]
    assert subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip() == "[]"
