"""A masked decoder as a `vrpo_theory.models.base.Model`."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor, nn

from vrpo_theory.checkpoints.decoders.attention import visible
from vrpo_theory.checkpoints.decoders.modeling import MaskedDecoderLM
from vrpo_theory.checkpoints.family import BLOCK_KEY
from vrpo_theory.checkpoints.wrapped import Wrapped, positions
from vrpo_theory.errors import InputError


class MaskedDecoder(Wrapped):
    """A masked predictor around a `MaskedDecoderLM`.

    The module stays in eval mode even in ``train()``: dropout would read a global generator, and two passes would not
    see one function. Norms and rotations are as exact as the type; a softmax over experts or, with eager attention,
    over keys is float32 in float64 too, as in transformers.

    Parameters
    ----------
    module : MaskedDecoderLM
        Shared, not copied. Its configuration holds the mask token's id, and the block length or None.

    Attributes
    ----------
    shift : int
        Columns from a token back to the logits that predict it.
    block_length : int or None
        Tokens of a block; None where all tokens see each other.
    """

    module: MaskedDecoderLM
    limit = "max_position_embeddings"

    def __init__(self, module: MaskedDecoderLM) -> None:
        config = module.config
        if not 0 <= config.mask_token_id < config.vocab_size:
            raise InputError(
                f"mask_token_id={config.mask_token_id} is outside the vocabulary of {config.vocab_size}: correct it"
            )
        super().__init__(module, config.vocab_size, config.mask_token_id, config.max_position_embeddings)
        self.shift: int = module.family.shift
        self.block_length: int | None = getattr(config, BLOCK_KEY)

    @property
    def without_prompt(self) -> InputError:
        """Why a response needs a prompt under a shift."""
        return InputError(
            "this model predicts a token from the column before it, and the first token of an empty prompt's "
            "response has none: give a prompt of at least one token, such as BOS"
        )

    def train(self, mode: bool = True) -> Self:
        """Nothing but a request for gradients: the module stays in eval mode."""
        return super().train(False)

    def proxy_parameters(self) -> list[nn.Parameter]:
        """The up-projections of the first block, as for LLaDA (2505.19223v2, D.5): several, if it has experts."""
        body: Any = self.module.model
        layers = [part for name, part in body.layers[0].named_modules() if name.endswith("up_proj")]
        return [p for layer in layers for p in getattr(layer, "base_layer", layer).parameters()]

    def states(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """See `vrpo_theory.checkpoints.wrapped.Wrapped.states`; in the order of the tokens that they predict."""
        self._check(tokens, attention)
        position = positions(attention)
        if self.shift and bool((answer & attention & (attention.cumsum(1) <= self.shift)).any()):
            raise self.without_prompt
        shown = tokens.masked_fill(mask | ~attention, self.mask_token_id)
        hidden = self.module.hidden(shown, position, visible(attention, position, self.block_length))
        states: Tensor = hidden[mask.roll(-self.shift, 1).to(hidden.device)]
        return states

    def head(self, states: Tensor) -> Tensor:
        """Logits of the vocabulary."""
        return self.module.head(states)

    def _options(self) -> dict[str, Any]:
        return super()._options() | {"shift": self.shift}
