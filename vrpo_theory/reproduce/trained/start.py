"""Where losses start: the policy is the reference, and only masks that are not shared make a difference."""

from __future__ import annotations

from functools import cache

from vrpo_theory.numerics import total
from vrpo_theory.reproduce.trained.study import SAMPLED, Regime, TrainingStudy
from vrpo_theory.types import Case

MOST_PAIRS = 16
"""Of a seed's first batch, on which the prediction is computed."""


def excess(study: TrainingStudy, regime: Regime, arm: str) -> float:
    """Mean over the first pairs of all seeds of E loss - ln 2 at step 0, exactly."""
    from vrpo_theory import exact

    scheme = SAMPLED[arm]
    if scheme.coupling.shared:
        return 0.0
    answers = _first(regime.seeds, regime.batch)
    found = [exact.loss_moments(exact.score_law(answer, scheme, study.context.beta), 0.0).bias for answer in answers]
    return total(found) / len(found)


@cache
def _first(seeds: int, batch: int) -> list[Case]:
    """Tables of the first pairs, under the reference twice."""
    from vrpo_theory import exact
    from vrpo_theory.training.arms import pair
    from vrpo_theory.training.arms.arm import reference
    from vrpo_theory.training.arms.objectives import BATCH_TOKENS

    numbers = range(min(batch, MOST_PAIRS))
    cases = [Case(reference(), reference(), pair(seed, k)) for seed in range(seeds) for k in numbers]
    return exact.tabulate(cases, batch_tokens=BATCH_TOKENS)
