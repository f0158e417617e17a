"""A toy on which power strata lose: one common shock per mask, scaled so that the variance given l is flat in l."""

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

VOCABULARY, SHOCKED, SPREAD = 4, 2, 0.05
"""Four tokens; the log-probabilities of the first two carry the effects, the others share what is left."""


class Shock(ConditionalModel):
    """log p(v at i | mask) = log(1/4) + effect[i, v] + c_l z(mask) for v in {0, 1}.

    z(mask) is standard normal, a hash of the masked positions: a function of the mask, as a model must be. Its scale
    c_l makes (L/l)^2 V(S | l) the same for every l < L, where the effects alone would make it fall like 1/l - 1/L.

    Parameters
    ----------
    effect : (L, 2) array
        In nats.
    shock : float
        Standard deviation of the effects that the shock is to outweigh; 0 for none.
    seed : int
        Of the hash.
    """

    def __init__(self, effect: NDArray[np.float64], shock: float, seed: int) -> None:
        super().__init__()
        self.effect = nn.Parameter(torch.tensor(effect, dtype=torch.float64))
        self.shock, self.length, self.vocabulary = shock, len(effect), VOCABULARY
        words = np.random.default_rng(seed).integers(-(2**63), 2**63, size=self.length, dtype=np.int64)
        self.words: Tensor
        self.register_buffer("words", torch.from_numpy(words))

    @property
    def fingerprint(self) -> str:
        """Hash of the effects, the shock and the hash's own words."""
        return fingerprint([self.effect, torch.tensor(self.shock, dtype=torch.float64), self.words])

    def conditionals(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Iterator[Tensor]:
        """See `vrpo_theory.types.GivesConditionals.conditionals`; ValueError for a response of another length."""
        if not bool((answer.sum(1) == self.length).all()):
            raise ValueError(
                f"this toy is for responses of {self.length} tokens, got {answer.sum(1).unique().tolist()}"
            )
        position = (answer.cumsum(1) - 1).clamp_min(0)
        row, column = mask.nonzero(as_tuple=True)
        raised = self.effect[position[row, column]] + self._shocks(position, mask)[row, None] - math.log(VOCABULARY)
        rest = torch.log1p(-raised.exp().sum(1, keepdim=True)) - math.log(VOCABULARY - SHOCKED)
        yield torch.cat([raised, rest.expand(-1, VOCABULARY - SHOCKED)], 1)

    def _shocks(self, position: Tensor, mask: Tensor) -> Tensor:
        """c_l z(mask), (B,)."""
        key = (self.words[position] * mask).sum(1)
        for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):  # splitmix64's finaliser
            key = (key ^ ((key >> shift) & (2 ** (64 - shift) - 1))) * factor
        uniform = ((key >> 11) & (2**53 - 1)).double() * 2.0**-53
        normal = math.sqrt(2) * torch.erfinv((2 * uniform - 1).clamp(-0.997, 0.997))
        count = mask.sum(1).clamp_min(1)
        share = (self.length - count) / (count * max(self.length - 1, 1))
        return self.shock * (1 - share).clamp_min(0).sqrt() * normal


def case(seed: int, length: int = 8) -> Case:
    """Policy: effects N(0, 0.05^2) and a shock that outweighs them; reference: uniform. Responses over tokens 0, 1."""
    rng = np.random.default_rng(9000 + seed)
    effect = SPREAD * rng.standard_normal((length, SHOCKED))
    chosen, rejected = (tuple(rng.integers(SHOCKED, size=length).tolist()) for _ in range(2))
    while rejected == chosen:
        rejected = tuple(rng.integers(SHOCKED, size=length).tolist())
    pair = PreferencePair(Response((), chosen), Response((), rejected), f"shock-{seed}")
    spread = math.sqrt(np.mean([effect[np.arange(length), ids].var() for ids in (chosen, rejected)]))
    return Case(Shock(effect, spread, seed), Shock(np.zeros((length, SHOCKED)), 0.0, seed), pair)
