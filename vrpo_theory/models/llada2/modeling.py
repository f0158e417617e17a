"""LLaDA2 under its official tensor names; what sees what is decided outside, by the attention mask."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb, eager_attention_forward

from vrpo_theory.checkpoints.decoders.experts import GatedLayer, mixed
from vrpo_theory.checkpoints.layers import Rotations, WideRMSNorm, widened
from vrpo_theory.models.llada2.configuration import LLaDA2BaseConfig


class Attention(nn.Module):
    """Grouped heads, normed one by one; the first numbers of each are rotated."""

    is_causal = False

    def __init__(self, config: LLaDA2BaseConfig) -> None:
        super().__init__()
        self.config = config
        width, head, groups = config.hidden_size, config.head_dim, config.num_key_value_heads or 1
        self.num_key_value_groups = config.num_attention_heads // groups
        self.heads = (config.num_attention_heads, groups, groups)
        self.query_key_value = nn.Linear(width, sum(self.heads) * head, bias=config.use_qkv_bias)
        self.dense = nn.Linear(self.heads[0] * head, width, bias=config.use_bias)
        self.query_layernorm = WideRMSNorm(head, config.rms_norm_eps)
        self.key_layernorm = WideRMSNorm(head, config.rms_norm_eps)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], attention_mask: Tensor) -> Tensor:
        heads = self.query_key_value(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
        q, k, v = heads.split(self.heads, dim=1)
        q, k = self._rotated(self.query_layernorm(q), self.key_layernorm(k), rotation)
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        mixed_heads: Tensor = attention(self, q, k, v, attention_mask, scaling=self.config.head_dim**-0.5)[0]
        out: Tensor = self.dense(mixed_heads.flatten(-2))
        return out

    def _rotated(self, q: Tensor, k: Tensor, rotation: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        width = self.config.rotated
        turned = apply_rotary_pos_emb(q[..., :width], k[..., :width], *rotation)
        return torch.cat((turned[0], q[..., width:]), -1), torch.cat((turned[1], k[..., width:]), -1)


class Router(nn.Module):
    """Which experts, and their weights: chosen with a bias and by groups, weighed without either."""

    def __init__(self, config: LLaDA2BaseConfig) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.num_experts, config.hidden_size))
        self.expert_bias: Tensor
        self.register_buffer("expert_bias", torch.zeros(config.num_experts))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers and weights of the experts of every token, (N, k) each; float32 or better."""
        score = linear(widened(x), widened(self.weight)).sigmoid()
        chosen = self._of_best_groups(score + self.expert_bias).topk(self.config.num_experts_per_tok).indices
        weight = score.gather(1, chosen)
        if self.config.num_experts_per_tok > 1:
            weight = weight / (weight.sum(1, keepdim=True) + 1e-20)
        return chosen, weight * self.config.routed_scaling_factor

    def _of_best_groups(self, biased: Tensor) -> Tensor:
        """-inf outside the groups whose best two experts have the largest sums."""
        groups = biased.unflatten(1, (self.config.n_group, -1))
        best = groups.topk(2).values.sum(2).topk(self.config.topk_group).indices
        kept = torch.zeros_like(groups[..., 0], dtype=torch.bool).scatter(1, best, True)
        inside: Tensor = groups.masked_fill(~kept[..., None], -torch.inf).flatten(1)
        return inside


class GroupedExperts(nn.Module):
    """The chosen experts, and a shared one that every token passes."""

    def __init__(self, config: LLaDA2BaseConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.moe_intermediate_size
        self.gate = Router(config)
        self.experts = nn.ModuleList(GatedLayer(width, inner) for _ in range(config.num_experts))
        self.shared_experts = GatedLayer(width, inner * config.num_shared_experts)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, -2)
        out: Tensor = mixed(self.experts, flat, *self.gate(flat)).view_as(x) + self.shared_experts(x)
        return out


class LLaDA2Block(GradientCheckpointingLayer):
    """Attention and a feed-forward layer, each after a norm and with a residual."""

    def __init__(self, config: LLaDA2BaseConfig, number: int) -> None:
        super().__init__()
        width, dense = config.hidden_size, number < config.first_k_dense_replace
        self.attention = Attention(config)
        self.mlp = GatedLayer(width, config.intermediate_size) if dense else GroupedExperts(config)
        self.input_layernorm = WideRMSNorm(width, config.rms_norm_eps)
        self.post_attention_layernorm = WideRMSNorm(width, config.rms_norm_eps)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], attention_mask: Tensor) -> Tensor:
        x = x + self.attention(self.input_layernorm(x), rotation, attention_mask)
        change: Tensor = self.mlp(self.post_attention_layernorm(x))
        return x + change


class LLaDA2Model(nn.Module):
    """The body, without the output head."""

    def __init__(self, config: LLaDA2BaseConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(LLaDA2Block(config, number) for number in range(config.num_hidden_layers))
        self.norm = WideRMSNorm(config.hidden_size, config.rms_norm_eps)
        base: Any = config.rope_parameters
        self.rotations = Rotations(config.rotated, base["rope_theta"])

    def forward(self, input_ids: Tensor, position_ids: Tensor, attention_mask: Tensor, **_: Any) -> BaseModelOutput:
        """The last hidden state, normed; arguments as in `MaskedDecoderLM.hidden`."""
        x = self.word_embeddings(input_ids)
        rotation = self.rotations(x, position_ids)
        for block in self.layers:
            x = block(x, rotation, attention_mask)
        return BaseModelOutput(last_hidden_state=self.norm(x))


class LLaDA2(PreTrainedModel):
    """The body and its head, to be joined with `vrpo_theory.checkpoints.decoders.modeling.MaskedDecoderLM`."""

    config_class = LLaDA2BaseConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True
    _no_split_modules = ["LLaDA2Block"]
    _input_embed_layer = "word_embeddings"
    _tied_weights_keys = {"lm_head.weight": "model.word_embeddings.weight"}

    def __init__(self, config: LLaDA2BaseConfig) -> None:
        super().__init__(config)
        self.model = LLaDA2Model(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()  # type: ignore[no-untyped-call]
