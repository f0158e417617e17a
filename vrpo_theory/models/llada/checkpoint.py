"""Reading a LLaDA checkpoint from a local folder: safetensors only, no remote code, nothing taken on trust."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from vrpo_theory.errors import InputError
from vrpo_theory.models.llada.configuration import LLaDAConfig
from vrpo_theory.models.llada.modeling import LLaDAModelLM
from vrpo_theory.models.llada.predictor import LLaDA
from vrpo_theory.models.llada.weights import check_headers, read_headers, read_json, same_tensor, weight_files

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
REQUIRED = ("d_model", "n_heads", "n_layers", "vocab_size", "mask_token_id", "rms_norm_eps", "rope_theta")
HEAD, EMBEDDING = "model.transformer.ff_out.weight", "model.transformer.wte.weight"


def load(folder: str | Path, *, device: str | torch.device = "cpu", dtype: str | torch.dtype = "float32") -> LLaDA:
    """A predictor from a local checkpoint, in eval mode.

    Parameters
    ----------
    folder : path
        Holds config.json, and model.safetensors or model.safetensors.index.json with its shards.
    device : str or torch.device
    dtype : {"float32", "bfloat16", "float16", "float64"} or torch.dtype
        Type of the weights in memory, whatever their type in the files.

    Raises
    ------
    InputError
        If anything is missing, damaged, contradictory or not supported. All but the weights' values is checked
        before they are allocated.
    """
    folder = Path(folder)
    target, precision = _device(device), _dtype(dtype)
    config = read_config(folder)
    _check_weights(folder, config)
    module = _read(folder, config, precision)
    for name, parameter in module.named_parameters():
        if not parameter.isfinite().all():
            raise InputError(f"{folder}: {name} holds NaN or Inf in {precision}: download the weights again")
    return LLaDA(module).to(target)


def fingerprint(folder: str | Path) -> str:
    """SHA-256 of the content of config.json and the weight files of a checkpoint."""
    folder = Path(folder)
    digest = hashlib.sha256()
    for file in (_config_file(folder), *weight_files(folder)):
        with file.open("rb") as stream:
            digest.update(f"{file.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def read_config(folder: Path) -> LLaDAConfig:
    """The configuration of a checkpoint; InputError if it is not a LLaDA one that this package supports."""
    path = _config_file(folder)
    options = read_json(path)
    if options.get("model_type") != "llada":
        raise InputError(
            f"{path}: model_type is {options.get('model_type')!r}, expected 'llada': give a LLaDA checkpoint"
        )
    if "transformers_weights" in options:
        raise InputError(f"{path}: transformers_weights would select other weights: remove the key")
    if (folder / "adapter_config.json").exists():
        raise InputError(f"{folder} has an adapter_config.json: merge the adapter into the weights and remove the file")
    if missing := [name for name in REQUIRED if name not in options]:
        raise InputError(f"{path} lacks {', '.join(missing)}: copy it from the official config.json")
    try:
        return LLaDAConfig.from_pretrained(folder, local_files_only=True)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None


def _config_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give the local folder of a LLaDA checkpoint")
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} has no config.json: download it with the weights")
    return folder / "config.json"


def _check_weights(folder: Path, config: LLaDAConfig) -> None:
    found = read_headers(folder)
    if config.n_layers > len(found):
        raise InputError(f"{folder} holds {len(found)} tensors, too few for n_layers={config.n_layers}: correct one")
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in LLaDAModelLM(config).state_dict().items()}
    if config.weight_tying and HEAD not in found:
        del expected[HEAD]
    check_headers(folder, found, expected)
    if HEAD in found and config.weight_tying and not same_tensor(found[HEAD], found[EMBEDDING], HEAD, EMBEDDING):
        raise InputError(
            f"{folder}: weight_tying is true but {HEAD} differs from {EMBEDDING}: set it to false or drop one"
        )


def _read(folder: Path, config: LLaDAConfig, dtype: torch.dtype) -> LLaDAModelLM:
    with _quiet():
        loaded: Any = LLaDAModelLM.from_pretrained(
            folder, config=config, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    module, report = loaded
    if problems := {key: value for key, value in report.items() if value}:
        raise InputError(f"{folder} was not loaded as it is: {problems}")
    return module


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' bars and warnings: whatever they could say is an error here."""
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    for name, precision in DTYPES.items():
        if dtype in (name, precision):
            return precision
    raise InputError(f"dtype={dtype!r} is not supported: choose from {', '.join(DTYPES)}")


def _device(device: str | torch.device) -> torch.device:
    try:
        target = torch.device(device)
        torch.empty(0, device=target)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device={str(device)!r} cannot be used ({reason}): try device='cpu'") from None
    return target
