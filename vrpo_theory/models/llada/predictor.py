"""LLaDA as a `vrpo_theory.models.base.Model`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vrpo_theory.checkpoints.identity import moving
from vrpo_theory.checkpoints.wrapped import Wrapped, scored
from vrpo_theory.models.llada.modeling import LLaDAModelLM

LOGITS = 2**25
"""Logits that exist at one time: 134 MB in float32, 265 masked positions of the 8B vocabulary."""


class LLaDA(Wrapped):
    """A masked predictor around a `LLaDAModelLM`.

    The softmax also covers the embedding's surplus rows, as in the official code.

    Parameters
    ----------
    module : LLaDAModelLM
        Shared, not copied; its weights, device and dtype are the predictor's.
    """

    module: LLaDAModelLM
    limit = "max_sequence_length"

    def __init__(self, module: LLaDAModelLM) -> None:
        config = module.config
        super().__init__(module, config.vocab_size, config.mask_token_id, config.max_sequence_length)

    def proxy_parameters(self) -> list[nn.Parameter]:
        """The up-projection of the first block: the paper's proxy for the full gradient (2505.19223v2, D.5)."""
        layer = self.module.model.transformer["blocks"][0].up_proj
        # Under an adapter, the layer that it adapts: the gradient in the weight is the same.
        return list(getattr(layer, "base_layer", layer).parameters())

    def log_prob(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """See `vrpo_theory.models.base.Model.log_prob`; float32, or float64 for a float64 model.

        Positions count the real tokens, so that padding on either side changes nothing.

        Raises
        ------
        InputError
            If a token is outside the vocabulary, or a row longer than ``max_sequence_length``.
        """
        self._check(tokens, attention)
        visible = tokens.masked_fill(mask | ~attention, self.mask_token_id)
        hidden = self.module.model(visible, attention, _positions(attention))
        states = hidden[mask.to(hidden.device)]
        return scored(self.module.head, states, mask, tokens, LOGITS // self.module.config.rows)

    def _options(self) -> dict[str, Any]:
        return moving(self.module.config.official())


def _positions(attention: Tensor) -> Tensor:
    """Place of every real token among the real ones, (B, T); (1, T) where all rows agree, to rotate with one row."""
    column = torch.arange(attention.shape[1], device=attention.device)
    position = torch.where(attention, attention.cumsum(1) - 1, column)
    return column[None] if bool((position == column).all()) else position
