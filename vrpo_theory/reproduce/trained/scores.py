"""How often arms are right, whoever asked them: the toys of the study, or an evaluation harness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.reproduce.base import Context
from vrpo_theory.reproduce.trained import paired
from vrpo_theory.reproduce.trained.harness import Harness
from vrpo_theory.reproduce.trained.study import EXACT, START, Regime, TrainingStudy
from vrpo_theory.types import Estimate

ALL = "all"


class Scores(Protocol):
    """Shares of right answers of arms by name, in all tasks and in each."""

    @property
    def label(self) -> str:
        """Where the arms were trained."""
        ...

    @property
    def tasks(self) -> Sequence[str]: ...

    def has(self, arm: str) -> bool:
        """Whether the arm was trained there."""
        ...

    def accuracy(self, arm: str, task: str) -> Estimate: ...

    def difference(self, arm: str, base: str, task: str) -> Estimate: ...


@dataclass(frozen=True)
class Answers:
    """`Scores` of the study's toys, in one regime: pairs of arms share seeds and prompts."""

    study: TrainingStudy
    regime: Regime

    @property
    def label(self) -> str:
        return self.regime.name

    @property
    def tasks(self) -> Sequence[str]:
        from vrpo_theory.data import toy

        return list(toy.TASKS)

    def has(self, arm: str) -> bool:
        return arm not in EXACT or self.regime.exact > 0

    def accuracy(self, arm: str, task: str) -> Estimate:
        return paired.accuracy(self._right(arm, task))

    def difference(self, arm: str, base: str, task: str) -> Estimate:
        ours, theirs = (self._right(name, task) for name in (arm, base))
        seeds = {len(x) for name, x in ((arm, ours), (base, theirs)) if name != START} or {1}
        ours, theirs = (np.broadcast_to(x, (min(seeds), x.shape[1])) if len(x) == 1 else x[: min(seeds)]
                        for x in (ours, theirs))  # fmt: skip
        return paired.difference(ours, theirs)

    def _right(self, arm: str, task: str) -> NDArray[np.bool_]:
        """(seeds, prompts); of the start, which has no seeds, one row."""
        found = _answered(self.study, self.regime, arm)
        number = self.study.size.test
        places = range(len(self.tasks)) if task == ALL else [list(self.tasks).index(task)]
        return np.concatenate([found[:, k * number : (k + 1) * number] for k in places], axis=1)


@cache
def _answered(study: TrainingStudy, regime: Regime, arm: str) -> NDArray[np.bool_]:
    return study.right([] if arm == START else study.arms(regime, arm))


def sources(context: Context) -> list[Scores]:
    """Where the arms of a context were trained: the study's regimes, or elsewhere."""
    if context.own.scale != "toy":
        return [Harness(context.own.runs, context.own.scale)]
    study = TrainingStudy(context)
    return [Answers(study, regime) for regime in study.size.regimes]
