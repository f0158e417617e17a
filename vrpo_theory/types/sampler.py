"""What weights must know of the design that draws their masks."""

from __future__ import annotations

from typing import ClassVar, Protocol


class MaskSampler(Protocol):
    """Anything that draws masks; a `vrpo_theory.designs.Design` does."""

    name: ClassVar[str]
    independent_masks: ClassVar[bool]
    """Whether masks are independent given the levels."""
    permutation_invariant: ClassVar[bool]
    """Whether the joint law of the masks is unchanged by permuting positions."""
