"""Whether the planner's 95% intervals hold the truth: many pilots on Markov chains of 64 tokens.

``python benchmarks/planner.py [--quick]``. Truth: exact variances under plain weights; under weights that join masks
the spread of 2,000 estimates of every pair. Kept for each size of pilot, each candidate at a budget of eight, each gain
of joined weights, and whatever each pilot recommends: how often the interval holds the truth, and the mean ratio of
prediction to truth. A recommendation is picked for a gain that the same pilot measured, so its ratio can be low.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import measuring
import numpy as np
import torch

from vrpo_theory import DESIGNS, MODELS, Budget, Scheme, replicate
from vrpo_theory.exact import gap_profile
from vrpo_theory.planning import Cost, Planner, label, predicted, run_pilot
from vrpo_theory.planning.planner import LEVEL
from vrpo_theory.planning.search_space import planned_weightings
from vrpo_theory.types import SIDES, Case, Estimate, Profile, Side
from vrpo_theory.weightings.base import Weighting
from vrpo_theory.weightings.plain import PLAIN

BETA, BUDGET, TOKENS = 0.2, 8, 2**18
PILOTS = {64: 200, 256: 50}
"""How many pilots of each size."""
REPEATS = 2000
Gains = Mapping[Weighting, float]
"""Variance under each weights over plain weights'."""
TRACKED = [Scheme(DESIGNS[name](), budget=Budget(BUDGET)) for name in ("iid_count", "power_strata")]


def pairs() -> list[Case]:
    """Four pairs of chains."""
    return [MODELS["markov"].case(seed, 64) for seed in range(4)]


def gain(cases: Sequence[Case], weighting: Weighting, repeats: int) -> float:
    """Variance under joined weights over plain weights', on the same masks."""
    spread = []
    for w in (weighting, PLAIN):
        design, budget = DESIGNS["power_strata"](), Budget(BUDGET)
        runs = [replicate(c, Scheme(design, w, budget), repeats, seed=7, batch_tokens=TOKENS)
                for c in cases]  # fmt: skip
        spread.append(sum(np.var([m.mean for m in run], ddof=1) for run in runs))
    return float(spread[0] / spread[1])


Prediction = tuple[str, Estimate, float]
"""What is predicted, by how much, and the truth."""


def predictions(planner: Planner, known: Sequence[Mapping[Side, Profile]], gains: Gains) -> Iterator[Prediction]:
    """Of the tracked candidates, the recommendation, and the gains of joined weights."""
    for name, scheme in [*((label(s), s) for s in TRACKED), ("recommended", planner.recommend(BUDGET))]:
        truth = BETA**2 * float(np.mean(predicted(scheme, known))) * gains[scheme.weighting]
        yield name, planner.mean_variance(scheme), truth
    for weighting, measured in planner.gains.items():
        yield f"{weighting.spec} over plain", measured, gains[weighting]


def coverage(cases: Sequence[Case], size: int, pilots: int, gains: Gains) -> list[measuring.Row]:
    """One row for everything that is predicted, from so many pilots."""
    known = [{s: gap_profile(c.pair.side(s), c.policy, c.reference) for s in SIDES} for c in cases]
    found: dict[str, list[tuple[float, bool]]] = {}
    for seed in range(pilots):
        planner = Planner(run_pilot(cases, size, seed=seed, batch_tokens=TOKENS), BETA, Cost())
        for name, estimate, truth in predictions(planner, known, gains):
            low, high = planner.interval(estimate) or (0.0, 0.0)
            found.setdefault(name, []).append((estimate.value / truth, low < truth < high))
    return [{"pilot": size, "pilots": pilots, "of": name, "nominal": LEVEL, **_summary(rows)}
            for name, rows in found.items()]  # fmt: skip


def _summary(rows: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """Means over pilots with their standard errors."""
    ratio, inside = np.array(rows, dtype=float).T
    root = math.sqrt(len(rows))
    return {
        "measured": float(inside.mean()), "its stderr": float(inside.std()) / root,
        "prediction over truth": float(ratio.mean()), "stderr": float(ratio.std(ddof=1)) / root,
    }  # fmt: skip


def measure(quick: bool, pilots: Mapping[int, int] = PILOTS) -> Mapping[str, Sequence[measuring.Row]]:
    """Every size in turn; quick ones show that the script runs."""
    torch.set_num_threads(1)
    cases, repeats = pairs(), 20 if quick else REPEATS
    tried = planned_weightings()[1:]
    gains = {PLAIN: 1.0} | {w: gain(cases, w, repeats) for w in tried}
    rows = [row for size, number in pilots.items() for row in coverage(cases, size, 2 if quick else number, gains)]
    joined = [
        {"weights": w.spec, "variance over plain": gains[w], "estimates per pair": repeats}
        for w in planned_weightings()[1:]
    ]
    return {"coverage": rows, "gains": joined}


if __name__ == "__main__":
    measuring.run("planner", __doc__, measure)
