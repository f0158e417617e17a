"""The configuration of LLaDA2: Qwen3's, and what it adds."""

from __future__ import annotations

from typing import Any

from transformers import Qwen3Config


class LLaDA2BaseConfig(Qwen3Config):
    """Options of the architecture under their official names; the defaults are those of the mini checkpoints.

    Raises
    ------
    ValueError
        If options do not go together; the message names them.
    """

    first_k_dense_replace: int = 1
    moe_intermediate_size: int = 512
    n_group: int = 8
    num_experts: int = 256
    num_experts_per_tok: int = 8
    num_shared_experts: int = 1
    partial_rotary_factor: float = 0.5
    rotary_dim: int | None = None
    routed_scaling_factor: float = 2.5
    topk_group: int = 4
    use_bias: bool = False
    use_qkv_bias: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        members, left = divmod(self.num_experts, self.n_group)
        for wrong, message in (
            (left, f"n_group={self.n_group} does not divide num_experts={self.num_experts}"),
            (members < 2, f"n_group={self.n_group} leaves groups of {members} experts, expected at least 2"),
            (self.topk_group > self.n_group, f"topk_group={self.topk_group} exceeds n_group={self.n_group}"),
            (
                self.num_experts_per_tok > members * self.topk_group,
                f"num_experts_per_tok={self.num_experts_per_tok} exceeds the {members * self.topk_group} experts of "
                f"topk_group={self.topk_group} groups",
            ),
            (
                not 0 < self.rotated <= self.head_dim or self.rotated % 2,
                f"partial_rotary_factor={self.partial_rotary_factor} rotates {self.rotated} of {self.head_dim} numbers",
            ),
            (
                self.rotary_dim not in (None, self.rotated),
                f"rotary_dim={self.rotary_dim}, but partial_rotary_factor rotates {self.rotated} numbers",
            ),
            (self.first_k_dense_replace < 0, f"first_k_dense_replace={self.first_k_dense_replace} is negative"),
        ):
            if wrong:
                raise ValueError(f"{message}: correct the configuration")

    @property
    def rotated(self) -> int:
        """Numbers of a head that are rotated, its first ones."""
        return int(self.head_dim * self.partial_rotary_factor)
