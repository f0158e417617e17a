"""Whether the planner's 95% intervals hold the truth, and what its choice costs where nothing was tuned.

``python benchmarks/planner.py [--quick]``. Coverage: many pilots on four Markov chains of 64 tokens. The truth is exact
under plain weights and independent masks; of other candidates it is the spread of many estimates of every pair. For
each size of pilot, it reports four candidates at a budget of eight, and the recommendation of each pilot: how often the
interval holds the truth, and the mean ratio of prediction to truth. Regret: five pilots of 64 masks on each of 20 fresh
toys, a single pair each: the variance of what is recommended over that of the best candidate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import measuring
import numpy as np
import torch
from fresh_toys import fresh_toy, margin_variances, regrets

from vrpo_theory import MODELS, Scheme
from vrpo_theory.planning import Cost, Planner, run_pilot
from vrpo_theory.planning.planner import LEVEL
from vrpo_theory.schemes import default_scheme
from vrpo_theory.types import Case, Estimate

BETA, BUDGET, TOKENS = 0.2, 8, 2**18
PILOTS = {64: 200, 256: 50}
"""Number of pilots by their size in forward passes per response and model."""
REPEATS, TOYS = 500, 20
TRACKED = [
    Scheme(),
    Scheme.parse("power_strata(), n_t=8"),
    default_scheme(BUDGET),
    Scheme.parse("balanced_descending(), context(), n_t=8"),
]


def pairs() -> list[Case]:
    """Four pairs of chains."""
    return [MODELS["markov"].case(seed, 64) for seed in range(4)]


class Truth:
    """Mean variance of the pairs' scores under any scheme, each worked out once."""

    def __init__(self, cases: Sequence[Case], repeats: int) -> None:
        self.cases, self.repeats = cases, repeats
        self._known: dict[Scheme, float] = {}

    def of(self, scheme: Scheme) -> float:
        """In nats squared."""
        if scheme not in self._known:
            found = [margin_variances(case, [scheme], self.repeats)[scheme] for case in self.cases]
            self._known[scheme] = BETA**2 * float(np.mean(found))
        return self._known[scheme]


def predictions(planner: Planner, truth: Truth) -> Iterator[tuple[str, Estimate, float]]:
    """What is predicted, the prediction, and the truth: of the tracked candidates and the recommendation."""
    for name, scheme in [*((str(s), s) for s in TRACKED), ("recommended", planner.recommend(BUDGET))]:
        yield name, planner.mean_variance(scheme), truth.of(scheme)


def coverage(truth: Truth, size: int, pilots: int) -> list[measuring.Row]:
    """One row for each predicted quantity, over ``pilots`` pilots."""
    found: dict[str, list[tuple[float, bool]]] = {}
    for seed in range(pilots):
        planner = Planner(run_pilot(truth.cases, size, seed=seed, batch_tokens=TOKENS), BETA, Cost())
        for name, estimate, true in predictions(planner, truth):
            low, high = planner.interval(estimate) or (0.0, 0.0)
            found.setdefault(name, []).append((estimate.value / true, low < true < high))
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


def fresh(toys: int, pilots: int, repeats: int) -> list[measuring.Row]:
    """Regret over all pilots of all toys."""
    found = np.array([row for seed in range(toys) for row in regrets(fresh_toy(seed), pilots, repeats)])
    over_best, over_vrpo = found.T
    return [
        {"pilots": len(found), "within 5% of the best": float(np.mean(over_best <= 1.05)),
         "mean regret": float(np.mean(over_best - 1)), "worse than VRPO": float(np.mean(over_vrpo > 1))}
    ]  # fmt: skip


def measure(quick: bool, pilots: Mapping[int, int] = PILOTS) -> Mapping[str, Sequence[measuring.Row]]:
    """All sizes of pilots, one after the other; ``quick`` only shows that the script runs."""
    torch.set_num_threads(1)
    truth = Truth(pairs(), 20 if quick else REPEATS)
    rows = [row for size, number in pilots.items() for row in coverage(truth, size, 2 if quick else number)]
    return {"coverage": rows, "fresh toys": fresh(1, 1, 20) if quick else fresh(TOYS, 5, REPEATS)}


if __name__ == "__main__":
    measuring.run("planner", __doc__, measure)
