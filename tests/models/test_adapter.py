"""LoRA adapters: the numbers of W + (alpha / r) B A, with peft if it is installed, else with a stand-in for it."""

import importlib.util
import json
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from vrpo_theory import batching, elbo, rounding
from vrpo_theory.errors import InputError
from vrpo_theory.models import llada, masked_lm
from vrpo_theory.types import Response

RANK, ALPHA = 2, 6
TARGETS = {"llada": ["q_proj", "up_proj", "ff_out"], "masked_lm": ["query", "dense"]}
REQUESTS = [(Response((1, 2, 3), (4, 5, 6, 7)), np.array([[1, 0, 1, 1], [0, 1, 0, 0]], bool))]


class Adapted(nn.Module):
    """A linear layer with an adapter, under peft's names."""

    def __init__(self, base, config):
        super().__init__()
        self.base_layer, self.scale = base, config.lora_alpha / config.r
        self.lora_dropout = nn.Dropout(config.lora_dropout)
        options = {"bias": False, "dtype": torch.promote_types(base.weight.dtype, torch.float32)}
        self.lora_A = nn.ModuleDict({"default": nn.Linear(base.in_features, config.r, **options)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(config.r, base.out_features, **options)})

    def forward(self, x):
        low = self.lora_A["default"](self.lora_dropout(x).to(self.lora_A["default"].weight.dtype))
        return self.base_layer(x) + (self.scale * self.lora_B["default"](low)).to(x.dtype)


class Wrapper(nn.Module):
    def __init__(self, module, config):
        super().__init__()
        module.requires_grad_(False)
        self.base_model = nn.Module()
        self.base_model.model = module
        for name, layer in list(module.named_modules()):
            if name.rpartition(".")[2] in config.target_modules and isinstance(layer, nn.Linear):
                parent, _, last = name.rpartition(".")
                setattr(module.get_submodule(parent), last, Adapted(layer, config))


def adapter_state(wrapped, **_):
    state = wrapped.state_dict()
    return {name.replace(".default", ""): tensor for name, tensor in state.items() if ".lora_" in name}


def set_adapter_state(wrapped, weights):
    named = {name.replace(".weight", ".default.weight"): tensor for name, tensor in weights.items()}
    wrapped.load_state_dict(named, strict=False)


def read_config(folder):
    with open(f"{folder}/adapter_config.json") as file:
        return SimpleNamespace(**json.load(file))


@pytest.fixture(autouse=True)
def peft(monkeypatch):
    if importlib.util.find_spec("peft") is None:
        stand_in = ModuleType("peft")
        stand_in.__spec__ = ModuleSpec("peft", None)
        stand_in.PeftConfig = SimpleNamespace(from_pretrained=read_config)
        stand_in.PeftModel = Wrapper
        stand_in.get_peft_model_state_dict = adapter_state
        stand_in.set_peft_model_state_dict = set_adapter_state
        monkeypatch.setitem(sys.modules, "peft", stand_in)


@pytest.fixture(params=TARGETS)
def kind(request):
    return request.param


@pytest.fixture
def base(kind, tmp_path):
    """Folder of a base checkpoint."""
    module = (llada.tiny("policy") if kind == "llada" else masked_lm.case(0).policy).module
    module.save_pretrained(tmp_path / "base")
    config = tmp_path / "base" / "config.json"
    if kind == "masked_lm":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"mask_token_id": 31}))
    return tmp_path / "base"


def load(folder, **options):
    return (llada if "llada" in (folder / "config.json").read_text() else masked_lm).load(folder, **options)


def targets(module, kind):
    return [
        name
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and name.rpartition(".")[2] in TARGETS[kind]
    ]


@pytest.fixture
def adapter(base, kind, tmp_path):
    """Folder of an adapter with noise in both factors."""
    folder, generator = tmp_path / "adapter", torch.Generator().manual_seed(0)
    folder.mkdir()
    options = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": ALPHA, "lora_dropout": 0.5}
    options |= {"target_modules": TARGETS[kind], "inference_mode": True, "base_model_name_or_path": str(base)}
    (folder / "adapter_config.json").write_text(json.dumps(options))
    module, weights = load(base).module, {}
    for name in targets(module, kind):
        rows, columns = module.get_submodule(name).weight.shape
        for factor, shape in (("A", (RANK, columns)), ("B", (rows, RANK))):
            noise = 0.1 * torch.randn(shape, generator=generator)
            weights[f"base_model.model.{name}.lora_{factor}.weight"] = noise
    save_file(weights, folder / "adapter_model.safetensors")
    return folder


