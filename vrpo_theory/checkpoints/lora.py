"""A new LoRA adapter on a model, and the model under an adapter: one base, two roles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from vrpo_theory.checkpoints.adapter import WEIGHTS, peft_library
from vrpo_theory.checkpoints.placement import quiet
from vrpo_theory.checkpoints.wrapped import Wrapped
from vrpo_theory.errors import InputError
from vrpo_theory.randomness import Address
from vrpo_theory.types import Packed, block_length, packs

NAME, PREFIX = "default", "base_model.model."
"""Of an adapter in memory, and of its tensors in a file, as peft writes them."""


def add(module: nn.Module, rank: int, *, seed: int) -> None:
    """Put a new adapter on every linear layer but the output head; the base is frozen, the adapter trainable.

    It changes nothing yet: A is uniform, drawn at an address of its own, and B is 0.

    Raises
    ------
    InputError
        If peft is not installed, or there is an adapter already.
    """
    peft = peft_library()
    if adapted(module):
        raise InputError("the model has an adapter already: train that one, or merge it first")
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear")
    config.base_model_name_or_path = str(getattr(module.config, "_name_or_path", ""))
    with quiet(), torch.random.fork_rng(devices=[]):  # initial values, all replaced
        peft.PeftModel(module, config)
    with torch.no_grad():
        for name, p in module.named_parameters():
            if ".lora_A." in name:
                u = Address(seed, "adapter", 1, 1, name.encode()).uniforms().level(*p.shape)
                p.copy_(torch.from_numpy(2 * u - 1) / math.sqrt(p.shape[1]))


def save(module: nn.Module, folder: Path) -> None:
    """Write the adapter as peft does: adapter_config.json and adapter_model.safetensors."""
    from safetensors.torch import save_file

    peft = peft_library()
    folder.mkdir(parents=True, exist_ok=True)
    module.peft_config[NAME].save_pretrained(str(folder))  # type: ignore[index, union-attr]
    state = peft.get_peft_model_state_dict(module, adapter_name=NAME, save_embedding_layers=False)
    save_file({PREFIX + name: p.contiguous().cpu() for name, p in state.items()}, folder / WEIGHTS, {"format": "pt"})


def restore(module: nn.Module, folder: Path) -> None:
    """Put a saved adapter's values into the one that is there."""
    from safetensors.torch import load_file

    state = load_file(folder / WEIGHTS)
    peft_library().set_peft_model_state_dict(module, {n.removeprefix(PREFIX): p for n, p in state.items()}, NAME)


def adapted(module: nn.Module) -> bool:
    """Whether there is an adapter."""
    return any(".lora_" in name for name, _ in module.named_parameters())


@contextmanager
def switched_off(module: nn.Module) -> Iterator[None]:
    """Compute without the adapter for a while."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [part for part in module.modules() if isinstance(part, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def base_of(model: Wrapped, fingerprint: str) -> AdapterOff:
    """The model under an adapter, which packs where the adapted model does."""
    return (PackedAdapterOff if packs(model) else AdapterOff)(model, fingerprint)


class AdapterOff:
    """The model under an adapter, as a model of its own: the same weights, in memory once; `base_of` makes one.

    Parameters
    ----------
    model : Wrapped
        With an adapter.
    fingerprint : str
        Of the base before the adapter was put on it; its weights are frozen since.
    """

    def __init__(self, model: Wrapped, fingerprint: str) -> None:
        self.model, self.fingerprint = model, fingerprint
        self.vocabulary, self.mask_token_id, self.max_length = model.vocabulary, model.mask_token_id, model.max_length
        self.block_length = block_length(model)

    @property
    def device(self) -> torch.device:
        """The model's."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The base's."""
        return self.model.dtype

    def log_prob(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """See `vrpo_theory.models.base.Model.log_prob`."""
        with torch.no_grad(), switched_off(self.model.module):
            return self.model.log_prob(tokens, answer, mask, attention)


class PackedAdapterOff(AdapterOff):
    """The model under an adapter, where it evaluates packed sequences."""

    def log_prob_packed(self, packed: Packed) -> Tensor:
        """See `vrpo_theory.types.Packs.log_prob_packed`."""
        model = self.model
        assert packs(model)
        with torch.no_grad(), switched_off(self.model.module):
            return model.log_prob_packed(packed)
