"""A LoRA adapter on top of a checkpoint, by the optional library peft."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vrpo_theory.checkpoints.folder import listing
from vrpo_theory.checkpoints.notes import note
from vrpo_theory.errors import InputError, one_line, out_of_memory

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def attach(module: nn.Module, folder: Path) -> None:
    """Add an adapter to a module in place: the base's parameters are frozen, the adapter's are trainable.

    The adapter is not merged, so it can be trained; on a bfloat16 module peft keeps it in float32. Its dropout is
    switched off: two passes must see one function.

    Parameters
    ----------
    module : PreTrainedModel
    folder : path
        Holds adapter_config.json and adapter_model.safetensors, as peft saves them.

    Raises
    ------
    InputError
        If peft is not installed, a file is missing or damaged, or the adapter does not fit the module.
    """
    peft = peft_library()
    weights = _read(folder)
    try:
        config = peft.PeftConfig.from_pretrained(str(folder))
        _require_lora(folder, config)
        _name_other_base(folder, config, module)
        config.inference_mode, config.lora_dropout = False, 0.0
        with torch.random.fork_rng(devices=[]):  # new layers start from random values, soon replaced
            wrapped = peft.PeftModel(module, config)
        # Whether embeddings are part of an adapter is read from its file, not asked of the hub.
        embeddings = any(".lora_" not in name and "embed" in name for name in weights)
        expected = peft.get_peft_model_state_dict(wrapped, save_embedding_layers=embeddings).keys()
        if odd := weights.keys() ^ expected:
            raise InputError(
                f"{folder}: {min(odd)} is in the adapter or the model, not in both: give the base it was trained on"
            )
        peft.set_peft_model_state_dict(wrapped, weights)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, InputError) or out_of_memory(error):
            raise
        raise InputError(
            f"{folder} does not fit the model ({one_line(error)}): give the base it was trained on"
        ) from None


def peft_library() -> Any:
    """The module peft; InputError if it is not installed."""
    try:
        import peft
    except ImportError:
        raise InputError("an adapter needs the library peft: pip install peft") from None
    return peft


def _name_other_base(folder: Path, config: Any, module: Any) -> None:
    """A base of another name may be the same model elsewhere, so it is named, not refused."""
    trained, given = str(config.base_model_name_or_path or ""), str(module.config._name_or_path or "")
    if trained and given and Path(trained).name.lower() not in given.lower():
        note(f"{folder} was trained on {trained}, and is put on {given}: make sure that they are one model")


def _read(folder: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for name in (CONFIG, WEIGHTS):
        if name not in listing(folder):
            raise InputError(f"{folder} has no {name}: give the folder of an adapter that peft saved as safetensors")
    try:
        weights = load_file(folder / WEIGHTS)
    except OSError as error:
        raise InputError(f"{folder / WEIGHTS} cannot be read ({one_line(error)})") from None
    except SafetensorError as error:
        raise InputError(
            f"{folder / WEIGHTS} is not a complete safetensors file ({one_line(error)}): copy it again"
        ) from None
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise InputError(f"{folder / WEIGHTS}: {name} holds NaN or Inf: take another checkpoint of the adapter")
    return weights


def _require_lora(folder: Path, config: Any) -> None:
    kind = getattr(config.peft_type, "value", config.peft_type)
    if kind != "LORA":
        raise InputError(f"{folder}: peft_type is {kind}, expected LORA: merge the adapter into the weights")
