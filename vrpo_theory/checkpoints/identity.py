"""What a module of transformers computes, reduced to a hash: weights, buffers, structure, arithmetic."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

SAMPLE = 4096
"""Entries of a tensor that are looked at to see that it changed; smaller tensors are looked at whole."""
STILL = frozenset(
    {
        "_name_or_path", "architectures", "auto_map", "bos_token_id", "dtype", "eos_token_id", "finetuning_task",
        "id2label", "init_std", "initializer_factor", "initializer_range", "label2id", "output_attentions",
        "output_hidden_states", "problem_type", "return_dict", "task_specific_params", "tokenizer_class", "torch_dtype",
        "transformers_version", "use_cache",
    }
)  # fmt: skip
"""Options of a configuration that move no logit."""
UNSEEN = frozenset(vars(nn.Module())) | {
    "config", "forward", "gradient_checkpointing", "hf_device_map", "name_or_path", "peft_config", "warnings_issued",
    "_gradient_checkpointing_func", "_hf_hook", "_hf_peft_config_loaded", "_is_hf_initialized", "_old_forward",
}  # fmt: skip
"""Attributes of a part that are bookkeeping, or are hashed elsewhere."""
OF_LIBRARY = frozenset({"all_tied_weights_keys", "kernel_config", "loss_type"})
ATOMS = frozenset({type(None), bool, int, float, str})


def moving(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a configuration that move a logit."""
    return {name: value for name, value in options.items() if name not in STILL}


def structure(module: nn.Module) -> tuple[Any, ...]:
    """Every part's name, class and plain attributes, as they are now.

    It holds what no weight shows: epsilons, activations, an adapter's scaling and whether it is switched on.
    """
    return tuple((name, _kind(type(part)), tuple(sorted(_attributes(part)))) for name, part in module.named_modules())


def tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by name, those that no file keeps among them."""
    yield from module.named_parameters()
    yield from module.named_buffers()


def arithmetic(device: torch.device) -> tuple[Any, ...]:
    """Global settings that a forward pass obeys."""
    autocast = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None
    return torch.get_float32_matmul_precision(), str(autocast)


def signature(module: nn.Module) -> tuple[Any, ...]:
    """What shows cheaply that a module is as it was.

    A change through ``.data`` bumps no version, so a sample of the values is part of it.
    """
    return structure(module), tuple((t.data_ptr(), t.dtype, t._version, _sample(t)) for _, t in tensors(module))


def digest(module: nn.Module, options: Mapping[str, Any], *, sampled: bool = False) -> str:
    """Hash of the options, the structure and every value of every tensor, or of the `SAMPLE` that is looked at."""
    found = hashlib.sha256(json.dumps([options, structure(module)], sort_keys=True, default=repr).encode())
    values = _sample if sampled else _bytes
    for name, tensor in tensors(module):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + values(tensor))
    return found.hexdigest()


def _attributes(part: nn.Module) -> Iterator[tuple[str, Any]]:
    library = isinstance(part, PreTrainedModel)  # its underscored attributes are plans for loading and parallel runs
    for key, value in vars(part).items():
        if key not in UNSEEN and not (library and (key[0] == "_" or key in OF_LIBRARY)):
            yield key, value if type(value) in ATOMS else _plain(value)


def _plain(value: Any) -> Any:
    """Numbers and words as they are, containers by their items, functions and other objects by their names."""
    if type(value) in ATOMS:
        return value
    if isinstance(value, Mapping):
        return tuple((str(key), _plain(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, set | frozenset):
        return tuple(sorted(map(repr, value)))
    if isinstance(value, Tensor):
        return str(value.dtype), tuple(value.shape), hashlib.sha256(_bytes(value)).hexdigest()
    if isinstance(value, functools.partial):
        return _kind(value.func), _plain(value.args), _plain(value.keywords)
    return _kind(value if hasattr(value, "__qualname__") else type(value))


def _kind(named: Any) -> str:
    return f"{named.__module__}.{named.__qualname__}"


def _sample(tensor: Tensor) -> bytes:
    values, step = tensor.detach(), max(1, tensor.numel() // SAMPLE)
    if values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64):
        return values.numpy().reshape(-1)[::step].tobytes()  # many times faster than torch, for a record's every look
    return _bytes(values.reshape(-1)[::step])


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
