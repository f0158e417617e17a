"""Feed-forward layers made of experts, each a tensor of its own under the official names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu


class GatedLayer(nn.Module):
    """SwiGLU without biases: one expert, or a whole feed-forward layer."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(silu(self.gate_proj(x)) * self.up_proj(x))
        return out


def mixed(experts: nn.ModuleList, x: Tensor, chosen: Tensor, weight: Tensor) -> Tensor:
    """Weighted sum of what the chosen experts make of every token, (N, D).

    Parameters
    ----------
    experts : list of E modules
    x : (N, D)
    chosen : (N, k) int64
        Numbers of the experts.
    weight : (N, k)
    """
    out = torch.zeros_like(x)
    # Where gradients are wanted every expert is called, if with no token, so that each has a gradient, of zeros or not.
    for number in range(len(experts)) if torch.is_grad_enabled() else chosen.unique().tolist():
        token, place = (chosen == number).nonzero(as_tuple=True)
        out = out.index_add(0, token, experts[number](x[token]) * weight[token, place, None].to(x.dtype))
    return out
