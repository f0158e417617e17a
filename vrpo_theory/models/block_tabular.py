"""A toy of block diffusion: a table over the visible tokens of a block, shifted by the token before the block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vrpo_theory.checkpoints.torch_model import ConditionalModel
from vrpo_theory.models.base import fingerprint
from vrpo_theory.models.tabular import DRIFT, SPREAD, VOCABULARY, distinct
from vrpo_theory.types import Case, PreferencePair, Response

BLOCK, PROMPT = 4, (1, 2)


class BlockTabular(ConditionalModel):
    """Softmax of free logits for every visible set of a block and place in it, plus those of the token before it.

    Parameters
    ----------
    logits : (2**b, b, V) array
        Row index: bit i (value 2**i) set means that the block's token i is visible. Places behind the sequence's end
        are not.
    carry : (V + 1, b, V) array
        By the last token of the block before; row V where there is none, or it is masked.

    Attributes
    ----------
    block_length : int
        b; blocks are counted from the start of the sequence, prompt included.
    """

    def __init__(self, logits: NDArray[np.float64], carry: NDArray[np.float64]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits, dtype=torch.float64))
        self.carry = nn.Parameter(torch.tensor(carry, dtype=torch.float64))
        self.block_length, self.vocabulary = logits.shape[1:]

    @property
    def fingerprint(self) -> str:
        """Hash of both tables."""
        return fingerprint(self.parameters())

    def conditionals(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Iterator[Tensor]:
        """See `vrpo_theory.types.GivesConditionals.conditionals`; a block sees itself and the token before it."""
        place = attention.cumsum(1) - 1  # among the real tokens
        within, visible = place % self.block_length, attention & ~mask
        row, column = mask.nonzero(as_tuple=True)
        same = (place[row] - within[row]) == (place - within)[row, column][:, None]  # (N, T): of the same block
        shown = ((same & visible[row]) * 2 ** within[row]).sum(1)
        before = column - within[row, column] - 1
        known = (before >= 0) & visible[row, before.clamp_min(0)]
        last = torch.where(known, tokens[row, before.clamp_min(0)], self.vocabulary)
        logits = (self.logits[shown] + self.carry[last])[torch.arange(len(row)), within[row, column]]
        yield torch.log_softmax(logits, -1)


def case(seed: int, length: int = 8) -> Case:
    """A rough table of blocks of four with its drifted policy; a prompt of two tokens, two uniform responses."""
    rng = np.random.default_rng(11000 + seed)

    def tables(spread: float) -> list[NDArray[np.float64]]:
        shapes = (2**BLOCK, BLOCK, VOCABULARY), (VOCABULARY + 1, BLOCK, VOCABULARY)
        return [spread * rng.standard_normal(shape) for shape in shapes]

    reference, drift = tables(SPREAD), tables(DRIFT)
    policy = [r + d for r, d in zip(reference, drift, strict=True)]
    chosen, rejected = (Response(PROMPT, ids) for ids in distinct(rng, length))
    return Case(BlockTabular(*policy), BlockTabular(*reference), PreferencePair(chosen, rejected, f"blocks-{seed}"))
