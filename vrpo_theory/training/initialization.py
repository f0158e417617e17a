"""Random initial weights."""

from __future__ import annotations

import torch
from torch import Tensor

from vrpo_theory.models.llada import LLaDA, LLaDAConfig, LLaDAModelLM
from vrpo_theory.randomness import Address, Uniforms


@torch.no_grad()
def initial(config: LLaDAConfig, seed: int) -> LLaDA:
    """A LLaDA with random weights, float32 on the CPU, in eval mode: matrices N(0, init_std^2), norms 1, biases 0.

    Every tensor is drawn at an address of its own; no global generator is read or advanced.
    """
    with torch.device("meta"):
        module = LLaDAModelLM(config)
    module.to_empty(device="cpu")
    for name, p in module.named_parameters():
        if p.dim() > 1:
            uniforms = Address(seed, "initial", 1, 1, name.encode()).uniforms()
            p.copy_(config.init_std * _normal(uniforms, p.shape))
        else:
            p.fill_(0.0 if name.endswith("bias") else 1.0)
    model = LLaDA(module)
    model.eval()
    return model


def _normal(uniforms: Uniforms, shape: torch.Size) -> Tensor:
    """Standard normals in float64, by Box and Muller."""
    radius, angle = (torch.from_numpy(u) for u in (uniforms.level(*shape), uniforms.mask(*shape)))
    return (-2 * torch.log1p(-radius)).sqrt() * torch.cos(2 * torch.pi * angle)
