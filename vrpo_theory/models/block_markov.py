"""The Markov toy under block diffusion: what lies before a block is seen, prompt included; what follows it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vrpo_theory.models import markov
from vrpo_theory.models.base import fingerprint
from vrpo_theory.types import Case, Response

BLOCK = 4


class BlockMarkov(markov.Markov):
    """Conditionals of a chain given the nearest visible token before, and behind within the block.

    Parameters
    ----------
    transition : (V, V) array
        As for `vrpo_theory.models.markov.Markov`.
    power : float
    block_length : int
        Counted from the start of the sequence, prompt included. At 1 the model is autoregressive.
    """

    def __init__(self, transition: NDArray[np.float64], power: float = 1.0, block_length: int = BLOCK) -> None:
        super().__init__(transition, power)
        self.block_length = block_length

    @property
    def fingerprint(self) -> str:
        """Hash of the chain, the power and the block length."""
        return fingerprint(
            [self.logits, *(torch.tensor(x, dtype=torch.float64) for x in (self.power, self.block_length))]
        )

    def _context(self, answer: Tensor, mask: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
        left, right = markov.neighbours(attention & ~mask)
        block = (attention.cumsum(1) - 1) // self.block_length
        width = mask.shape[1]
        other = block.gather(1, right.clamp_max(width - 1)) != block
        return left, right.masked_fill(other, width)

    def gap_sums(self, response: Response) -> NDArray[np.float64]:
        """As of `vrpo_theory.models.markov.Markov`, for a response within one block; node 0 is the token before it.

        Raises
        ------
        ValueError
            If the response spans several blocks: ask for each of `Response.blocks`.
        """
        if len(response.blocks(self.block_length)) > 1:
            raise ValueError(f"a response of {response.length} tokens spans several blocks of {self.block_length}: "
                             "ask for each block")  # fmt: skip
        if not response.prompt:
            return super().gap_sums(response)
        after_one = Response((), (response.prompt[-1], *response.ids))
        found: NDArray[np.float64] = super().gap_sums(after_one)[1:, 1:]
        return found


def case(seed: int, length: int = 8, block_length: int = BLOCK) -> Case:
    """`vrpo_theory.models.markov.case` with models that see blocks."""
    p, q = markov.chain(seed)
    of_chain = markov.case(seed, length)
    policy, reference = BlockMarkov(q, markov.TEMPER, block_length), BlockMarkov(p, 1.0, block_length)
    return replace(of_chain, policy=policy, reference=reference)
