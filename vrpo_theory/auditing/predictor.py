"""A masked predictor that looks its logits up and remembers what it was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vrpo_theory.checkpoints.torch_model import TorchModel

WORDS, EOS, MASK, VOCABULARY = 5, 5, 6, 7
"""Ordinary ids 0..4, then the end of sequence (which also pads, as in many tokenizers) and the mask."""


@dataclass
class Trace:
    """What a predictor was asked since the last `take`: one entry per forward row.

    Parameters
    ----------
    masks : list of (B,) int arrays
        Masked answer tokens of each row, as bits.
    prompt_masked, altered : int
        Rows that masked a prompt token; rows that held a token which is neither the true one nor the mask, or that
        lacked or added tokens.
    """

    masks: list[NDArray[np.int64]] = field(default_factory=list)
    prompt_masked: int = 0
    altered: int = 0

    def take(self) -> Trace:
        """Everything so far; the trace starts again empty."""
        taken = Trace(self.masks, self.prompt_masked, self.altered)
        self.masks, self.prompt_masked, self.altered = [], 0, 0
        return taken

    @property
    def rows(self) -> int:
        """Forward rows."""
        return sum(map(len, self.masks))


class TracedPredictor(TorchModel):
    """Answers ``model(input_ids, attention_mask).logits`` for one prompt and answer, from a table.

    Parameters
    ----------
    logits : (2, 2**L, P + L, V) float32 array
        By context (0 intact, 1 damaged: a prompt token is masked, or a token altered), then by the masked answer tokens
        as bits.
    prompt, answer : sequence of int
        The P and L true ids.

    Notes
    -----
    Padding that ``attention_mask`` marks with 0 changes nothing, on either side.
    """

    def __init__(self, logits: NDArray[np.float32], prompt: tuple[int, ...], answer: tuple[int, ...]) -> None:
        super().__init__()
        self.length, truth = len(answer), np.array(prompt + answer)
        self.table = nn.Parameter(torch.from_numpy(logits.reshape(-1, *logits.shape[2:])), requires_grad=False)
        self.config = SimpleNamespace(
            mask_token_id=MASK, eos_token_id=EOS, pad_token_id=EOS, vocab_size=VOCABULARY, model_type="audit"
        )
        self.trace = Trace()
        self._known, self._truth = self.table.numpy(), truth
        # A prompt column counts 2**L, so that the quotient by 2**L tells whether any of them is masked.
        self._powers = np.concatenate([np.full(len(prompt), 2**self.length), 2 ** np.arange(self.length)])

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **ignored: Any) -> SimpleNamespace:
        """Logits (B, T, V) of ids (B, T); other keyword arguments are ignored, as padded positions are."""
        if input_ids.ndim != 2:
            raise ValueError(f"input_ids must be (B, T), got shape {tuple(input_ids.shape)}")
        ids = input_ids.detach().cpu().numpy()
        real = None if attention_mask is None else attention_mask.detach().cpu().numpy().astype(bool)
        if (real is None or real.all()) and ids.shape[1] == len(self._truth):
            found = self._known[self._rows(ids)]
        else:
            found = self._aligned(ids, np.ones(ids.shape, bool) if real is None else real)
        return SimpleNamespace(logits=torch.from_numpy(found).to(input_ids.device))

    def _rows(self, ids: NDArray[np.int64], surplus: NDArray[np.bool_] | bool = False) -> NDArray[np.int64]:
        """Row of the table for each (T,) row of ids; the question is remembered."""
        masked = ids == MASK
        code = masked @ self._powers
        mask, prompt = code & (2**self.length - 1), code >= 2**self.length
        altered = ((ids != self._truth) != masked).any(1) | surplus
        self.trace.masks.append(mask)
        self.trace.prompt_masked += int(prompt.sum())
        self.trace.altered += int(altered.sum())
        found: NDArray[np.int64] = mask + ((prompt | altered) << self.length)
        return found

    def _aligned(self, ids: NDArray[np.int64], real: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Rows with padding, or of another width: real tokens are taken in order; padded positions get zeros."""
        place = real.cumsum(1) - 1
        row, column = np.nonzero(real & (place < len(self._truth)))
        aligned = np.full((len(ids), len(self._truth)), -1)
        aligned[row, place[row, column]] = ids[row, column]
        found = self._known[self._rows(aligned, real.sum(1) > len(self._truth))]
        out = np.zeros((*ids.shape, found.shape[2]), np.float32)
        out[row, column] = found[row, place[row, column]]
        return out
