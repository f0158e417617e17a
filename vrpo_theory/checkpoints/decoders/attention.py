"""Which tokens see which: all but padding, or each block and what lies before it."""

from __future__ import annotations

import torch
from torch import Tensor


def visible(real: Tensor, position: Tensor, block_length: int | None) -> Tensor:
    """Whether a query sees a key, bool (B, 1, T or 1, T), to be broadcast over heads and queries.

    Padding sees what a real token in its place would, so that no row of the softmax is empty; its outputs are not used.

    Parameters
    ----------
    real : (B, T) bool
        False at padding.
    position : (B or 1, T) int64
        From the start of the sequence, prompt included.
    block_length : int or None
        None for full attention.
    """
    keys = real[:, None, None, :]
    if block_length is None:
        return keys
    block = position // block_length
    return keys & (block[:, None, :, None] >= block[:, None, None, :])


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """The same as an addend to the scores: 0 where seen, else the least finite number."""
    return torch.where(seen, 0.0, torch.finfo(dtype).min).to(dtype)
