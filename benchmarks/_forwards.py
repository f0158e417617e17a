"""Bare forward passes of a LLaDA, the baseline of the engine's speed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vrpo_theory.batching import BATCH_TOKENS, batches, collate, select
from vrpo_theory.models.llada import LLaDA
from vrpo_theory.types import Request


class Forwards:
    """The forward passes of some masks under some models, with nothing before or after them.

    The batches are those that the engine makes, laid out in advance; as in the engine, the head runs at masked
    positions only and ends with the log-probabilities of their tokens. These are thrown away, neither checked nor kept.
    So this is the limit of any way to evaluate those masks in those batches.

    Parameters
    ----------
    batch_tokens : int
        Most tokens per forward pass; 1 gives every mask a pass of its own.
    """

    def __init__(self, requests: Sequence[Request], models: Sequence[LLaDA], batch_tokens: int = BATCH_TOKENS) -> None:
        self.models = models
        self.batches = [self._laid_out(select(requests, pieces)) for pieces in batches(requests, batch_tokens)]

    def _laid_out(self, batch: Sequence[Request]) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens as the model reads them, where they are masked, and the true ones there."""
        tokens, _, mask, attention = collate(batch, self.models[0])
        if not bool(attention.all()):
            raise ValueError("batches must not be padded: give responses of one length")
        return tokens.masked_fill(mask, self.models[0].mask_token_id), mask, tokens[mask][:, None]

    @torch.no_grad()
    def __call__(self) -> None:
        for visible, mask, target in self.batches:
            for model in self.models:
                states = model.module.model(visible)[mask]
                model.module.head(states).log_softmax(-1).gather(1, target)
