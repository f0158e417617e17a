"""Reading a checkpoint that ``AutoModelForMaskedLM`` knows: safetensors only, no remote code, nothing made up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedConfig

from vrpo_theory.errors import InputError
from vrpo_theory.models._folder import local_folder, read_options
from vrpo_theory.models._placement import Placement, quiet, require_whole
from vrpo_theory.models.llada.weights import check_headers, read_headers, read_json, same_tensor
from vrpo_theory.models.masked_lm.predictor import MaskedLM, require_sound

UNUSED = re.compile(
    r"(.*\.)?(pooler\.dense\.(weight|bias)|embeddings\.position_ids)|cls\.seq_relationship\.(weight|bias)"
)
"""Tensors that such checkpoints carry for other tasks: the pooler, BERT's next-sentence head, a list of positions."""
MASKS = ("[MASK]", "<mask>")


def load(
    source: str | Path,
    *,
    mask_token_id: int | None = None,
    revision: str | None = None,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    device_map: str | dict[str, Any] | None = None,
    adapter: str | Path | None = None,
    gradient_checkpointing: bool = False,
    attn_implementation: str | None = None,
) -> MaskedLM:
    """A predictor from a checkpoint that ``AutoModelForMaskedLM`` knows, in eval mode; never with remote code.

    The pooler (``pooler.dense``), BERT's next-sentence head (``cls.seq_relationship``) and stored ``position_ids`` are
    left out; any other tensor that is missing or left over is an error.

    Parameters
    ----------
    source : path or str
        A folder with config.json and safetensors, or a hub id at a pinned commit.
    mask_token_id : int, optional
        By default from config.json, else the mask token of tokenizer_config.json, else ``[MASK]`` or ``<mask>``, with
        its id in tokenizer.json.
    revision, device, dtype, device_map, adapter, gradient_checkpointing, attn_implementation
        As in `vrpo_theory.models.llada.load`.

    Raises
    ------
    InputError
        If anything is missing, damaged, contradictory or not supported, or the model fails a trial: a padded row must
        have the numbers that the whole model gives it alone.
    """
    placement = Placement(device, dtype, device_map, attn_implementation)
    folder = local_folder(source, revision)
    config = read_config(folder)
    token = _mask_token(folder) if mask_token_id is None else mask_token_id
    _check_files(folder, config)
    module, report = placement.read(AutoModelForMaskedLM, folder, config)
    left_over = {name for name in report["unexpected_keys"] if not UNUSED.fullmatch(name)}
    require_whole(folder, {**report, "unexpected_keys": left_over})
    model = placement.finish(MaskedLM(module, token), adapter, gradient_checkpointing)
    require_sound(model)
    return model


def read_config(folder: Path) -> PreTrainedConfig:
    """The configuration of a checkpoint; InputError unless it is a bidirectional masked language model's."""
    options, path = read_options(folder), folder / "config.json"
    if options.get("quantization_config"):
        raise InputError(f"{path}: quantization_config is not supported: give the weights as they were trained")
    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # each family checks its options in its own way
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    if type(config) not in AutoModelForMaskedLM._model_mapping or not hasattr(config, "vocab_size"):
        raise InputError(f"{path}: model_type is {config.model_type!r}, not a masked language model of text: give one")
    for name in ("is_decoder", "is_encoder_decoder"):
        if getattr(config, name, False):
            raise InputError(f"{path}: {name} is true, so attention is not bidirectional: give an encoder")
    return config


def _mask_token(folder: Path) -> int:
    token = read_options(folder).get("mask_token_id")
    if isinstance(token, int):
        return token
    files = [folder / name for name in ("tokenizer.json", "tokenizer_config.json")]
    tokenizer, settings = (read_json(file) if file.is_file() else {} for file in files)
    named = settings.get("mask_token")
    names = MASKS if named is None else (named["content"] if isinstance(named, dict) else named,)
    found = [entry["id"] for entry in tokenizer.get("added_tokens", ()) if entry["content"] in names]
    if len(found) != 1:
        raise InputError(
            f"{folder} names {len(found)} mask tokens ({' or '.join(names)} in tokenizer.json), expected one: "
            "add mask_token_id to config.json"
        )
    return found[0]


def _check_files(folder: Path, config: PreTrainedConfig) -> None:
    """Refuse what cannot fit before it is allocated; names are compared by transformers, which knows older ones."""
    found = read_headers(folder)
    if getattr(config, "num_hidden_layers", 0) > len(found):
        raise InputError(f"{folder} holds {len(found)} tensors, too few for {config.num_hidden_layers} layers")
    with torch.device("meta"):
        module = AutoModelForMaskedLM.from_config(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    common = found.keys() & shapes.keys()
    if not common:
        raise InputError(f"{folder}: no tensor has a name of {type(module).__name__}: the weights are another model's")
    check_headers(folder, {name: found[name] for name in common}, {name: shapes[name] for name in common})
    for one, other in module.all_tied_weights_keys.items():
        if {one, other} <= found.keys() and not same_tensor(found[one], found[other], one, other):
            raise InputError(f"{folder}: {one} differs from {other}, to which the configuration ties it: drop one")
