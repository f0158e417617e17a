"""How many floating-point operations (FLOP) a forward pass of LLaDA takes: its matrix products, by configuration.

A multiplication and an addition are two operations. Norms, rotations, softmax and the embedding's look-up are left out.
"""

from __future__ import annotations

from vrpo_theory.models.llada import LLaDAConfig


def block_weights(config: LLaDAConfig) -> int:
    """Weights of the seven matrices of one block."""
    attention = 2 * config.d_model**2 + 2 * config.d_model * config.kv_heads * config.head_dim
    return attention + 3 * config.d_model * config.mlp_width


def body_per_token(config: LLaDAConfig, length: int) -> int:
    """Of one token in a sequence of ``length`` tokens, without the output head: 2 a weight, and 4 L d of attention."""
    return config.n_layers * (2 * block_weights(config) + 4 * length * config.d_model)


def head_per_position(config: LLaDAConfig) -> int:
    """Of the output head at one position."""
    return 2 * config.d_model * config.rows


def forwards(config: LLaDAConfig, length: int, sequences: int, positions: int) -> int:
    """Of ``sequences`` forward passes that have logits at ``positions`` positions in all."""
    return sequences * length * body_per_token(config, length) + positions * head_per_position(config)
