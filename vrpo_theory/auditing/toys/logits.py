"""Logits of size 16 to 32, as large models have them, with an offset that bfloat16 rounds against the truth."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vrpo_theory.auditing.predictor import VOCABULARY
from vrpo_theory.auditing.toys.base import Array

IMPOSSIBLE = -30.0
"""Logit of what never happens."""


def logits(cost: Array, truth: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
    """Logits (..., T, V) under which the true token costs ``cost`` nats (..., T)."""
    others = rng.dirichlet(np.full(VOCABULARY - 2, 2.0), cost.shape)
    log_prob = np.full((*cost.shape, VOCABULARY), IMPOSSIBLE)
    for t, word in enumerate(truth):
        rest = [w for w in range(VOCABULARY - 1) if w != word]
        share = others[..., t, :] * -np.expm1(-cost[..., t, None])
        log_prob[..., t, rest] = np.log(np.maximum(share, np.exp(IMPOSSIBLE)))
        log_prob[..., t, word] = -cost[..., t]
    return (log_prob + _offset(log_prob, truth)).astype(np.float32)


def _offset(log_prob: Array, truth: NDArray[np.int64]) -> Array:
    """Of 32 offsets, the one with which bfloat16 lowers the true token's log-probability most, (..., T, 1)."""
    index = np.broadcast_to(truth[:, None], (*log_prob.shape[:-1], 1))
    best, lowest = np.zeros(log_prob.shape[:-1]), np.full(log_prob.shape[:-1], np.inf)
    for offset in 20 + np.arange(32) / 256:  # bfloat16 has steps of 1/8 there
        rounded = torch.from_numpy(log_prob + offset).bfloat16().double().log_softmax(-1).numpy()
        change = np.take_along_axis(rounded - log_prob, index, -1)[..., 0]
        best, lowest = np.where(change < lowest, offset, best), np.minimum(change, lowest)
    return best[..., None]
