"""The options of loading, the same for every family of checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    import torch


class LoadOptions(TypedDict, total=False):
    """How a checkpoint is loaded: what ``load`` of every family takes by name.

    Parameters
    ----------
    device : str or torch.device
        The CPU by default.
    dtype : {"float32", "bfloat16", "float16", "float64"} or torch.dtype
        Type of the weights in memory, whatever their type in the files; float32 by default.
    device_map : str or dict, optional
        As accelerate takes it ("auto", or module names to devices), in the device's place. Weights that would not stay
        in memory are refused.
    adapter : path, optional
        Folder of a LoRA adapter that peft saved; not merged. The base is frozen, the adapter trainable.
    gradient_checkpointing : bool
        Recompute the blocks' activations in the backward pass: less memory, more time, the same numbers.
    attn_implementation : str, optional
        As transformers takes it ("eager", "sdpa", ...), which chooses where it is None.
    mask_token_id : int, optional
        What config.json, generation_config.json and the tokenizer's files agree on, where it is None.
    block_length : int, optional
        Tokens of a block, for models of block diffusion whose config.json does not say.
    """

    device: str | torch.device
    dtype: str | torch.dtype
    device_map: str | dict[str, Any] | None
    adapter: str | Path | None
    gradient_checkpointing: bool
    attn_implementation: str | None
    mask_token_id: int | None
    block_length: int | None


def given_facts(options: Mapping[str, Any]) -> dict[str, int | None]:
    """Those of the options that say what a checkpoint may leave open."""
    return {"mask_token_id": options.get("mask_token_id"), "block_length": options.get("block_length")}
