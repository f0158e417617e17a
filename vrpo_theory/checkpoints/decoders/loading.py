"""Reading a checkpoint of masked decoders: safetensors only, no remote code, nothing made up."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedConfig
from transformers.initialization import no_init_weights

from vrpo_theory.checkpoints.decoders.blocks import BlockDecoder
from vrpo_theory.checkpoints.decoders.declaration import Decoder
from vrpo_theory.checkpoints.decoders.modeling import MaskedDecoderLM, built
from vrpo_theory.checkpoints.decoders.predictor import MaskedDecoder
from vrpo_theory.checkpoints.family import BLOCK_KEY, Facts
from vrpo_theory.checkpoints.folder import read_options
from vrpo_theory.checkpoints.notes import note
from vrpo_theory.checkpoints.placement import Placement, quiet, require_whole
from vrpo_theory.checkpoints.weights import matching_headers, read_headers
from vrpo_theory.errors import InputError, one_line

ATTENTION = (None, "sdpa", "eager")
"""Implementations that obey a ready mask, transformers' own choice among them."""


def read(family: Decoder, folder: Path, placement: Placement, **given: int | None) -> MaskedDecoder:
    """See `vrpo_theory.checkpoints.family.Family`."""
    if placement.attention not in ATTENTION:
        raise InputError(
            f"attn_implementation={placement.attention!r} takes no mask of queries and keys, which "
            f"{family.title} needs: use sdpa or eager"
        )
    facts = family.facts(folder, read_options(folder), **given).required(folder)
    if family.attention == "either" and facts.block_length.value is None:
        note(f"{folder}: read with full attention ({facts.block_length.where})")
    headers = read_headers(folder)
    config = read_config(family, folder, facts, tensors=len(headers))
    try:
        expected = without_values(built(family), config)
    except Exception as error:  # each family fails in its own way
        raise InputError(f"{folder / 'config.json'}: {one_line(error)}") from None
    headers = matching_headers(folder, headers, expected)
    module, report = placement.read(built(family), folder, config, headers)
    require_whole(folder, report)
    return predictor(module)


def predictor(module: MaskedDecoderLM) -> MaskedDecoder:
    """The predictor around a module, of the kind that its configuration asks for."""
    return MaskedDecoder(module) if getattr(module.config, BLOCK_KEY) is None else BlockDecoder(module)


def read_config(family: Decoder, folder: Path, facts: Facts, *, tensors: int = 10**5) -> PreTrainedConfig:
    """The configuration of a checkpoint, its facts included.

    Parameters
    ----------
    tensors : int
        In its files. Every layer and expert has some: what says more of them would take all memory.

    Raises
    ------
    InputError
        If it is not one that is supported.
    """
    path = folder / "config.json"
    options = family.settled(path, read_options(folder))
    for name in ("num_hidden_layers", "num_experts"):
        if options.get(name, 0) > tensors:
            raise InputError(f"{folder} holds {tensors} tensors, too few for {name}={options[name]}: correct one")
    options |= {"mask_token_id": facts.mask_token_id.value, BLOCK_KEY: facts.block_length.value}
    try:
        with quiet():
            return built(family).config_class.from_dict(options)
    except Exception as error:  # each class checks its options in its own way
        raise InputError(f"{path}: {one_line(error)}") from None


def without_values(kind: type[MaskedDecoderLM], config: PreTrainedConfig) -> MaskedDecoderLM:
    """A module whose tensors have names and shapes alone."""
    with torch.device("meta"), no_init_weights():
        return kind(config)
