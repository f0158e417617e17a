"""The contract of a masked predictor."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@runtime_checkable
class Model(Protocol):
    """A masked diffusion language model seen through the log-probabilities of masked tokens.

    Attributes
    ----------
    device : torch.device
    dtype : torch.dtype
        Floating type the model computes in.
    vocabulary : int
        Number of tokens a response may hold: ids 0..vocabulary - 1.
    fingerprint : str
        Hash of everything that fixes the numbers (weights, or name and parameters of a toy).
    """

    device: torch.device
    dtype: torch.dtype
    vocabulary: int
    fingerprint: str

    def log_prob(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """Log-probabilities of the true tokens at masked positions.

        Parameters
        ----------
        tokens : (B, T) int64
            The unmasked truth; the model substitutes its own mask token. Values under the mask, in padding, never
            influence the result except as the targets.
        answer : (B, T) bool
            True at response positions; L = answer.sum(1). A response is contiguous.
        mask : (B, T) bool
            True where masked; inside ``answer``.
        attention : (B, T) bool
            True at real tokens, False at padding.

        Returns
        -------
        (B, T) floating
            Nats at masked positions, exactly 0 elsewhere; differentiable in the model's parameters.
        """
        ...


def fingerprint(parameters: Iterable[Tensor]) -> str:
    """Hash of a model's parameters, their types and shapes included."""
    digest = hashlib.sha256()
    for tensor in parameters:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
