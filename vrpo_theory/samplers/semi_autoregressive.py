"""Semi-autoregressive remasking: blocks from left to right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from vrpo_theory.samplers.base import SAMPLERS
from vrpo_theory.samplers.low_confidence import LowConfidence


@dataclass(frozen=True)
class SemiAutoregressive(LowConfidence):
    """Low-confidence remasking within blocks, which are written from left to right; the last one may be short.

    Parameters
    ----------
    temperature : float
    eos : int or tuple of int
        As for low-confidence remasking.
    block_length : int
        Tokens of a block, counted from the start of the answer.
    """

    name = "semi_autoregressive"
    block_length: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.block_length) is not int or self.block_length < 1:
            raise ValueError(f"block_length must be an integer of at least 1, got {self.block_length!r}")

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return (cls(), cls(block_length=3), cls(temperature=0.7, eos=(0,), block_length=2))

    def blocks(self, length: int) -> list[int]:
        return [min(self.block_length, length - start) for start in range(0, length, self.block_length)]


SAMPLERS.add(SemiAutoregressive.name, SemiAutoregressive)
