"""A masked language model of transformers as a `vrpo_theory.models.base.Model`."""

from __future__ import annotations

import copy
from typing import Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vrpo_theory.checkpoints.identity import structure
from vrpo_theory.checkpoints.wrapped import Wrapped
from vrpo_theory.errors import InputError, one_line, out_of_memory
from vrpo_theory.rounding import of_tokens

HEADS = (("cls",), ("lm_head",), ("head", "decoder"))
"""Output heads that map each hidden state by itself: those of BERT, RoBERTa and ModernBERT, and models like them."""
UP = ("intermediate.dense", "mlp.Wi", "ffn.lin1", "mlp.up_proj", ".ffn", "ffns.0.lin1")
"""Up-projections of a block, by the end of their names: BERT, ModernBERT, DistilBERT, EuroBERT, ALBERT, XLM."""


class MaskedLM(Wrapped):
    """A masked predictor around a model of transformers.

    Rows are shifted so that padding comes last: no position depends on it. The module stays in eval mode even in
    ``train()``: dropout would read a global generator, and two passes would not see one function.

    Parameters
    ----------
    module : PreTrainedModel
        Called with input_ids and attention_mask; returns logits. Shared, not copied.
    mask_token_id : int

    Raises
    ------
    InputError
        If the mask token is outside the vocabulary, or the model's longest length is not known.
    """

    def __init__(self, module: PreTrainedModel, mask_token_id: int) -> None:
        vocabulary = module.config.vocab_size
        if not 0 <= mask_token_id < vocabulary:
            raise InputError(f"mask_token_id={mask_token_id} is outside the vocabulary of {vocabulary}: correct it")
        super().__init__(module, vocabulary, mask_token_id, _longest(module))
        self._head_names = next((names for names in HEADS if all(hasattr(module, name) for name in names)), ())
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Nothing but a request for gradients: the module stays in eval mode."""
        return super().train(False)

    def proxy_parameters(self) -> list[nn.Parameter]:
        """The up-projection of the first block, as for LLaDA (2505.19223v2, D.5).

        Raises
        ------
        InputError
            If no module has a known name.
        """
        for name, layer in self.module.named_modules():
            if name.endswith(UP) and hasattr(layer, "weight"):
                return list(getattr(layer, "base_layer", layer).parameters())
        raise InputError(f"{type(self.module).__name__} has no known up-projection: study the gradient 'full'")

    def require_sound(self) -> None:
        """InputError unless a row in a padded batch has the numbers that the whole model gives it alone.

        It fails where padding is mixed in or positions are mistaken, where the head needs more than a hidden state,
        and where a model changes itself (BigBird gives up sparse attention for good after a short row). The rounding
        of half precision would hide small faults, so a float32 copy of such a model is tried.
        """
        model = self if self.dtype in (torch.float32, torch.float64) else copy.deepcopy(self).float()
        name, before = type(model.module).__name__, _described(model)
        try:
            error, tolerance = _padding_error(model)
        except (IndexError, RuntimeError, TypeError, ValueError) as broken:
            if out_of_memory(broken):
                raise
            raise InputError(
                f"{name} is not supported ({one_line(broken)}): write a Model (vrpo_theory.models.base)"
            ) from None
        if not error <= tolerance:
            raise InputError(
                f"{name} is not supported: padding, or its output head, moves a log-probability by {error:.2g} nats: "
                "write a Model (vrpo_theory.models.base)"
            )
        if _described(model) != before:
            raise InputError(
                f"{name} is not supported: a forward pass changes its options: write a Model or change them"
            )

    def states(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """See `vrpo_theory.checkpoints.wrapped.Wrapped.states`; logits, if the model's head is not known."""
        self._check(tokens, attention)
        order = _real_first(attention)
        shown = tokens.masked_fill(mask | ~attention, self.mask_token_id).gather(1, order)
        # With a known head, the body alone; else the whole model, and logits at every position.
        body = self.module.base_model if self._head_names else self.module
        states = body(input_ids=shown, attention_mask=attention.gather(1, order).long())[0]
        found: Tensor = states[mask.gather(1, order).to(states.device)]
        return found

    def head(self, states: Tensor) -> Tensor:
        """Logits, by a known head."""
        for name in self._head_names:
            states = getattr(self.module, name)(states)
        return states


def _real_first(attention: Tensor) -> Tensor:
    """Columns (B, longest row) that list each row's real tokens in order, then padding."""
    return (~attention).to(torch.uint8).argsort(dim=1, stable=True)[:, : int(attention.sum(1).max())]


def _longest(module: PreTrainedModel) -> int:
    longest = getattr(module.config, "max_position_embeddings", None)
    if not isinstance(longest, int) or longest < 1:
        raise InputError("the configuration has no max_position_embeddings: add it to config.json")
    for name, part in module.named_modules():
        start = getattr(part, "padding_idx", None)
        if name.endswith("position_embeddings") and start is not None:
            # RoBERTa and models like it start to count after the padding's id.
            return min(longest, len(part.weight) - int(start) - 1)
    return longest


def _described(model: MaskedLM) -> tuple[object, object]:
    return structure(model.module), model.module.config.to_dict()


@torch.no_grad()
def _padding_error(model: MaskedLM) -> tuple[float, float]:
    """Largest difference between a padded row of the predictor and the row alone in the whole model, and its rounding.

    Both in nats.
    """
    long, short = min(8, model.max_length), min(5, model.max_length)
    column = torch.arange(long, device=model.device)
    tokens = torch.arange(2 * long, device=model.device).view(2, long) % model.vocabulary
    attention = column < torch.tensor([[long], [short]], device=model.device)
    mask = attention & (column % 2 == 0)
    padded = model.log_prob(tokens, attention, mask, attention)[1, :short]
    row, hidden = tokens[1:, :short], mask[1:, :short]
    shown = row.masked_fill(hidden, model.mask_token_id)
    logits = model.module(input_ids=shown, attention_mask=torch.ones_like(row))[0].to(padded)
    alone = logits.log_softmax(-1).gather(-1, row[..., None].to(padded.device))[0, :, 0] * hidden[0].to(padded.device)
    return float((padded - alone).abs().max()), of_tokens(model, alone)
