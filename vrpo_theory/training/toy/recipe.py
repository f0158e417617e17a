"""Every choice that makes the toy models, and the two stages that it describes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from vrpo_theory.data import toy
from vrpo_theory.models.llada import LLaDA, LLaDAConfig
from vrpo_theory.preference import BETA
from vrpo_theory.schemes import VRPO
from vrpo_theory.training.initialization import initial
from vrpo_theory.training.loop import Schedule
from vrpo_theory.training.supervised import Supervised
from vrpo_theory.training.vrpo import Vrpo

CONFIG: dict[str, Any] = {
    "d_model": 64,
    "n_heads": 4,
    "n_layers": 2,
    "mlp_hidden_size": 160,
    "vocab_size": len(toy.SIGNS),
    "embedding_size": len(toy.SIGNS),
    "mask_token_id": toy.MASK,
    "eos_token_id": toy.EOS,
    "pad_token_id": toy.EOS,
    "max_sequence_length": 64,
    "rope_theta": 100.0,
    "init_std": 0.02,
}
"""A LLaDA of 97k parameters. Sequences are short, so rotations may be fast enough to tell neighbours apart well."""

SUPERVISED = Schedule(steps=5000, rate=3e-3, warmup=200)
PREFERENCE = Schedule(steps=100, rate=3e-5, warmup=10)


@dataclass(frozen=True)
class Recipe:
    """Options of both stages.

    Parameters
    ----------
    seed : int
        Of weights, masks and the supervised data; preference pairs come from the next seed.
    mistakes : float
        Share of mistaken responses in the supervised data.
    responses, pairs : int
        Batch sizes of the two stages.
    anchor : float
        Weight of the supervised term beside VRPO's loss.
    """

    seed: int = 0
    mistakes: float = 0.35
    responses: int = 128
    pairs: int = 64
    anchor: float = 0.0
    supervised: Schedule = SUPERVISED
    preference: Schedule = PREFERENCE

    def options(self) -> dict[str, Any]:
        """The recipe as JSON."""
        draws = {key: VRPO.document()[key] for key in ("design", "n_t", "n_yt", "shared")}
        return asdict(self) | {"model": CONFIG, "draws": draws, "beta": BETA}

    def start(self) -> LLaDA:
        """The model before training."""
        return initial(LLaDAConfig(**CONFIG), self.seed)

    def supervise(self) -> Supervised:
        """Objective of the first stage."""
        stream = partial(toy.supervised, self.seed, "train", self.mistakes)
        return Supervised(stream, self.responses, self.seed)

    def prefer(self, reference: LLaDA) -> Vrpo:
        """Objective of the second stage."""
        return Vrpo(
            reference, partial(toy.pair, self.seed + 1, "train"), self.pairs, seed=self.seed, anchor=self.anchor
        )


RECIPE = Recipe()
