"""How a checkpoint's weights are brought into memory: type, device, attention, adapter."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, Unpack

import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from vrpo_theory.checkpoints.adapter import attach
from vrpo_theory.checkpoints.notes import some
from vrpo_theory.checkpoints.options import LoadOptions
from vrpo_theory.checkpoints.weights import Header, opened
from vrpo_theory.checkpoints.wrapped import Wrapped
from vrpo_theory.errors import InputError, one_line, require_known

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
SHORT = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp64": "float64"}
TOO_LARGE = "would stay on the disk or the CPU beside a GPU: take a smaller type or more GPUs"

W = TypeVar("W", bound=Wrapped)


class Placement:
    """Where weights go, validated.

    Parameters
    ----------
    **options
        As in `vrpo_theory.checkpoints.options.LoadOptions`.

    Raises
    ------
    InputError
        If an option, type or device is unknown, a device is not there, or both device and device_map are given.
    """

    def __init__(self, **options: Unpack[LoadOptions]) -> None:
        require_known("loading", options, LoadOptions)
        device, self._device_map = options.get("device", "cpu"), options.get("device_map")
        if self._device_map is not None and str(device) != "cpu":
            raise InputError(f"device={str(device)!r} and a device_map were both given: give one of them")
        self._device, self._dtype = as_device(device), as_dtype(options.get("dtype", "float32"))
        self._options = options

    @property
    def attention(self) -> str | None:
        """The implementation that was asked for; None leaves it to transformers."""
        return self._options.get("attn_implementation")

    def read(
        self, kind: Any, folder: Path, config: PreTrainedConfig, weights: Mapping[str, Header]
    ) -> tuple[Any, dict[str, Any]]:
        """A module with tensors from safetensors files, and transformers' report on what did not fit.

        Parameters
        ----------
        kind : class of transformers with ``from_pretrained``
        folder : path
            Named in errors.
        weights : mapping
            Where every tensor lies that is to be loaded.

        Raises
        ------
        InputError
            If the device map or the attention is refused, weights would stay on disk, or are not finite.
        """
        options = {"dtype": self._dtype, "device_map": self._device_map, "attn_implementation": self.attention}
        # Tensors that are missing are drawn at random before they can be refused.
        with quiet(), torch.random.fork_rng(devices=[]), opened(weights) as tensors:
            try:
                module, report = kind.from_pretrained(
                    None, config=config, state_dict=tensors, output_loading_info=True, ignore_mismatched_sizes=True,
                    trust_remote_code=False, **options,
                )  # fmt: skip
            except (ImportError, ValueError) as error:
                reason = f"some weights {TOO_LARGE}" if "offload" in str(error) else one_line(error)
                raise InputError(f"{folder} cannot be loaded so: {reason}") from None
        module.config._name_or_path = str(folder)
        _check(folder, module)
        return module, report

    def finish(self, predictor: W) -> W:
        """The predictor in eval mode on its device, with its adapter."""
        adapter = self._options.get("adapter")
        if adapter is not None:
            with quiet():
                attach(predictor.module, Path(adapter))
        if self._options.get("gradient_checkpointing"):
            predictor.checkpoint_gradients()
        predictor.eval()
        return predictor.to(self._device) if self._device_map is None else predictor


def require_whole(folder: Path, report: Mapping[str, Any]) -> None:
    """InputError if transformers reports anything that was missing, left over or of another shape."""
    for problem, names in report.items():
        if names:
            raise InputError(f"{folder} was not loaded as it is, {problem.replace('_', ' ')}: {some(map(str, names))}")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' bars and warnings: whatever they could say is an error here."""
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _check(folder: Path, module: PreTrainedModel) -> None:
    for name, parameter in module.named_parameters():
        if parameter.is_meta:
            raise InputError(f"{name} {TOO_LARGE}")
        if not parameter.isfinite().all():
            raise InputError(f"{folder}: {name} holds NaN or Inf in {parameter.dtype}: download the weights again")


def as_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """A type of weights from its name; InputError for a name that is none."""
    name = str(dtype).removeprefix("torch.").lower()
    name = SHORT.get(name, name)
    if name not in DTYPES:
        raise InputError(f"dtype={dtype!r} is not supported: choose from {', '.join(DTYPES)}")
    return DTYPES[name]


def as_device(device: str | torch.device) -> torch.device:
    """A device that can be used; InputError for any other."""
    try:
        target = torch.device(device)
        torch.empty(0, device=target)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device={str(device)!r} cannot be used ({reason}): try device='cpu'") from None
    return target
