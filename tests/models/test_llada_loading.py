"""Options of loading that users of transformers expect: they change memory and place, never a number."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vrpo_theory import rounding
from vrpo_theory.errors import InputError
from vrpo_theory.models import load_model
from vrpo_theory.models.llada import LLaDA, load, tiny

PARTS = ("wte", "blocks.0", "blocks.1", "ln_f", "ff_out")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llada")
    tiny("policy").module.save_pretrained(folder, max_shard_size="200KB")
    return folder


@pytest.fixture
def batch():
    """(tokens, answer, mask, attention), two rows, the second padded."""
    tokens = torch.arange(24).view(2, 12)
    attention = torch.arange(12) < torch.tensor([[12], [9]])
    answer = attention & (torch.arange(12) >= 5)
    return tokens, answer, answer & (tokens % 2 == 0), attention


def gradients(model, batch):
    model.log_prob(*batch).sum().backward()
    return [parameter.grad for parameter in model.parameters()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def whole(place):
    return {f"model.transformer.{part}": place for part in PARTS}


@pytest.mark.parametrize("device_map", ["auto", "balanced", {"": "cpu"}, whole("cpu")], ids=str)
def test_a_device_map_changes_nothing(folder, batch, device_map):
    model, plain = load(folder, device_map=device_map), load(folder)
    assert model.device.type == "cpu"
    assert not model.training
    assert model.fingerprint == plain.fingerprint
    assert torch.equal(model.log_prob(*batch), plain.log_prob(*batch))
    assert same(gradients(model, batch), gradients(plain, batch))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"device_map": {"": "disk"}}, "would stay on the disk or the CPU beside a GPU"),
        ({"device_map": whole("cpu") | {"model.transformer.blocks.1": "disk"}}, "some weights would stay on the disk"),
        ({"device_map": "nonsense"}, "cannot be loaded so: .*nonsense"),
        ({"device_map": "auto", "device": "meta"}, "device='meta' and a device_map were both given"),
        ({"attn_implementation": "nonsense"}, "cannot be loaded so: .*nonsense"),
        ({"attn_implementation": "flash_attention_2"}, "cannot be loaded so: .*Flash"),
        ({"devcie": "cpu"}, "loading has no option 'devcie': choose from device, dtype, "),
    ],
)
def test_what_cannot_be_placed_is_refused(folder, options, match):
    with pytest.raises(InputError, match=match) as error:
        load(folder, **options)
    assert "\n" not in str(error.value)


def test_attention_implementations_agree(folder, batch):
    eager, sdpa = (load(folder, attn_implementation=name) for name in ("eager", "sdpa"))
    assert eager.module.config._attn_implementation == "eager"
    one, other = eager.log_prob(*batch), sdpa.log_prob(*batch)
    torch.testing.assert_close(one, other, atol=rounding.of_tokens(eager, one.detach()), rtol=0)


def counted(model):
    """The model, and a list that grows whenever the first block begins its work."""
    runs = []
    model.module.model.transformer["blocks"][0].attn_norm.register_forward_hook(lambda *_: runs.append(1))
    return model, runs


def test_gradient_checkpointing_acts_in_eval_mode_and_changes_nothing(folder, batch):
    plain, runs = counted(load(folder))
    expected = gradients(plain, batch)
    assert len(runs) == 1
    model, runs = counted(load(folder, gradient_checkpointing=True))
    assert not model.training
    assert not model.module.training
    state = torch.get_rng_state()
    assert same(gradients(model, batch), expected)
    assert len(runs) == 2
    assert torch.equal(torch.get_rng_state(), state)
    assert model.fingerprint == plain.fingerprint


def test_gradient_checkpointing_can_be_switched_on_later(batch):
    model, runs = counted(tiny("policy"))
    model.checkpoint_gradients()
    assert not model.training
    gradients(model, batch)
    assert len(runs) == 2


@pytest.mark.parametrize("mode", [True, False])
def test_gradient_checkpointing_survives_a_change_of_mode(folder, batch, mode):
    model, runs = counted(load(folder, gradient_checkpointing=True))
    model.train(mode)
    gradients(model, batch)
    assert len(runs) == 2
    with torch.no_grad():
        model.log_prob(*batch)
    assert len(runs) == 3


def test_the_front_door_finds_llada(folder, batch):
    model = load_model(folder, dtype="float64")
    assert isinstance(model, LLaDA)
    assert torch.equal(model.log_prob(*batch), load(folder, dtype="float64").log_prob(*batch))


def test_a_fresh_process_loads_without_a_word(tmp_path):
    """Nor do transformers and peft log one: both would name a type that they do not know, before it is registered."""
    peft = pytest.importorskip("peft")
    saved, adapter = tmp_path / "saved", tmp_path / "adapter"
    shutil.copytree(Path(__file__).parents[1] / "data/cases/base/policy", saved)
    model = load(saved)
    model.module.save_pretrained(saved)
    peft.get_peft_model(model.module, peft.LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(
        adapter, save_embedding_layers=False
    )
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": str(saved)}))
    program = (
        "import sys; from vrpo_theory import load_model; from vrpo_theory.data.tokenizer import load_tokenizer; "
        "load_tokenizer(sys.argv[1]); load_model(sys.argv[1]); load_model(sys.argv[1], adapter=sys.argv[2])"
    )
    done = subprocess.run([sys.executable, "-c", program, saved, adapter], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
