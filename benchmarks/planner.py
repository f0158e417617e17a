"""Whether the planner's 95% intervals hold the truth: many pilots on Markov chains of 64 tokens.

``python benchmarks/planner.py [--quick]``. The truth is the exact variance under plain weights; under weights that join
masks it is the spread of 2,000 estimates of every pair. For each size of pilot, it reports two candidates at a budget
of eight, the variance ratio of each weighting that joins masks, and the recommendation of each pilot: how often the
interval holds the truth, and the mean ratio of prediction to truth. A recommendation is chosen by a variance ratio that
the same pilot measured, so its prediction can be low.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import measuring
import numpy as np
import torch

from vrpo_theory import DESIGNS, MODELS, Budget, Scheme, replicate
from vrpo_theory.exact import gap_profile
from vrpo_theory.planning import Cost, Planner, predicted, run_pilot
from vrpo_theory.planning.planner import LEVEL
from vrpo_theory.planning.search_space import planned_weightings
from vrpo_theory.types import SIDES, Case, Estimate, Profile, Side
from vrpo_theory.weightings.base import Weighting
from vrpo_theory.weightings.plain import PLAIN

BETA, BUDGET, TOKENS = 0.2, 8, 2**18
PILOTS = {64: 200, 256: 50}
"""Number of pilots by their size in forward passes per response and model."""
REPEATS = 2000
Ratios = Mapping[Weighting, float]
"""Variance under a weighting over that under plain weights; below 1 the weighting helps."""
TRACKED = [Scheme(DESIGNS[name](), budget=Budget(BUDGET)) for name in ("iid_count", "power_strata")]


def pairs() -> list[Case]:
    """Four pairs of chains."""
    return [MODELS["markov"].case(seed, 64) for seed in range(4)]


def variance_ratio(cases: Sequence[Case], weighting: Weighting, repeats: int) -> float:
    """Variance under weights that join masks over that under plain weights, on the same masks."""
    spread = []
    for w in (weighting, PLAIN):
        design, budget = DESIGNS["power_strata"](), Budget(BUDGET)
        runs = [replicate(c, Scheme(design, w, budget), repeats, seed=7, batch_tokens=TOKENS)
                for c in cases]  # fmt: skip
        spread.append(sum(np.var([m.mean for m in run], ddof=1) for run in runs))
    return float(spread[0] / spread[1])


Prediction = tuple[str, Estimate, float]
"""What is predicted, the prediction, and the truth."""


def predictions(planner: Planner, known: Sequence[Mapping[Side, Profile]], ratios: Ratios) -> Iterator[Prediction]:
    """Predictions for the tracked candidates, the recommendation, and the variance ratios of joined weights."""
    for name, scheme in [*((str(s), s) for s in TRACKED), ("recommended", planner.recommend(BUDGET))]:
        truth = BETA**2 * float(np.mean(predicted(scheme, known))) * ratios[scheme.weighting]
        yield name, planner.mean_variance(scheme), truth
    for weighting, measured in planner.variance_ratios.items():
        yield f"{weighting.spec} over plain", measured, ratios[weighting]


def coverage(cases: Sequence[Case], size: int, pilots: int, ratios: Ratios) -> list[measuring.Row]:
    """One row for each predicted quantity, over ``pilots`` pilots."""
    known = [{s: gap_profile(c.pair.side(s), c.policy, c.reference) for s in SIDES} for c in cases]
    found: dict[str, list[tuple[float, bool]]] = {}
    for seed in range(pilots):
        planner = Planner(run_pilot(cases, size, seed=seed, batch_tokens=TOKENS), BETA, Cost())
        for name, estimate, truth in predictions(planner, known, ratios):
            low, high = planner.interval(estimate) or (0.0, 0.0)
            found.setdefault(name, []).append((estimate.value / truth, low < truth < high))
    return [{"pilot": size, "pilots": pilots, "of": name, "nominal": LEVEL, **_summary(rows)}
            for name, rows in found.items()]  # fmt: skip


def _summary(rows: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """How often the interval holds the truth, and the mean of prediction over truth, with standard errors."""
    ratio, inside = np.array(rows, dtype=float).T
    root = math.sqrt(len(rows))
    return {
        "measured": float(inside.mean()), "its stderr": float(inside.std()) / root,
        "prediction over truth": float(ratio.mean()), "stderr": float(ratio.std(ddof=1)) / root,
    }  # fmt: skip


def measure(quick: bool, pilots: Mapping[int, int] = PILOTS) -> Mapping[str, Sequence[measuring.Row]]:
    """All sizes of pilots, one after the other; ``quick`` only shows that the script runs."""
    torch.set_num_threads(1)
    cases, repeats = pairs(), 20 if quick else REPEATS
    tried = planned_weightings()[1:]
    ratios = {PLAIN: 1.0} | {w: variance_ratio(cases, w, repeats) for w in tried}
    rows = [row for size, number in pilots.items() for row in coverage(cases, size, 2 if quick else number, ratios)]
    joined = [
        {"weights": w.spec, "variance over plain": ratios[w], "estimates per pair": repeats}
        for w in planned_weightings()[1:]
    ]
    return {"coverage": rows, "variance ratios": joined}


if __name__ == "__main__":
    measuring.run("planner", __doc__, measure)
