"""Reading a LLaDA checkpoint from a local folder: safetensors only, no remote code, nothing taken on trust."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from vrpo_theory.checkpoints.facts import Source, agreed, plain_rotations, settled
from vrpo_theory.checkpoints.family import Family
from vrpo_theory.checkpoints.folder import config_file, read_options
from vrpo_theory.checkpoints.placement import Placement, require_whole
from vrpo_theory.checkpoints.shards import weight_files
from vrpo_theory.checkpoints.weights import Header, matching_headers, read_headers
from vrpo_theory.errors import InputError, one_line
from vrpo_theory.models.llada.configuration import LLaDAConfig
from vrpo_theory.models.llada.modeling import LLaDAModelLM
from vrpo_theory.models.llada.predictor import LLaDA

REQUIRED = ("d_model", "n_heads", "n_layers", "vocab_size", "rms_norm_eps", "rope_theta")


def read(family: Family[LLaDA], folder: Path, placement: Placement, **given: int | None) -> LLaDA:
    """See `vrpo_theory.checkpoints.family.Family`."""
    config = read_config(family, folder, **given)
    module, report = placement.read(LLaDAModelLM, folder, config, checked_weights(folder, config))
    require_whole(folder, report)
    return LLaDA(module)


def fingerprint(folder: str | Path) -> str:
    """SHA-256 of the content of config.json and the weight files of a checkpoint."""
    folder = Path(folder)
    digest = hashlib.sha256()
    files = weight_files(folder)
    for file in (config_file(folder), *filter(None, (files.table,)), *files.weights):
        with file.open("rb") as stream:
            digest.update(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def read_config(family: Family[LLaDA], folder: Path, **given: int | None) -> LLaDAConfig:
    """The configuration of a checkpoint; InputError if it is not a LLaDA one that this package supports.

    Parameters
    ----------
    **given
        ``mask_token_id`` and ``block_length``, as in `vrpo_theory.checkpoints.family.Family.facts`.
    """
    options, path = read_options(folder), folder / "config.json"
    if options.get("model_type") != "llada":
        raise InputError(
            f"{path}: model_type is {options.get('model_type')!r}, expected 'llada': give a LLaDA checkpoint"
        )
    options = plain_rotations(settled(path, options, LLaDAConfig.attribute_map))
    facts = family.facts(folder, options, **given).required(folder)
    options["mask_token_id"] = facts.mask_token_id.value
    if missing := [name for name in REQUIRED if name not in options]:
        raise InputError(f"{path} lacks {', '.join(missing)}: copy it from the official config.json")
    head = options.pop("head_dim", None)
    try:
        config = LLaDAConfig.from_dict(options)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: {one_line(error)}") from None
    agreed("head_dim", (Source(f"head_dim in {path}", head), Source("d_model / n_heads", config.head_dim)))
    return config


def checked_weights(folder: Path, config: LLaDAConfig) -> dict[str, Header]:
    """Where every tensor of the architecture lies; InputError if one is missing, left over or of another shape."""
    found = read_headers(folder)
    if config.n_layers > len(found):
        raise InputError(f"{folder} holds {len(found)} tensors, too few for n_layers={config.n_layers}: correct one")
    with torch.device("meta"):
        module = LLaDAModelLM(config)
    return matching_headers(folder, found, module)
