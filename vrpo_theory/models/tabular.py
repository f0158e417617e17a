"""A toy whose log-probabilities are a table over visible sets: any model of its size, up to the tokens' values."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vrpo_theory.checkpoints.torch_model import ConditionalModel
from vrpo_theory.models.base import fingerprint
from vrpo_theory.types import Case, PreferencePair, Response

VOCABULARY, SPREAD, DRIFT = 4, 1.5, 0.5


class Tabular(ConditionalModel):
    """Softmax of free logits for every visible set and position.

    Parameters
    ----------
    logits : (2**L, L, V) array
        Row index: bit i (value 2**i) set means response token i is visible.
    """

    def __init__(self, logits: NDArray[np.float64]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits, dtype=torch.float64))
        self.length, self.vocabulary = logits.shape[1:]

    @property
    def fingerprint(self) -> str:
        """Hash of the table."""
        return fingerprint(self.parameters())

    def conditionals(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Iterator[Tensor]:
        """See `vrpo_theory.types.GivesConditionals.conditionals`; ValueError for a response of another length."""
        if not bool((answer.sum(1) == self.length).all()):
            raise ValueError(
                f"this table is for responses of {self.length} tokens, got {answer.sum(1).unique().tolist()}"
            )
        position = (answer.cumsum(1) - 1).clamp_min(0)
        visible = ((answer & ~mask) * 2**position).sum(1)
        row, column = mask.nonzero(as_tuple=True)
        logits = self.logits[visible[row], position[row, column]]
        yield torch.log_softmax(logits, -1)


def case(seed: int, length: int = 8, common: float = 0.0) -> Case:
    """A rough (``common=0``) or mid (``common=0.8``) table, its drifted policy, and two uniform responses.

    Parameters
    ----------
    common : float
        Share of the logits' variance that all visible sets have in common, in [0, 1]; at 1 tokens are independent of
        the masks.
    """
    if not 0 <= common <= 1:
        raise ValueError(f"common must be a share in [0, 1], got {common!r}")
    rng = np.random.default_rng(2000 + seed)

    def noise(spread: float) -> NDArray[np.float64]:
        own = rng.standard_normal((2**length, length, VOCABULARY))
        every = rng.standard_normal((length, VOCABULARY))
        return spread * (math.sqrt(1 - common) * own + math.sqrt(common) * every)

    reference = noise(SPREAD)
    policy = reference + noise(DRIFT)
    chosen, rejected = distinct(rng, length)
    pair = PreferencePair(Response((), chosen), Response((), rejected), f"tabular-{seed}")
    return Case(Tabular(policy), Tabular(reference), pair)


def distinct(rng: np.random.Generator, length: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two different uniform responses."""
    while True:
        chosen, rejected = rng.integers(VOCABULARY, size=(2, length)).tolist()
        if chosen != rejected:
            return tuple(chosen), tuple(rejected)
