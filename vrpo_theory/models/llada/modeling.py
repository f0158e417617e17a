"""LLaDA under its official tensor names, on transformers' blocks.

A Llama without a causal mask. Norms and rotations run in float32 or, for a float64 model, in float64.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import MaskedLMOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb, eager_attention_forward

from vrpo_theory.checkpoints.layers import WideRMSNorm, rotations, widened
from vrpo_theory.models.llada.configuration import LLaDAConfig


class RMSNorm(WideRMSNorm):
    """The norm under the name that is part of fingerprints, by which stored evaluations are found."""


class LLaDABlock(GradientCheckpointingLayer):
    """Bidirectional attention and a gated feed-forward layer, each after a norm and with a residual."""

    is_causal = False

    def __init__(self, config: LLaDAConfig) -> None:
        super().__init__()
        self.config = config
        self.num_key_value_groups = config.n_heads // config.kv_heads
        width, kv_width, mlp_width = config.d_model, config.kv_heads * config.head_dim, config.mlp_width
        bias, qkv_bias = config.include_bias, config.include_bias or config.include_qkv_bias
        self.attn_norm = RMSNorm(width, config.rms_norm_eps)
        self.ff_norm = RMSNorm(width, config.rms_norm_eps)
        self.q_proj = nn.Linear(width, width, qkv_bias)
        self.k_proj = nn.Linear(width, kv_width, qkv_bias)
        self.v_proj = nn.Linear(width, kv_width, qkv_bias)
        self.attn_out = nn.Linear(width, width, bias)
        self.ff_proj = nn.Linear(width, mlp_width, bias)
        self.up_proj = nn.Linear(width, mlp_width, bias)
        self.ff_out = nn.Linear(mlp_width, width, bias)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], attention_mask: Tensor | None) -> Tensor:
        x = x + self.attn_out(self._attend(self.attn_norm(x), rotation, attention_mask))
        h = self.ff_norm(x)
        change: Tensor = self.ff_out(silu(self.ff_proj(h)) * self.up_proj(h))
        return x + change

    def _attend(self, x: Tensor, rotation: tuple[Tensor, Tensor], attention_mask: Tensor | None) -> Tensor:
        q, k, v = (
            projected.unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for projected in (self.q_proj(x), self.k_proj(x), self.v_proj(x))
        )
        q, k = (rotated.to(v.dtype) for rotated in apply_rotary_pos_emb(widened(q), widened(k), *rotation))
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        scaling = self.config.head_dim**-0.5
        mixed: Tensor = attention(self, q, k, v, attention_mask, scaling=scaling, is_causal=False)[0]
        return mixed.flatten(-2)


class LLaDAModel(nn.Module):
    """The body, and the output head that the official names keep inside it."""

    def __init__(self, config: LLaDAConfig) -> None:
        super().__init__()
        self.config = config
        head_bias = config.include_bias and not config.weight_tying
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(config.rows, config.d_model),
                "blocks": nn.ModuleList(LLaDABlock(config) for _ in range(config.n_layers)),
                "ln_f": RMSNorm(config.d_model, config.rms_norm_eps),
                "ff_out": nn.Linear(config.d_model, config.rows, head_bias),
            }
        )

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """Last hidden state (B, T, d_model), normed, before the head; arguments as in `LLaDAModelLM.forward`."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        x = self.transformer["wte"](input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = torch.arange(x.shape[1], device=x.device)[None]
        visible = create_bidirectional_mask(config=self.config, inputs_embeds=x, attention_mask=attention_mask)
        rotation = rotations(self.config.head_dim, self.config.rope_theta, position_ids)
        for block in self.transformer["blocks"].children():
            x = block(x, rotation, visible)
        normed: Tensor = self.transformer["ln_f"](x)
        return normed


class LLaDAModelLM(PreTrainedModel):
    """LLaDA with its output head.

    Raises
    ------
    InputError
        If the configuration asks for something that is not supported.
    """

    config_class = LLaDAConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True
    _no_split_modules = ["LLaDABlock"]
    _tied_weights_keys = {"model.transformer.ff_out.weight": "model.transformer.wte.weight"}

    def __init__(self, config: LLaDAConfig) -> None:
        config.check()
        super().__init__(config)
        self.model = LLaDAModel(config)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> MaskedLMOutput:
        """Logits (B, T, embedding_size) of every position.

        Parameters
        ----------
        input_ids : (B, T) int64, or None if ``inputs_embeds`` (B, T, d_model) is given
        attention_mask : (B, T), optional
            1 or True at real tokens, 0 or False at padding.
        position_ids : (B, T) int64, optional
            Columns by default, as in the official code.
        """
        hidden = self.model(input_ids, attention_mask, position_ids, inputs_embeds)
        return MaskedLMOutput(logits=self.head(hidden))

    def head(self, hidden: Tensor) -> Tensor:
        """Logits (..., embedding_size) of hidden states (..., d_model)."""
        logits: Tensor = self.get_output_embeddings()(hidden)
        return logits * self.config.d_model**-0.5 if self.config.scale_logits else logits

    def get_input_embeddings(self) -> nn.Module:
        table: nn.Module = self.model.transformer["wte"]
        return table

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.transformer["wte"] = value

    def get_output_embeddings(self) -> nn.Module:
        head: nn.Module = self.model.transformer["ff_out"]
        return head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.model.transformer["ff_out"] = new_embeddings

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Embedding:
        """Refused: the embedding's rows are the softmax's support, so resizing would change every number."""
        raise NotImplementedError("LLaDA's embeddings cannot be resized: set embedding_size before building the model")


AutoConfig.register("llada", LLaDAConfig, exist_ok=True)
AutoModel.register(LLaDAConfig, LLaDAModelLM, exist_ok=True)
AutoModelForCausalLM.register(LLaDAConfig, LLaDAModelLM, exist_ok=True)
