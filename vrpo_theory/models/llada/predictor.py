"""LLaDA as a `vrpo_theory.models.base.Model`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from vrpo_theory.checkpoints.identity import moving
from vrpo_theory.checkpoints.wrapped import LOGITS, Wrapped, positions, scored
from vrpo_theory.models.llada.modeling import LLaDAModelLM


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
        hidden = self.module.model(visible, attention, positions(attention))
        states = hidden[mask.to(hidden.device)]
        return scored(self.module.head, states, mask, tokens, LOGITS // self.module.config.rows)

    def _options(self) -> dict[str, Any]:
        return moving(self.module.config.official())
