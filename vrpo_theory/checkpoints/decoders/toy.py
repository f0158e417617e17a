"""A toy of any family of masked decoders: two random models, for the contracts that every model keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vrpo_theory.checkpoints.decoders.loading import predictor
from vrpo_theory.checkpoints.decoders.modeling import built
from vrpo_theory.checkpoints.family import BLOCK_KEY
from vrpo_theory.checkpoints.toy_pair import toy_pair
from vrpo_theory.types import Case

if TYPE_CHECKING:
    from vrpo_theory.checkpoints.decoders.declaration import Decoder
    from vrpo_theory.checkpoints.decoders.predictor import MaskedDecoder

PROMPT, MASK, BLOCK = 5, 32, 4
OPTIONS: dict[str, Any] = {
    "vocab_size": MASK + 1, "mask_token_id": MASK, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64,
    "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
}  # fmt: skip


def case(family: Decoder, seed: int, length: int) -> Case:
    """Two models, the policy near the reference, and two different uniform responses to a prompt of 5 tokens."""
    pair = toy_pair(np.random.default_rng(6000 + seed), MASK, PROMPT, length, f"{family.model_type.lower()}-{seed}")
    return Case(_model(family, drift=0.05), _model(family, drift=0.0), pair)


def _model(family: Decoder, drift: float) -> MaskedDecoder:
    """Every tensor is noise, always the same, plus ``drift`` times more noise; norms are about 1.

    In float64: experts are chosen by comparing numbers, and rounding must not decide.
    """
    kind, options = built(family), OPTIONS | dict(family.toy)
    options |= family.implied(options) | {BLOCK_KEY: BLOCK if family.attention == "blocks" else None}
    with torch.random.fork_rng(devices=[]):  # initial values, all replaced
        module = kind(kind.config_class(**options)).double()
    rng = np.random.default_rng(5999)
    for name, tensor in module.state_dict().items():
        noise, more = rng.standard_normal((2, *tensor.shape))
        centre = 1.0 if "norm" in name else 0.0
        tensor.copy_(torch.from_numpy(centre + 0.2 * noise + drift * more))
    model = predictor(module)
    model.eval()
    return model
