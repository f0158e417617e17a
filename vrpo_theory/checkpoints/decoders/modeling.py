"""Decoders of transformers, or of this package, with another attention mask, under a release's official names."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

from vrpo_theory.checkpoints.decoders.attention import additive, visible
from vrpo_theory.checkpoints.decoders.declaration import Decoder
from vrpo_theory.checkpoints.family import BLOCK_KEY
from vrpo_theory.checkpoints.layers import widen


class OfficialConfig(PreTrainedConfig):
    """A configuration that is saved under the releases' name of the rotations' base, not transformers'."""

    def to_dict(self) -> dict[str, Any]:
        options: dict[str, Any] = super().to_dict()
        return options | {"rope_theta": options.pop("rope_parameters")["rope_theta"]}


class MaskedDecoderLM(PreTrainedModel):
    """A masked language model with its output head; the base class, further up, gives ``model`` and ``lm_head``.

    The logits are the official code's: raw, so under a shift of 1 those of column i predict column i + 1.
    """

    family: ClassVar[Decoder]
    config_class: type[PreTrainedConfig]

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)
        widen(self)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, position_ids: Tensor | None = None
    ) -> MaskedLMOutput:
        """Logits (B, T, vocab_size) of every position.

        Parameters
        ----------
        input_ids : (B, T) int64
        attention_mask : (B, T), optional
            1 or True at real tokens, 0 or False at padding.
        position_ids : (B or 1, T) int64, optional
            Columns by default. Blocks are counted by them.
        """
        real = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        seen = visible(real.bool(), position_ids, getattr(self.config, BLOCK_KEY))
        return MaskedLMOutput(logits=self.head(self.hidden(input_ids, position_ids, seen)))

    def hidden(self, input_ids: Tensor, position_ids: Tensor, seen: Tensor) -> Tensor:
        """Last hidden state (B, T, D), normed, before the head, where queries see the keys that ``seen`` says."""
        mask = additive(seen, self.dtype) if self.config._attn_implementation == "eager" else seen
        body = self.model(input_ids=input_ids, position_ids=position_ids, attention_mask=mask, use_cache=False)
        states: Tensor = body.last_hidden_state
        return states

    def head(self, hidden: Tensor) -> Tensor:
        """Logits (..., vocab_size) of hidden states (..., D)."""
        logits: Tensor = self.lm_head(hidden)
        return logits


@cache
def built(family: Decoder) -> type[MaskedDecoderLM]:
    """The class of a family's models, under the official name, with its configuration's."""
    package, _, name = family.base.rpartition(".")
    base = getattr(importlib.import_module(package), name)
    official = family.architectures[0]
    config = type(f"{official}Config", (OfficialConfig, base.config_class), {"model_type": family.model_type})
    members = {"config_class": config, "family": family, "__doc__": f"{family.title}."}
    made: type[MaskedDecoderLM] = type(official, (MaskedDecoderLM, base), members)
    return made
