"""Reading a LLaDA checkpoint from a local folder: safetensors only, no remote code, nothing taken on trust."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Unpack

import torch

from vrpo_theory.checkpoints.facts import Source, agreed, mask_token, settled
from vrpo_theory.checkpoints.folder import config_file, local_folder, read_options
from vrpo_theory.checkpoints.options import LoadOptions
from vrpo_theory.checkpoints.placement import Placement, require_whole
from vrpo_theory.checkpoints.shards import weight_files
from vrpo_theory.checkpoints.weights import Header, check_headers, read_headers, same_tensor
from vrpo_theory.errors import InputError, one_line
from vrpo_theory.models.llada.configuration import LLaDAConfig
from vrpo_theory.models.llada.modeling import LLaDAModelLM
from vrpo_theory.models.llada.predictor import LLaDA

REQUIRED = ("d_model", "n_heads", "n_layers", "vocab_size", "mask_token_id", "rms_norm_eps", "rope_theta")
MASKS = ("<|mdm_mask|>",)
HEAD, EMBEDDING = "model.transformer.ff_out.weight", "model.transformer.wte.weight"


def load(source: str | Path, *, revision: str | None = None, **options: Unpack[LoadOptions]) -> LLaDA:
    """A predictor from a checkpoint, in eval mode.

    Parameters
    ----------
    source : path or str
        A folder with config.json, and model.safetensors or model.safetensors.index.json with its shards; or a hub id
        at a pinned commit (``org/name@commit``, or ``org/name`` and ``revision``).
    revision : str, optional
        Commit of a hub id, 40 hex digits.
    **options
        As in `vrpo_theory.checkpoints.options.LoadOptions`.

    Raises
    ------
    InputError
        If anything is missing, damaged, contradictory or not supported. All but the weights' values is checked
        before they are allocated.
    """
    placement = Placement(**options)
    folder = local_folder(source, revision)
    config = read_config(folder)
    module, report = placement.read(LLaDAModelLM, folder, config, checked_weights(folder, config))
    require_whole(folder, report)
    return placement.finish(LLaDA(module))


def fingerprint(folder: str | Path) -> str:
    """SHA-256 of the content of config.json and the weight files of a checkpoint."""
    folder = Path(folder)
    digest = hashlib.sha256()
    files = weight_files(folder)
    for file in (config_file(folder), *filter(None, (files.table,)), *files.weights):
        with file.open("rb") as stream:
            digest.update(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def read_config(folder: Path) -> LLaDAConfig:
    """The configuration of a checkpoint; InputError if it is not a LLaDA one that this package supports."""
    options, path = read_options(folder), folder / "config.json"
    if options.get("model_type") != "llada":
        raise InputError(
            f"{path}: model_type is {options.get('model_type')!r}, expected 'llada': give a LLaDA checkpoint"
        )
    options = _plain_rotations(settled(path, options, LLaDAConfig.attribute_map))
    mask = mask_token(folder, options, MASKS)
    options = {"mask_token_id": mask} | options if mask is not None else options
    if missing := [name for name in REQUIRED if name not in options]:
        raise InputError(f"{path} lacks {', '.join(missing)}: copy it from the official config.json")
    head = options.pop("head_dim", None)
    try:
        config = LLaDAConfig.from_dict(options)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: {one_line(error)}") from None
    agreed("head_dim", (Source(f"head_dim in {path}", head), Source("d_model / n_heads", config.head_dim)))
    return config


def _plain_rotations(options: dict[str, Any]) -> dict[str, Any]:
    """Without tables that say no more than the base of ordinary rotations, as transformers 5 writes it."""
    for name in ("rope_parameters", "rope_scaling"):
        table: Any = options.get(name)
        plain = isinstance(table, dict) and table.keys() <= {"rope_theta", "rope_type", "type"}
        if plain and {table.get("rope_type"), table.get("type")} <= {None, "default"}:
            theta = {"rope_theta": table["rope_theta"]} if "rope_theta" in table else {}
            options = theta | {key: value for key, value in options.items() if key != name}
    return options


def checked_weights(folder: Path, config: LLaDAConfig) -> dict[str, Header]:
    """Where every tensor of the architecture lies; InputError if one is missing, left over or of another shape."""
    found = read_headers(folder)
    if config.n_layers > len(found):
        raise InputError(f"{folder} holds {len(found)} tensors, too few for n_layers={config.n_layers}: correct one")
    with torch.device("meta"):
        expected = dict(LLaDAModelLM(config).state_dict())
    if config.weight_tying and HEAD not in found:
        del expected[HEAD]
    check_headers(folder, found, expected)
    if HEAD in found and config.weight_tying and not same_tensor(found[HEAD], found[EMBEDDING], HEAD, EMBEDDING):
        raise InputError(
            f"{folder}: weight_tying is true but {HEAD} differs from {EMBEDDING}: set it to false or drop one"
        )
    return found
