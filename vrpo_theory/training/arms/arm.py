"""One arm: all that a run depends on, and the objective that it minimises."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import torch

from vrpo_theory.models import MODELS
from vrpo_theory.models.llada import LLaDA
from vrpo_theory.preference import BETA
from vrpo_theory.schemes import VRPO, Scheme
from vrpo_theory.training.arms.objectives import Enumerated, Sampled
from vrpo_theory.training.arms.questions import pair
from vrpo_theory.training.loop import Objective, Schedule
from vrpo_theory.training.objective import PairObjective
from vrpo_theory.training.supervised import Supervised
from vrpo_theory.training.toy import package

Score = Literal["sampled", "elbo", "likelihood", "none"]
"""Where a pair's score comes from: masks, every mask, the exact likelihood; none: the supervised loss alone."""
NOT_TRAINING = ("training/__init__.py",)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A run of training from the packaged reference.

    Parameters
    ----------
    schedule : Schedule
    every : int
        Weights are kept after every so many steps, the last included.
    batch : int
        Pairs per step.
    score : {"sampled", "elbo", "likelihood", "none"}
    scheme : Scheme
        Of sampled scores.
    anchor : float
        Weight of the supervised term of sampled arms.
    mask_seed, data_seed : int
        Of the masks, and of the pairs and their order.
    """

    schedule: Schedule
    every: int
    batch: int
    score: Score = "sampled"
    scheme: Scheme = VRPO
    anchor: float = 0.0
    mask_seed: int = 0
    data_seed: int = 0

    @property
    def marks(self) -> list[int]:
        """Steps after which weights are kept; 0 is the start."""
        return [*range(0, self.schedule.steps, self.every), self.schedule.steps]

    def document(self) -> dict[str, Any]:
        """As JSON; what an arm does not use is left out, so that it cannot tell runs apart."""
        told = {name: getattr(self, name) for name in ("score", "batch", "every", "mask_seed", "data_seed")}
        sampled = {"scheme": self.scheme.document(), "anchor": self.anchor} if self.score == "sampled" else {}
        if self.score in ("elbo", "likelihood"):
            del told["mask_seed"]
        return told | sampled | {"schedule": vars(self.schedule), "beta": BETA}

    @property
    def key(self) -> str:
        """Hash of the arm, of the start's weights, and of the code and library that train it."""
        made_with = {"start": reference().fingerprint, "sources": _sources(), "torch": torch.__version__}
        return hashlib.sha256(json.dumps(self.document() | made_with, sort_keys=True).encode()).hexdigest()[:24]

    def objective(self) -> Objective:
        """What the run minimises."""
        stream = partial(pair, self.data_seed)
        if self.score == "none":
            return Supervised(lambda number: stream(number).chosen, self.batch, self.mask_seed)
        if self.score == "sampled":
            sampled = PairObjective(scheme=self.scheme, anchor=self.anchor, seed=self.mask_seed)
            return Sampled(sampled, reference(), stream, self.batch)
        return Enumerated(self.score, reference(), stream, self.batch)

    def seeded(self, mask_seed: int, data_seed: int) -> Arm:
        """The same arm on other draws."""
        return replace(self, mask_seed=mask_seed, data_seed=data_seed)


@cache
def reference() -> LLaDA:
    """The packaged reference, where every arm starts; frozen."""
    model: LLaDA = MODELS["toy_llada"].case(0).reference
    model.requires_grad_(False)
    return model


@cache
def _sources() -> str:
    """Hash of every file that an arm's weights depend on: the packaged model's, less what only writes responses."""
    own = [Path(__file__).parent / name for name in ("arm.py", "questions.py", "objectives.py")]
    found = {name: code for name, code in package.sources().items() if name not in NOT_TRAINING}
    found |= {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in own}
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
