"""A masked predictor that remembers what it was asked, and one that looks its logits up."""

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
    counts, sums : list of (B,) arrays
        Masked answer tokens of each row, and the sum of their log-probabilities in an intact context, in nats.
    prompt_masked, altered : int
        Rows that masked a prompt token; rows that held a token which is neither the true one nor the mask, or that
        lacked or added tokens.
    """

    counts: list[NDArray[np.int64]] = field(default_factory=list)
    sums: list[NDArray[np.float64]] = field(default_factory=list)
    prompt_masked: int = 0
    altered: int = 0

    def take(self) -> Trace:
        """Everything so far; the trace starts again empty."""
        taken = Trace(self.counts, self.sums, self.prompt_masked, self.altered)
        self.counts, self.sums, self.prompt_masked, self.altered = [], [], 0, 0
        return taken

    @property
    def rows(self) -> int:
        """Forward rows."""
        return sum(map(len, self.counts))


class TracedPredictor(TorchModel):
    """Answers ``model(input_ids, attention_mask).logits`` for one prompt and answer; subclasses know the logits.

    Parameters
    ----------
    prompt, answer : sequence of int
        The P and L true ids.

    Notes
    -----
    Padding that ``attention_mask`` marks with 0 changes nothing, on either side.
    """

    def __init__(self, prompt: tuple[int, ...], answer: tuple[int, ...]) -> None:
        super().__init__()
        self.length, self.truth = len(answer), np.array(prompt + answer)
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)  # a parameter tells callers the device
        self.config = SimpleNamespace(
            mask_token_id=MASK, eos_token_id=EOS, pad_token_id=EOS, vocab_size=VOCABULARY, model_type="audit"
        )
        self.trace = Trace()

    def _answer(
        self, masked: NDArray[np.bool_], damaged: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Logits (B, P + L, V), and the masked sums (B,) of an intact context, of masked answer tokens (B, L).

        A context is damaged (B,) where a prompt token is masked, or a token altered.
        """
        raise NotImplementedError

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **ignored: Any) -> SimpleNamespace:
        """Logits (B, T, V) of ids (B, T); other keyword arguments are ignored, as padded positions are."""
        if input_ids.ndim != 2:
            raise ValueError(f"input_ids must be (B, T), got shape {tuple(input_ids.shape)}")
        ids = input_ids.detach().cpu().numpy()
        real = None if attention_mask is None else attention_mask.detach().cpu().numpy().astype(bool)
        if (real is None or real.all()) and ids.shape[1] == len(self.truth):
            found = self._traced(ids)
        else:
            found = self._aligned(ids, np.ones(ids.shape, bool) if real is None else real)
        return SimpleNamespace(logits=torch.from_numpy(found).to(input_ids.device))

    def _traced(self, ids: NDArray[np.int64], surplus: NDArray[np.bool_] | bool = False) -> NDArray[np.float32]:
        """Logits of each (T,) row of ids; the question is remembered."""
        masked = ids == MASK
        prompt = masked[:, : -self.length].any(1)
        altered = ((ids != self.truth) != masked).any(1) | surplus
        answer = masked[:, -self.length :]
        found, sums = self._answer(answer, prompt | altered)
        self.trace.counts.append(answer.sum(1))
        self.trace.sums.append(sums)
        self.trace.prompt_masked += int(prompt.sum())
        self.trace.altered += int(altered.sum())
        return found

    def _aligned(self, ids: NDArray[np.int64], real: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Rows with padding, or of another width: real tokens are taken in order; padded positions get zeros."""
        place = real.cumsum(1) - 1
        row, column = np.nonzero(real & (place < len(self.truth)))
        aligned = np.full((len(ids), len(self.truth)), -1)
        aligned[row, place[row, column]] = ids[row, column]
        found = self._traced(aligned, real.sum(1) > len(self.truth))
        out = np.zeros((*ids.shape, found.shape[2]), np.float32)
        out[row, column] = found[row, place[row, column]]
        return out


class TablePredictor(TracedPredictor):
    """Looks its logits up.

    Parameters
    ----------
    logits : (2, 2**L, P + L, V) float32 array
        By context (0 intact, 1 damaged), then by the masked answer tokens as bits.
    sums : (2**L,) float64 array
        Masked sums of the intact context.
    prompt, answer : sequence of int
    """

    def __init__(
        self,
        logits: NDArray[np.float32],
        sums: NDArray[np.float64],
        prompt: tuple[int, ...],
        answer: tuple[int, ...],
    ) -> None:
        super().__init__(prompt, answer)
        self.table = nn.Parameter(torch.from_numpy(logits.reshape(-1, *logits.shape[2:])), requires_grad=False)
        self._known, self._sums, self._powers = self.table.numpy(), sums, 2 ** np.arange(self.length)

    def _answer(
        self, masked: NDArray[np.bool_], damaged: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        code = masked @ self._powers
        return self._known[code + (damaged.astype(np.int64) << self.length)], self._sums[code]
