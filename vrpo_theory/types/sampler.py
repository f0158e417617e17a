"""What draws masks, as couplings and weights see it."""

from __future__ import annotations

from typing import ClassVar, Protocol

from vrpo_theory.randomness import Uniforms
from vrpo_theory.types.masks import Budget, Masks


class MaskSampler(Protocol):
    """Anything that draws masks; a `vrpo_theory.designs.Design` does."""

    name: ClassVar[str]
    independent_masks: ClassVar[bool]
    """Whether masks are independent given the levels."""
    permutation_invariant: ClassVar[bool]
    """Whether the joint law of the masks is unchanged by permuting positions."""

    @property
    def address(self) -> str:
        """Name and parameters: part of where the randomness lives."""
        ...

    def draw(self, uniforms: Uniforms, length: int, budget: Budget) -> Masks:
        """Masks of one estimate for a response of ``length`` tokens."""
        ...
