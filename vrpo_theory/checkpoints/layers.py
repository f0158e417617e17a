"""Norms and rotations that families share: float32 in every type below it, and float64 in float64."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm


def widened(x: Tensor) -> Tensor:
    """The tensor in float32 or better."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class WideRMSNorm(LlamaRMSNorm):
    """Llama's norm, except that float64 is not narrowed to float32."""

    def forward(self, x: Tensor) -> Tensor:
        wide = widened(x)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * wide.to(x.dtype)


def rotations(width: int, theta: float, position_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines, (..., T, width) float32, of the rotary embedding.

    Computed when needed: a buffer of frequencies would lose its precision whenever the module is cast to bfloat16.
    """
    exponent = torch.arange(0, width, 2, device=position_ids.device).float() / width
    angle = position_ids[..., None].float() * (1.0 / theta**exponent)
    angle = torch.cat((angle, angle), -1)
    return angle.cos(), angle.sin()


class Rotations(nn.Module):
    """In the place of a rotary embedding of transformers: the same numbers, in the activations' type."""

    def __init__(self, width: int, theta: float) -> None:
        super().__init__()
        self.width, self.theta = width, theta

    def forward(self, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = rotations(self.width, self.theta, position_ids)
        return cos.to(x.dtype), sin.to(x.dtype)


def widen(module: nn.Module) -> None:
    """Put these norms and rotations in the place of those of transformers; the weights stay."""
    for parent in list(module.modules()):
        for name, part in list(parent.named_children()):
            if type(part).__name__.endswith("RMSNorm") and not isinstance(part, WideRMSNorm):
                setattr(parent, name, _own_norm(part))
            if type(part).__name__.endswith("RotaryEmbedding"):
                setattr(parent, name, _own_rotations(part))


def _own_norm(part: Any) -> WideRMSNorm:
    own = WideRMSNorm(len(part.weight), part.variance_epsilon)
    own.weight = part.weight
    return own


def _own_rotations(part: Any) -> Rotations:
    return Rotations(2 * len(part.inv_freq), part.config.rope_parameters["rope_theta"])
