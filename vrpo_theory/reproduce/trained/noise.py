"""Exact noise at saved weights: what masks and what pairs do to a gradient, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.files import write_atomically
from vrpo_theory.models.base import trainable
from vrpo_theory.randomness import content_key
from vrpo_theory.reproduce.trained.study import TrainingStudy
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import Case

if TYPE_CHECKING:
    from vrpo_theory.exact import GradientGram
    from vrpo_theory.training.arms import TrainedArm

ARM = "VRPO"
"""Whose weights are looked at, on its first seed."""
PARAMETERS = "up-proj"
"""Whose gradient is looked at: the paper's proxy (D.5), the up-projection of the first block."""


@dataclass(frozen=True, eq=False)
class Noise:
    """A held-out pair at some weights.

    Parameters
    ----------
    answers : Case
        With tables in the models' place.
    gram : GradientGram
    gradient : (D,) float
        Of the loss of the exact score.
    """

    answers: Case
    gram: GradientGram
    gradient: NDArray[np.float64]

    def score_variance(self, scheme: Scheme, beta: float) -> float:
        from vrpo_theory import exact

        return beta**2 * exact.margin_variance(exact.profiles(self.answers), scheme)

    def loss_variance(self, scheme: Scheme, beta: float) -> float:
        from vrpo_theory import exact

        law = exact.score_law(self.answers, scheme, beta)
        return exact.loss_moments(law, self.score(beta)).variance

    def gradient_variance(self, scheme: Scheme, beta: float) -> float:
        """Trace of the covariance that masks give the gradient of the pair's loss."""
        from vrpo_theory import exact

        return exact.loss_gradient_moments(self.answers, self.gram, scheme, beta).variance

    def score(self, beta: float) -> float:
        """The exact one."""
        from vrpo_theory import exact

        return beta * exact.true_margin(self.answers)


def looked_at(study: TrainingStudy) -> tuple[TrainedArm, list[int]]:
    """The run whose weights are looked at, VRPO's first at the paper's batch size, and after which steps."""
    (run,) = study.runs(study.arms(study.size.regimes[-1], ARM)[:1])
    return run, run.arm.marks[::2]


def noises(study: TrainingStudy, run: TrainedArm, step: int) -> list[Noise]:
    """The study's held-out pairs at a run's weights after so many steps; gradients are kept beside the weights."""
    from vrpo_theory import exact
    from vrpo_theory.data import toy
    from vrpo_theory.training.arms.arm import reference
    from vrpo_theory.training.arms.objectives import BATCH_TOKENS
    from vrpo_theory.training.arms.questions import LENGTH

    policy = run.model(step).requires_grad_(True)
    pairs = [toy.question(0, "validation", k, length=LENGTH).pair(f"validation-{k}") for k in range(study.size.pairs)]
    cases = [Case(policy, reference(), pair) for pair in pairs]
    tabulated = exact.tabulate(cases, batch_tokens=BATCH_TOKENS)
    kept = run.folder / f"gradients-{step}"
    shown = study.context.track(list(zip(cases, tabulated, strict=True)), f"gradients after {step} steps")
    return [_noise(case, answers, kept) for case, answers in shown]


def _noise(case: Case, answers: Case, kept: Path) -> Noise:
    """Read back, or computed and kept."""
    from safetensors.numpy import load_file, save

    from vrpo_theory.exact import GradientGram, gradient_grams

    path = kept / f"{content_key(case.pair.chosen.prompt).hex()[:16]}-{PARAMETERS}.safetensors"
    if not path.exists():
        (gram,) = gradient_grams(case, (PARAMETERS,))
        # safetensors writes the memory as it lies.
        write_atomically(path, save({"gram": np.ascontiguousarray(gram.gram), "gradient": _gradient(case)}))
    found = load_file(path)
    return Noise(answers, GradientGram(case.pair, found["gram"]), found["gradient"])


def _gradient(case: Case) -> NDArray[np.float64]:
    """Of the loss of the exact score, in one vector."""
    import torch

    from vrpo_theory.models.base import differentiating, select_parameters
    from vrpo_theory.training.arms.objectives import Enumerated

    chosen = select_parameters(case.policy, PARAMETERS)
    with differentiating(trainable(case.policy), chosen):
        Enumerated("elbo", case.reference, lambda _: case.pair, 1).backward(case.policy, 0)
        parts = [p.grad.flatten() for p in chosen if p.grad is not None]
    found: NDArray[np.float64] = torch.cat(parts).double().numpy()
    return found


def between_pairs(found: Sequence[Noise]) -> float:
    """Trace of the covariance of the exact gradient over pairs: the noise that no number of masks removes."""
    gradients = np.array([one.gradient for one in found])
    return float(gradients.var(axis=0, ddof=1).sum())
