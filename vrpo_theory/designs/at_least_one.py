"""At least one masked token: the fix-up of public trainers for empty masks; its bias is exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from vrpo_theory.designs.base import DESIGNS, Array, Entry, Flags
from vrpo_theory.designs.iid import IidTime


@dataclass(frozen=True)
class AtLeastOne(IidTime):
    """t ~ U[eps, 1]; an empty mask is replaced by one uniformly chosen token, weighed by 1/t all the same: biased."""

    name = "at_least_one"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps == 0:
            raise ValueError(f"{self.name}: the mean is infinite at eps = 0, got eps=0; choose eps > 0")

    @property
    def unbiased(self) -> bool:
        """Never: masks of one token come up too often."""
        return False

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return (cls(0.05),)

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return ()  # a mistake of public code, for the auditor

    def counts(self, drawn: Array, length: int) -> Array:
        prob = super().counts(drawn, length)
        prob[..., 1] += prob[..., 0]
        prob[..., 0] = 0
        return prob

    def cover(self, uniforms: Array, level: Array) -> Flags:
        mask = super().cover(uniforms, level)
        empty = ~mask.any(1)
        # An empty mask has every uniform above t; the smallest one is at a uniform place.
        mask[empty, uniforms[empty].argmin(1)] = True
        return mask


DESIGNS.add(AtLeastOne.name, AtLeastOne)
