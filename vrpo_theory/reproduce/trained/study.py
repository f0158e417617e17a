"""The study: which arms there are, on which seeds, and what they are asked; fixed before the runs.

The rate was chosen beforehand on the validation prompts, of 1e-4 and 2e-4, for VRPO at batch 8. That trial also gave
the size: its seeds differed in the difference of two arms by a standard deviation of 0.02, so that eight of them see
one of 0.025 with a probability of 80%. Three seeds at batch 64, and one without sampling, keep the whole far below
forty minutes on two processors; every difference says what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.couplings import Coupling
from vrpo_theory.reproduce.base import Context
from vrpo_theory.reproduce.paper import configurations
from vrpo_theory.reproduce.report import column_label, configuration
from vrpo_theory.schemes import VRPO, Scheme
from vrpo_theory.types import Budget

if TYPE_CHECKING:
    from vrpo_theory.data.toy import Question
    from vrpo_theory.training.arms import Arm, TrainedArm

NAIVE = Scheme(budget=Budget(1), coupling=Coupling(shared=False))
SAMPLED = {column_label(configuration(scheme)): scheme for scheme in (NAIVE, *configurations())}
"""Arms of sampled scores by the paper's configurations, as "4x1"; naive DPO among them."""
NAMES = {"naive DPO": column_label(configuration(NAIVE)), "VRPO": column_label(configuration(VRPO))}
EXACT = {"noise-free": "elbo", "exact likelihood": "likelihood"}
CONTROL, START = "SFT only", "reference"


@dataclass(frozen=True)
class Regime:
    """How arms are trained.

    Parameters
    ----------
    name : str
    batch : int
    anchor : float
        Weight of the supervised term.
    seeds : int
        Seeds of masks and data together, from 0.
    exact : int
        Seeds of the arms without sampling, the first of these; 0 where they would take too long.
    """

    name: str
    batch: int
    anchor: float
    seeds: int
    exact: int = 0


@dataclass(frozen=True)
class Size:
    """Of the whole study.

    Parameters
    ----------
    regimes : tuple of Regime
    steps, every : int
        Steps of a run, and after how many of them weights are kept.
    crossed : (int, int)
        Mask seeds and data seeds of `table5`, each of these with each of those.
    validation, test : int
        Prompts a task.
    pairs : int
        Held-out pairs on which variances are exact.
    """

    regimes: tuple[Regime, ...]
    steps: int
    every: int
    crossed: tuple[int, int]
    validation: int
    test: int
    pairs: int

    def exam(self, split: str) -> tuple[Question, ...]:
        """The prompts of a split."""
        from vrpo_theory.training.arms import exam

        return exam(split, {"validation": self.validation, "test": self.test}[split])


FULL = Size(
    (Regime("batch 8, noise-limited", 8, 0.0, 8, 1), Regime("batch 64, the paper's", 64, 0.05, 3)),
    steps=16, every=4, crossed=(10, 3), validation=40, test=200, pairs=8,
)  # fmt: skip
QUICK = Size(
    (Regime("batch 2, noise-limited", 2, 0.0, 2, 1), Regime("batch 3, the paper's", 3, 0.05, 1)),
    steps=2, every=1, crossed=(2, 2), validation=2, test=6, pairs=2,
)  # fmt: skip
RATE, WARMUP, BETAS, DECAY = 1e-4, 2, (0.9, 0.95), 0.01
"""Of AdamW; but for the rate, and a warm-up of 2 for 15 steps, the paper's (D.3)."""


@dataclass(frozen=True, eq=False)
class TrainingStudy:
    """The arms of a context, trained when asked for.

    Parameters
    ----------
    context : Context
        With `Training` as its own options.
    """

    context: Context

    @property
    def size(self) -> Size:
        return QUICK if self.context.own.quick else FULL

    @property
    def limited(self) -> Regime:
        """The regime in which masks' noise matters most."""
        return self.size.regimes[0]

    def arm(self, regime: Regime, name: str) -> Arm:
        """An arm by its name, on the first seeds."""
        from vrpo_theory.training import Schedule
        from vrpo_theory.training.arms import Arm

        schedule = Schedule(self.size.steps, RATE, WARMUP, DECAY, BETAS)
        told: dict[str, Any] = {"schedule": schedule, "every": self.size.every, "batch": regime.batch}
        if name == CONTROL:
            return Arm(score="none", **told)
        if name in EXACT:
            return Arm(score=EXACT[name], **told)  # type: ignore[arg-type]
        return Arm(scheme=SAMPLED[NAMES.get(name, name)], anchor=regime.anchor, **told)

    def arms(self, regime: Regime, name: str) -> list[Arm]:
        """An arm on every seed that the regime has for it."""
        seeds = regime.exact if name in EXACT else regime.seeds
        return [self.arm(regime, name).seeded(seed, seed) for seed in range(seeds)]

    def grid(self, regime: Regime, name: str) -> list[list[Arm]]:
        """An arm on crossed seeds: a row for every data seed, a column for every mask seed."""
        masks, data = self.size.crossed
        return [[self.arm(regime, name).seeded(m, d) for m in range(masks)] for d in range(data)]

    def runs(self, arms: Sequence[Arm]) -> list[TrainedArm]:
        """Their runs, examined."""
        from vrpo_theory.training.arms import finished, prepare

        folder, then = self.context.own.runs, partial(examine, size=self.size)
        with self.context.bar("training", len(arms)) as progress:
            for _ in prepare(arms, folder, then, parallel=not self.context.own.quick):
                progress(1)
        return [finished(arm, folder) for arm in arms]

    def right(
        self, arms: Sequence[Arm], sampler: str = "low_confidence", room: int = 0, split: str = "test"
    ) -> NDArray[np.bool_]:
        """Right answers at each run's best step, (runs, prompts); no arm at all is the start.

        Parameters
        ----------
        sampler : str
            As `vrpo_theory.generation.generate` takes it.
        room : int
            Tokens that a canvas has beyond the answer's.
        split : {"validation", "test"}
        """
        asked = self.exam(split)
        if not arms:
            return _of_the_start(asked, sampler, room)[None]
        return np.array([run.right(asked, self.best(run), sampler, room) for run in self.runs(arms)])

    def exam(self, split: str) -> tuple[Question, ...]:
        """The prompts of a split."""
        return self.size.exam(split)

    def best(self, run: TrainedArm) -> int:
        """The step after which a run answers the validation prompts best."""
        return run.best(self.exam("validation"))


@cache
def _of_the_start(asked: tuple[Question, ...], sampler: str, room: int) -> NDArray[np.bool_]:
    from vrpo_theory.training.arms.arm import reference
    from vrpo_theory.training.arms.runs import right

    return right(reference(), asked, sampler, room)


def examine(run: TrainedArm, size: Size) -> None:
    """Answer what the exhibits will ask, where the run was made."""
    run.right(size.exam("test"), run.best(size.exam("validation")))
