"""Low-confidence remasking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from vrpo_theory.samplers.base import SAMPLERS, Sampler

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LowConfidence(Sampler):
    """Low-confidence remasking: the tokens that the model is surest of are kept, the others masked again.

    Confidence is the token's probability at temperature 1, whatever the temperature it was drawn at.

    Parameters
    ----------
    temperature : float
    eos : int or tuple of int
        Tokens whose confidence is 0, so that they are kept last (2505.19223v2, D.4).
    """

    name = "low_confidence"
    eos: tuple[int, ...] | int = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.eos if isinstance(self.eos, tuple) else (self.eos,)
        if not all(type(token) is int and token >= 0 for token in given):
            raise ValueError(f"eos must be a token's id, or a tuple of them, got {self.eos!r}")
        object.__setattr__(self, "eos", given)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return (cls(), cls(temperature=0.7), cls(eos=(0, 2)))

    def priority(self, log_prob: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        confidence = log_prob.gather(-1, token[:, None]).squeeze(-1).exp()
        last = sum((token == eos for eos in self.eos), start=token < 0)  # type: ignore[union-attr]
        return confidence.masked_fill(last, 0.0)


SAMPLERS.add(LowConfidence.name, LowConfidence)
