"""The official configuration of LLaDA, with every option honoured or refused by name."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

from vrpo_theory.checkpoints.facts import require_only
from vrpo_theory.checkpoints.values import COUNT, FLAG, PROBABILITY, REAL, TOKEN, TOKENS, Kind
from vrpo_theory.errors import InputError

ONLY: dict[str, Any] = {
    "activation_type": "silu",
    "alibi": False,
    "attention_layer_norm": False,
    "block_group_size": 1,
    "block_type": "llama",
    "clip_qkv": None,
    "input_emb_norm": False,
    "layer_norm_type": "rms",
    "layer_norm_with_affine": True,
    "quantization_config": None,
    "rope": True,
    "rope_full_precision": True,
    "rope_parameters": None,
    "rope_scaling": None,
}
"""Options with a single supported value."""


KINDS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    (COUNT, ("d_model", "n_heads", "n_layers", "mlp_ratio", "vocab_size", "max_sequence_length")),
    (COUNT.with_null, ("n_kv_heads", "embedding_size", "mlp_hidden_size")),
    (TOKEN, ("mask_token_id",)),
    (TOKENS.with_null, ("eos_token_id", "pad_token_id")),
    (PROBABILITY, ("attention_dropout", "embedding_dropout", "residual_dropout")),
    (REAL, ("rms_norm_eps", "rope_theta", "init_std")),
    (FLAG, ("include_bias", "include_qkv_bias", "weight_tying", "scale_logits")),
    (FLAG.with_null, ("multi_query_attention", "bias_for_layer_norm")),
)
"""What kind of value every option takes."""


class LLaDAConfig(PreTrainedConfig):
    """Configuration of a LLaDA model under its official key names; the defaults are those of the 8B checkpoints.

    Keys that do not bear on the numbers (``init_*``, ``precision``, ``use_cache``, ...) are kept as they are. Dropout
    is never applied: it would read a global random generator, and two passes must see one function.

    Raises
    ------
    InputError
        If an option has a value that is not supported, or of the wrong type; the message names it.
    """

    model_type = "llada"
    attribute_map = {
        "hidden_size": "d_model",
        "initializer_range": "init_std",
        "intermediate_size": "mlp_hidden_size",
        "max_position_embeddings": "max_sequence_length",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers",
        "num_key_value_heads": "n_kv_heads",
        "tie_word_embeddings": "weight_tying",
    }

    d_model: int = 4096
    n_heads: int = 32
    n_kv_heads: int | None = None
    n_layers: int = 32
    mlp_ratio: int = 4
    mlp_hidden_size: int | None = 12288
    vocab_size: int = 126464
    embedding_size: int | None = None
    max_sequence_length: int = 4096
    mask_token_id: int = 126336
    eos_token_id: int | list[int] | None = 126081
    pad_token_id: int | list[int] | None = 126081
    rms_norm_eps: float = 1e-5
    rope_theta: float = 500000.0
    init_std: float = 0.02
    include_bias: bool = False
    include_qkv_bias: bool = False
    bias_for_layer_norm: bool | None = False
    multi_query_attention: bool | None = None
    scale_logits: bool = False
    weight_tying: bool = False
    activation_type: str = "silu"
    alibi: bool = False
    attention_dropout: float = 0.0
    attention_layer_norm: bool = False
    block_group_size: int = 1
    block_type: str = "llama"
    embedding_dropout: float = 0.0
    input_emb_norm: bool = False
    layer_norm_type: str = "rms"
    layer_norm_with_affine: bool = True
    residual_dropout: float = 0.0
    rope: bool = True
    rope_full_precision: bool = True
    use_cache: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        require_only(kwargs, ONLY)
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.check()

    @property
    def kv_heads(self) -> int:
        """Number of key and value heads."""
        if self.n_kv_heads is not None:
            return self.n_kv_heads
        return 1 if self.multi_query_attention else self.n_heads

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.d_model // self.n_heads

    @property
    def rows(self) -> int:
        """Rows of the embedding and of the output head, at least ``vocab_size``; the softmax runs over all of them."""
        return self.vocab_size if self.embedding_size is None else self.embedding_size

    @property
    def mlp_width(self) -> int:
        """Hidden units of a feed-forward block."""
        return self.mlp_ratio * self.d_model if self.mlp_hidden_size is None else self.mlp_hidden_size

    def official(self) -> dict[str, Any]:
        """Options of the architecture and their values, whatever library wrote them."""
        return {name: getattr(self, name) for name in LLaDAConfig.__annotations__}

    def check(self) -> None:
        """Validate every option; also called by the model, since options may be set after construction."""
        require_only(vars(self), ONLY)
        for kind, names in KINDS:
            kind.require((name, getattr(self, name)) for name in names)
        self._check_together()

    def _check_together(self) -> None:
        norm_bias = self.include_bias if self.bias_for_layer_norm is None else self.bias_for_layer_norm
        expected_heads = 1 if self.multi_query_attention else self.n_heads
        heads_agree = self.multi_query_attention is None or self.kv_heads == expected_heads
        for bad, message in (
            (
                norm_bias,
                f"bias_for_layer_norm={self.bias_for_layer_norm!r} asks for biased norms: only false is supported",
            ),
            (not heads_agree, f"n_kv_heads={self.n_kv_heads} contradicts multi_query_attention: set that one to null"),
            (self.d_model % self.n_heads, f"n_heads={self.n_heads} does not divide d_model={self.d_model}"),
            (self.head_dim % 2, f"d_model / n_heads = {self.head_dim} is odd: rotary embeddings need an even head"),
            (self.n_heads % self.kv_heads, f"n_kv_heads={self.kv_heads} does not divide n_heads={self.n_heads}"),
            (self.rows < self.vocab_size, f"embedding_size={self.rows} is less than vocab_size={self.vocab_size}"),
            (
                self.mask_token_id >= self.rows,
                f"mask_token_id={self.mask_token_id} is outside the {self.rows} embeddings",
            ),
        ):
            if bad:
                raise InputError(f"{message}; correct the configuration")
