"""LLaDA as a `vrpo_theory.models.base.Model`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from vrpo_theory.checkpoints.identity import moving
from vrpo_theory.checkpoints.wrapped import LOGITS, Wrapped, positions
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

    def states(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """See `vrpo_theory.checkpoints.wrapped.Wrapped.states`."""
        self._check(tokens, attention)
        visible = tokens.masked_fill(mask | ~attention, self.mask_token_id)
        hidden = self.module.model(visible, attention, positions(attention))
        states: Tensor = hidden[mask.to(hidden.device)]
        return states

    def head(self, states: Tensor) -> Tensor:
        """Logits of all rows of the embedding."""
        return self.module.head(states)

    @property
    def chunk(self) -> int:
        """Positions whose logits exist at one time."""
        return max(1, LOGITS // int(self.module.config.rows))

    def _options(self) -> dict[str, Any]:
        return moving(self.module.config.official())
