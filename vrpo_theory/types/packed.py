"""Several noisy blocks and the clean text before them, in one sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeGuard

from vrpo_theory.types.models import Model

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Packed:
    """One sequence of N columns: copies of texts without noise, and of single blocks with noise, side by side.

    Parameters
    ----------
    tokens : (N,) int64
        The unmasked truth.
    mask : (N,) bool
        True where masked; False throughout the clean copies.
    position : (N,) int64
        Place in the text that a column belongs to, from the start of its prompt.
    copy : (N,) int64
        Number of the copy that a column belongs to.
    clean : (N,) int64
        Number of the clean copy that a column sees the earlier blocks of; of a clean column, its own.
    before : (N,) int64
        Column of the token before, in the same copy, or for a noisy block's first one in the clean copy; -1 for none.
    """

    tokens: Tensor
    mask: Tensor
    position: Tensor
    copy: Tensor
    clean: Tensor
    before: Tensor

    def seen(self, block_length: int) -> Tensor:
        """Whether a query sees a key, (N, N) bool.

        A column sees its own block and the earlier ones of its own copy, and what lies before its block in the clean
        copy: the very tokens that it sees in a sequence of its own.
        """
        block = self.position // block_length
        own = (self.copy[:, None] == self.copy) & (block[:, None] >= block)
        return own | ((self.clean[:, None] == self.copy) & (block[:, None] > block))


class Packs(Model, Protocol):
    """A model of block diffusion that evaluates many masks of many blocks in one sequence."""

    block_length: int

    def log_prob_packed(self, packed: Packed) -> Tensor:
        """Log-probabilities (N,) of the true tokens in nats at masked columns, 0 elsewhere; differentiable."""
        ...


def packs(model: object) -> TypeGuard[Packs]:
    """Whether a model evaluates packed sequences; asked of its class, so that no property is computed."""
    return hasattr(type(model), "log_prob_packed")
