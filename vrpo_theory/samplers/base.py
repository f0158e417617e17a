"""What a sampler is: a temperature, blocks that follow one another, and which proposals are kept first."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrpo_theory.registry import Member, Registry

if TYPE_CHECKING:
    from torch import Tensor

SAMPLERS: Registry[type[Sampler]] = Registry("sampler", "vrpo_theory.samplers")


@dataclass(frozen=True)
class Sampler(Member, ABC):
    """A rule by which masked tokens are written.

    The answer is all masks at first. Every forward pass proposes a token for each masked place; the places of the
    highest priority keep theirs, the others stay masked. A subclass writes `priority`; from left to right:

    >>> class LeftToRight(Sampler):
    ...     '''The first masked place first.'''
    ...
    ...     name = "left_to_right"
    ...
    ...     def priority(self, log_prob, token, uniform):
    ...         return -token.new_tensor(range(len(token))).double()

    ``SAMPLERS.add(LeftToRight.name, LeftToRight)`` at the end of a file in the folder registers it.

    Parameters
    ----------
    temperature : float
        Tokens are drawn from the softmax of the logits over it; 0 takes the likeliest.
    """

    temperature: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature must be finite and at least 0, got {self.temperature!r}")

    def blocks(self, length: int) -> list[int]:
        """Numbers of tokens that are written one group after the other; they add up to ``length``."""
        return [length]

    def token(self, log_prob: Tensor, uniform: Tensor) -> Tensor:
        """Proposed tokens (N,) int64.

        Parameters
        ----------
        log_prob : (N, V) float64
            In nats, up to a constant of each row; -inf for what is never written.
        uniform : (N,) float64
        """
        if self.temperature == 0:
            return log_prob.argmax(-1)
        reached = (log_prob / self.temperature).softmax(-1).cumsum(-1)
        whole = reached[:, -1:]
        # The second condition stops at the last token of positive probability, whatever the product rounds to.
        return ((reached <= uniform[:, None] * whole) & (reached < whole)).sum(-1)

    @abstractmethod
    def priority(self, log_prob: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        """Which proposals are kept first, (N,) float64: the highest; of equal ones, the leftmost.

        Parameters
        ----------
        log_prob : (N, V) float64
            The model's own, without temperature.
        token : (N,) int64
            Proposed.
        uniform : (N,) float64
            Independent of those that chose the tokens.
        """
