"""A model of torch behind a wrapper: autocast, or DDP, whose forward pass must be called for gradients to meet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vrpo_theory.checkpoints.wrapped import Wrapped
from vrpo_theory.types import block_length


class Through:
    """The policy as a model, called through what the Trainer has wrapped around it.

    Parameters
    ----------
    wrapped : torch module
        Called as the policy's ``forward``.
    policy : Wrapped
    """

    def __init__(self, wrapped: nn.Module, policy: Wrapped) -> None:
        self.wrapped, self.policy, self.vocabulary = wrapped, policy, policy.vocabulary
        self.block_length = block_length(policy)

    @property
    def device(self) -> torch.device:
        """The policy's."""
        return self.policy.device

    @property
    def dtype(self) -> torch.dtype:
        """The policy's."""
        return self.policy.dtype

    @property
    def fingerprint(self) -> str:
        """The policy's."""
        return self.policy.fingerprint

    def log_prob(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """See `vrpo_theory.models.base.Model.log_prob`."""
        found: Tensor = self.wrapped(tokens, answer, mask, attention)
        return found
