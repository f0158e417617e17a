"""Whether the planner's 95% intervals hold the truth: many pilots on Markov chains of 64 tokens.

``python benchmarks/planner.py [--quick]``. Truth: exact variances under plain weights; under weights that join masks
the spread of 2,000 estimates of every pair. Kept for each size of pilot and each candidate at a budget of eight, and
for whatever each pilot recommends: how often the interval holds the truth, and the mean ratio of prediction to truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import measuring
import numpy as np
import torch

from vrpo_theory import DESIGNS, MODELS, Budget, Coupling, replicate
from vrpo_theory.exact import gap_profile
from vrpo_theory.planning import Candidate, Cost, Planner, predicted, run_pilot
from vrpo_theory.planning.candidates import TRIED
from vrpo_theory.types import SIDES, Case
from vrpo_theory.weightings.base import Weighting
from vrpo_theory.weightings.plain import PLAIN

BETA, BUDGET, TOKENS = 0.2, 8, 2**18
TRACKED = [Candidate(DESIGNS[name](), PLAIN, Budget(BUDGET), Coupling()) for name in ("iid_count", "power_strata")]


def pairs() -> list[Case]:
    """Four pairs of chains."""
    return [MODELS["markov"].case(seed, 64) for seed in range(4)]


def gain(cases: Sequence[Case], weighting: Weighting, repeats: int) -> float:
    """Variance under joined weights over plain weights', on the same masks."""
    spread = []
    for w in (weighting, PLAIN):
        design, budget = DESIGNS["power_strata"](), Budget(BUDGET)
        runs = [replicate(c, design, budget, Coupling(), repeats, seed=7, weighting=w, batch_tokens=TOKENS)
                for c in cases]  # fmt: skip
        spread.append(sum(np.var([m.mean for m in run], ddof=1) for run in runs))
    return float(spread[0] / spread[1])


def coverage(cases: Sequence[Case], size: int, pilots: int, gains: Mapping[Weighting, float]) -> list[measuring.Row]:
    """One row for each tracked candidate, and one for the recommendations."""
    known = [{s: gap_profile(c.pair.side(s), c.policy, c.reference) for s in SIDES} for c in cases]
    found: dict[str, list[tuple[float, bool]]] = {}
    for seed in range(pilots):
        planner = Planner(run_pilot(cases, size, seed=seed, batch_tokens=TOKENS), BETA, Cost())
        for name, candidate in [*((c.name, c) for c in TRACKED), ("recommended", planner.recommend(BUDGET))]:
            truth = BETA**2 * float(np.mean(predicted(candidate, known))) * gains[candidate.weighting]
            estimate = planner.mean_variance(candidate)
            low, high = planner.interval(estimate) or (0.0, 0.0)
            found.setdefault(name, []).append((estimate.value / truth, low < truth < high))
    return [
        {"pilot": size, "pilots": pilots, "candidate": name, "nominal": 0.95,
         "measured": float(np.mean([inside for _, inside in rows])),
         "prediction over truth": float(np.mean([ratio for ratio, _ in rows]))}
        for name, rows in found.items()
    ]  # fmt: skip


def measure(quick: bool, sizes: Sequence[int] = (64, 256), pilots: int = 200) -> Mapping[str, Sequence[measuring.Row]]:
    """Every size in turn; quick ones show that the script runs."""
    torch.set_num_threads(1)
    cases = pairs()
    gains = {PLAIN: 1.0} | {w: gain(cases, w, 20 if quick else 2000) for w in TRIED}
    rows = [row for n in sizes for row in coverage(cases, n, 2 if quick else pilots, gains)]
    return {"coverage": rows}


if __name__ == "__main__":
    measuring.run("planner", __doc__, measure)
