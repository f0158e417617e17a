"""Reading a checkpoint that ``AutoModelForMaskedLM`` knows: safetensors only, no remote code, nothing made up."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn
from transformers import CONFIG_MAPPING, AutoModelForMaskedLM, PreTrainedConfig, PreTrainedModel, __version__

from vrpo_theory.checkpoints.facts import settled
from vrpo_theory.checkpoints.family import Family
from vrpo_theory.checkpoints.folder import read_options
from vrpo_theory.checkpoints.notes import note, some
from vrpo_theory.checkpoints.placement import Placement, quiet, require_whole
from vrpo_theory.checkpoints.weights import Header, check_headers, read_headers, same_tensor
from vrpo_theory.errors import InputError, one_line
from vrpo_theory.models.masked_lm.predictor import MaskedLM


def read(family: Family[MaskedLM], folder: Path, placement: Placement, **given: int | None) -> MaskedLM:
    """See `vrpo_theory.checkpoints.family.Family`.

    What the checkpoint holds for other tasks (a pooler, a next-sentence head, a discriminator) is left out and named on
    standard error; a tensor that is missing, or left over inside the body, is an error.
    """
    config = read_config(folder)
    facts = family.facts(folder, read_options(folder), **given).required(folder)
    kind, weights = checked_weights(folder, config)
    module, report = placement.read(kind, folder, config, weights)
    require_whole(
        folder, {**report, "unexpected_keys": _not_for_other_tasks(folder, module, report["unexpected_keys"])}
    )
    return MaskedLM(module, facts.mask_token_id.value)


def read_config(folder: Path) -> PreTrainedConfig:
    """The configuration of a checkpoint; InputError unless it is a bidirectional masked language model's."""
    options, path = read_options(folder), folder / "config.json"
    if options.get("quantization_config"):
        raise InputError(f"{path}: quantization_config is not supported: give the weights as they were trained")
    kind = str(options.get("model_type"))
    if kind not in CONFIG_MAPPING:
        raise InputError(f"{path}: model_type is {kind!r}, which transformers {__version__} does not know: correct it")
    options = settled(path, options, CONFIG_MAPPING[kind].attribute_map)
    try:
        with quiet():
            config = CONFIG_MAPPING[kind].from_dict(options)
    except Exception as error:  # each family checks its options in its own way
        raise InputError(f"{path}: {one_line(error)}") from None
    if type(config) not in AutoModelForMaskedLM._model_mapping or not hasattr(config, "vocab_size"):
        raise InputError(f"{path}: model_type is {config.model_type!r}, not a masked language model of text: give one")
    for name in ("is_decoder", "is_encoder_decoder"):
        if getattr(config, name, False):
            raise InputError(f"{path}: {name} is true, so attention is not bidirectional: give an encoder")
    return config


def checked_weights(folder: Path, config: PreTrainedConfig) -> tuple[type[PreTrainedModel], dict[str, Header]]:
    """The class of a configuration, and where every tensor lies; what cannot fit is refused before it is allocated.

    Names are compared by transformers, which knows older ones.
    """
    found = read_headers(folder)
    if getattr(config, "num_hidden_layers", 0) > len(found):
        raise InputError(f"{folder} holds {len(found)} tensors, too few for {config.num_hidden_layers} layers")
    try:
        with torch.device("meta"):
            module = AutoModelForMaskedLM.from_config(config)
    except Exception as error:  # each family fails in its own way
        raise InputError(f"{folder / 'config.json'}: no such model can be built ({one_line(error)})") from None
    expected = module.state_dict()
    common = found.keys() & expected.keys()
    if not common:
        raise InputError(f"{folder}: no tensor has a name of {type(module).__name__}: the weights are another model's")
    check_headers(folder, {name: found[name] for name in common}, {name: expected[name] for name in common})
    for one, other in module.all_tied_weights_keys.items():
        if {one, other} <= found.keys() and not same_tensor(found[one], found[other], one, other):
            raise InputError(f"{folder}: {one} differs from {other}, to which the configuration ties it: drop one")
    return type(module), found


def _not_for_other_tasks(folder: Path, module: PreTrainedModel, left_over: Iterable[str]) -> set[str]:
    """Tensors left over that would belong inside the body; the others are named and passed over."""
    inside = {name for name in left_over if _inside(module, name)}
    if others := set(left_over) - inside - {name for name, _ in module.named_buffers()}:
        note(f"{folder}: {some(others)} not used: no part of {type(module).__name__}")
    return inside


def _inside(module: PreTrainedModel, name: str) -> bool:
    """Whether a tensor would belong to a block, to the embeddings, or to a part that has tensors of its own."""
    parts = dict(module.named_modules())
    parents = [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
    nearest = next((parent for parent in parents if parent in parts), "")
    embeddings = next(key for key, part in parts.items() if part is module.get_input_embeddings()).rpartition(".")[0]
    in_block = any(isinstance(parts.get(parent), nn.ModuleList) for parent in parents)
    owner = any(True for _ in parts[nearest].parameters(recurse=False)) and nearest != ""
    position_ids = name.endswith("position_ids")
    return (in_block or owner or (nearest == embeddings and nearest != "")) and not position_ids
