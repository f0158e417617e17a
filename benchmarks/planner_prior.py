"""What the planner believes of candidates before a pilot: learnt on the toys of this package.

    python benchmarks/planner_prior.py

writes ``vrpo_theory/planning/prior.json``. True log variance ratios to VRPO are exact where profiles give them, else
those of the exhibit "designs" (``figures/designs.json``): geometric means over a toy's responses. Measured ones are the
planner's own, from pilots of 256 masks on pairs of the same toys. For each candidate and budget: mean and standard
deviation of the true ones over toys, and the root mean square of measured minus true. Run it again when candidates,
the model of token terms, or the exhibit's cells change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from vrpo_theory.planning import Cost, Planner, candidates, predicted, run_pilot
from vrpo_theory.planning.prior import FILE, members
from vrpo_theory.planning.search_space import follows_from_profiles
from vrpo_theory.preference import BETA
from vrpo_theory.reproduce.base import Context
from vrpo_theory.reproduce.exhibits.designs.lineup import entrants
from vrpo_theory.reproduce.exhibits.designs.race import Race
from vrpo_theory.reproduce.options import Repeated
from vrpo_theory.reproduce.toys import toys
from vrpo_theory.schemes import Scheme

CELLS = Path(__file__).parents[1] / "figures" / "designs.json"
MODELS = ("rough table", "mid table", "markov", "toy LLaDA", "markov, L = 64", "markov, L = 256", "shock, L = 64")
SEEDS, PILOT, TOKENS = 3, 256, 2**18
LEAST = {"spread": 0.1, "error": 0.05}
"""Least deviations: toys are few."""
Ratios = Mapping[str, float]


def sampled_ratios() -> dict[tuple[str, int], Ratios]:
    """Log ratios by toy and budget, then by the members of a scheme, from the exhibit's cells."""
    names = {name: members(entrant.scheme(8)) for name, entrant in entrants().items() if "oracle" not in name}
    found: dict[tuple[str, int], dict[str, float]] = {}
    for cell in json.loads(CELLS.read_text(encoding="utf-8"))["cells"]:
        column = cell["column"]
        if cell["row"] == "gain" and cell["value"] and column["design"] in names and column["model"] in MODELS:
            rows = found.setdefault((column["model"], column["n"]), {})
            rows.setdefault(names[column["design"]], -float(np.log(cell["value"])))
    return found


def tried(n: int) -> list[Scheme]:
    """Every candidate that policy and reference share masks in, one mask a timestep, but VRPO."""
    return [
        s for s in candidates(n, Cost()) if s.coupling.shared and s.budget.n_yt == 1 and s != Scheme(budget=s.budget)
    ]


def pairs(model: str, n: int, sampled: Ratios) -> Iterator[tuple[str, float, float]]:
    """Of every candidate whose truth is known on a toy: members, true and measured log ratio."""
    (cases,) = toys(Context(limit=SEEDS), (model,)).values()
    race = Race(cases, Context(own=Repeated()))
    planners = [Planner(run_pilot([case], PILOT, batch_tokens=TOKENS), BETA, Cost()) for case in race.answers]
    for scheme in tried(n):
        known = [profile for profile in race.profiles if profile is not None]
        if known and follows_from_profiles(scheme):
            both = (predicted(s, known) for s in (scheme, Scheme(budget=scheme.budget)))
            true = float(np.mean(np.log(np.divide(*map(np.array, both)))))
        elif members(scheme) in sampled:
            true = sampled[members(scheme)]
        else:
            continue
        yield members(scheme), true, float(np.mean([planner.measured(scheme) for planner in planners]))


def learnt() -> dict[str, dict[int, dict[str, float]]]:
    """The file's content."""
    rows: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for (model, n), sampled in sampled_ratios().items():
        for name, true, measured in pairs(model, n, sampled):
            rows.setdefault((name, n), []).append((true, measured))
    out: dict[str, dict[int, dict[str, float]]] = {}
    for (name, n), found in sorted(rows.items()):
        out.setdefault(name, {})[n] = _belief(np.array(found))
    return out


def _belief(found: np.ndarray) -> dict[str, float]:
    truth, error = found[:, 0], found[:, 1] - found[:, 0]
    numbers = {"mean": truth.mean(), "spread": truth.std(ddof=1), "error": np.sqrt(np.mean(error**2))}
    return {key: round(max(float(x), LEAST.get(key, -np.inf)), 3) for key, x in numbers.items()}


if __name__ == "__main__":
    FILE.write_text(json.dumps(learnt(), indent=1) + "\n", encoding="utf-8")
    print(f"{FILE} written")