def merged(base, adapter, kind, **options):
    model, weights = load(base, **options), load_file(adapter / "adapter_model.safetensors")
    for name in targets(model.module, kind):
        a, b = (weights[f"base_model.model.{name}.lora_{factor}.weight"].double() for factor in "AB")
        weight = model.module.get_submodule(name).weight
        weight.data = (weight.double() + ALPHA / RANK * b @ a).to(weight.dtype)
    return model


def answers(model):
    return elbo.terms(REQUESTS, model)[0]


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_numbers_are_those_of_the_merged_weights(base, adapter, kind, dtype):
    """To rounding; alpha, the rank or a factor mistaken moves tokens as the adapter does, by a tenth of a nat."""
    model = load(base, adapter=adapter, dtype=dtype)
    expected = answers(merged(base, adapter, kind, dtype=dtype))
    assert np.abs(answers(model) - expected).max() < rounding.of_tokens(model, expected)
    assert np.abs(answers(model) - answers(load(base, dtype=dtype))).max() > 0.05
    precision = getattr(torch, dtype)
    assert model.dtype == precision
    lora = {parameter.dtype for name, parameter in model.named_parameters() if ".lora_" in name}
    assert lora == {torch.promote_types(precision, torch.float32)}


def test_gradients_reach_the_adapter_alone_and_checkpointing_changes_nothing(base, adapter):
    found = []
    for checkpointing in (False, True):
        model = load(base, adapter=adapter, gradient_checkpointing=checkpointing)
        model.log_prob(*batching.collate(REQUESTS, model)).sum().backward()
        moved = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
        assert moved == {name for name, _ in model.named_parameters() if ".lora_" in name}
        found.append([p.grad for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_proxy_is_still_the_weight_of_the_up_projection(base, adapter):
    shapes = [[p.shape for p in load(base, **x).proxy_parameters()] for x in ({}, {"adapter": adapter})]
    assert shapes[0] == shapes[1]


def test_there_is_no_dropout_and_nothing_is_drawn(base, adapter):
    state = torch.get_rng_state()
    model = load(base, adapter=adapter)
    value = answers(model)
    assert (answers(model.train()) == value).all()
    assert torch.equal(torch.get_rng_state(), state)


def test_fingerprint_covers_base_and_adapter(base, adapter):
    first = load(base, adapter=adapter).fingerprint
    assert load(base, adapter=adapter).fingerprint == first
    assert load(base).fingerprint != first
    edit(adapter, scale=1.5)
    assert load(base, adapter=adapter).fingerprint != first


def edit(adapter, scale=1.0, drop=None, **more):
    path = adapter / "adapter_model.safetensors"
    weights = {name: scale * tensor for name, tensor in load_file(path).items() if name != drop}
    save_file(weights | more, path)


def test_without_peft_the_error_says_what_to_install(base, adapter, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match="an adapter needs the library peft: pip install peft"):
        load(base, adapter=adapter)


def refuse(base, adapter, match):
    with pytest.raises(InputError, match=match) as error:
        load(base, adapter=adapter)
    assert "\n" not in str(error.value)


def first_name(adapter):
    return min(load_file(adapter / "adapter_model.safetensors"))


DAMAGE = {
    "no folder": (lambda a: a.rename(a.with_name("elsewhere")), "is not a folder"),
    "no weights": (lambda a: (a / "adapter_model.safetensors").unlink(), "has no adapter_model.safetensors"),
    "pickle": (
        lambda a: (a / "adapter_model.safetensors").rename(a / "adapter_model.bin"),
        "has no adapter_model.safetensors: give the folder of an adapter that peft saved as safetensors",
    ),
    "truncated": (lambda a: (a / "adapter_model.safetensors").write_bytes(b"\0" * 9), "not a complete safetensors"),
    "NaN": (lambda a: edit(a, scale=float("nan")), "holds NaN or Inf"),
    "missing": (lambda a: edit(a, drop=first_name(a)), "is in the adapter or the model, not in both"),
    "extra": (lambda a: edit(a, other=torch.ones(1)), "other is in the adapter or the model, not in both"),
    "shape": (lambda a: edit(a, **{first_name(a): torch.ones(RANK, 7)}), "does not fit the model"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_broken_adapter_is_refused(base, adapter, damage):
    act, match = DAMAGE[damage]
    act(adapter)
    refuse(base, adapter, match)


def test_another_method_is_refused(base, adapter):
    options = {"peft_type": "IA3", "target_modules": ["up_proj"], "feedforward_modules": []}
    (adapter / "adapter_config.json").write_text(json.dumps(options))
    refuse(base, adapter, "peft_type is IA3, expected LORA")


def test_an_adapter_is_not_a_checkpoint(adapter):
    with pytest.raises(InputError, match=r"adapter_config\.json: merge .*, or give the folder of its base"):
        llada.load(adapter)
