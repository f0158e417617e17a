"""Random remasking: the diffusion process itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrpo_theory.samplers.base import SAMPLERS, Sampler

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Diffusion(Sampler):
    """Random remasking: which tokens are kept does not depend on what they are.

    At temperature 1 and one token a step, the law of its answers is the any-order likelihood,
    `vrpo_theory.exact.MaskTable.log_likelihood`.
    """

    name = "diffusion"
    temperature: float = 1.0

    def priority(self, log_prob: Tensor, token: Tensor, uniform: Tensor) -> Tensor:
        return uniform


SAMPLERS.add(Diffusion.name, Diffusion, aliases=("random",))
