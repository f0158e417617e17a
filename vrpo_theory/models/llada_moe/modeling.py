"""Qwen3 with experts in the place of its feed-forward layers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from vrpo_theory.checkpoints.decoders.experts import GatedLayer, mixed
from vrpo_theory.checkpoints.layers import widened


class SparseQwen3Config(Qwen3Config):
    """Qwen3's configuration, and the experts'."""

    num_experts: int = 64
    num_experts_per_tok: int = 8
    expert_intermediate_size: int = 1024
    dense_intermediate_size: int = 8192
    moe_layer_freq: list[int] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        if self.num_experts_per_tok > self.num_experts:
            raise ValueError(f"num_experts_per_tok={self.num_experts_per_tok} exceeds num_experts={self.num_experts}")
        if self.moe_layer_freq is None:
            self.moe_layer_freq = [1] * self.num_hidden_layers
        if len(self.moe_layer_freq) != self.num_hidden_layers or set(self.moe_layer_freq) - {0, 1}:
            raise ValueError(f"moe_layer_freq={self.moe_layer_freq} must be 0 or 1 for each of the layers")


class SoftmaxExperts(nn.Module):
    """Experts weighed by their softmax probabilities, which are not normalised over the chosen ones."""

    def __init__(self, config: SparseQwen3Config) -> None:
        super().__init__()
        self.chosen = config.num_experts_per_tok
        self.gate = nn.Linear(config.hidden_size, config.num_experts, bias=False)
        self.experts = nn.ModuleList(
            GatedLayer(config.hidden_size, config.expert_intermediate_size) for _ in range(config.num_experts)
        )

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, -2)
        weight, chosen = widened(self.gate(flat)).softmax(-1).topk(self.chosen)
        return mixed(self.experts, flat, chosen, weight).view_as(x)


class SparseQwen3(Qwen3ForCausalLM):
    """Qwen3 whose layers have experts where ``moe_layer_freq`` says so."""

    config_class = SparseQwen3Config

    def __init__(self, config: SparseQwen3Config) -> None:
        super().__init__(config)
        for layer, sparse in zip(self.model.layers, config.moe_layer_freq or (), strict=True):
            if sparse:
                layer.mlp = SoftmaxExperts(config)
