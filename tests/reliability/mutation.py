"""A script: a seeded sample of mutants of functions, each under the narrow tests of its file; how many are killed.

``python -m tests.reliability.mutation OUT.json``. A mutant is killed when a test fails, crashes or runs beyond its
limit. Mutants are made in place, in forks of one process that has collected all tests (`inplace`), so one costs what
its tests cost. Of the narrow tests those run first whose id has a name from the mutant's file; all of them take at most
a given processor time. A repeated command goes on where it stopped, and with ``--again`` tries survivors anew.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

import pytest
from scipy.stats import binomtest

from .inplace import InPlace, Outcome
from .mutants import ROOT, Mutant, mutants

HOMES = {
    "designs": "contracts/test_designs core/test_score_law core/test_sampling",
    "weightings": "core/test_two_way core/test_context contracts/test_designs core/test_sampling",
    "statements": "statements/test_claims statements/test_every_statement",
    "models": "contracts/test_models models/test_llada_predictor models/test_llada_golden models/test_llada_options "
    "models/test_llada_checkpoint models/test_decoders_golden models/test_decoders_checkpoint models/test_masked_lm "
    "models/test_llada_loading core/test_blocks",
    "exact": "core/test_exact core/test_gaps core/test_score_law core/test_loss_estimators core/test_ratios "
    "core/test_gradient_moments core/test_blocks core/test_limits contracts/test_profiles contracts/test_designs",
    "sampling": "core/test_sampling sampling/test_pool core/test_blocks",
    "planning": "planning/test_planning planning/test_own_run planning/test_zero_variance",
    "elbo": "core/test_elbo core/test_exact sampling/test_recorded core/test_preference",
    "preference": "core/test_preference core/test_sampling training/test_dpo_loss training/test_objectives",
}
"""Narrow tests of every module, in order."""
QUICK = "not soak and not statistical"


class Ledger:
    """What became of every mutant so far, kept as JSON."""

    def __init__(self, path: Path, sample: list[Mutant], **about: int) -> None:
        self.path, self.sample, self.about = path, sample, about
        rows = json.loads(path.read_text())["mutants"] if path.exists() else []
        self.killed_by = {row["mutant"]: row["killed_by"] for row in rows}

    def enter(self, mutant: Mutant, outcome: Outcome) -> None:
        self.killed_by[str(mutant)] = outcome.failed
        rows = [
            {"mutant": str(m), "killed_by": self.killed_by[str(m)]} for m in self.sample if str(m) in self.killed_by
        ]
        document = {**self.about, **summary(rows), "mutants": rows}
        self.path.write_text(json.dumps(document, indent=1) + "\n")


def summary(rows: list[dict]) -> dict:
    killed = sum(row["killed_by"] is not None for row in rows)
    low, high = binomtest(killed, len(rows)).proportion_ci(0.95, "wilson")
    return {"tried": len(rows), "killed": killed, "wilson_95": [round(low, 4), round(high, 4)]}


def every_mutant() -> list[Mutant]:
    """All mutants of the functions of these modules."""
    folders = [ROOT / "vrpo_theory" / name for name in HOMES]
    files = [file for f in folders for file in (sorted(f.rglob("*.py")) if f.is_dir() else [f.with_suffix(".py")])]
    return [mutant for file in files for mutant in mutants(file) if mutant.within_function]


def home(mutant: Mutant) -> list[str]:
    """Files of the narrow tests of a mutant's module."""
    return [f"tests/{name}.py" for name in HOMES[Path(mutant.path).parts[1].removesuffix(".py")].split()]


def narrow_tests(mutant: Mutant, items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests of a mutant's module, those first that name something of its file; at random within each file."""
    words = set(re.findall(r"\w{4,}", (ROOT / mutant.path).read_text())) | {Path(mutant.path).stem}
    files, rng = home(mutant), random.Random(str(mutant))
    mine = [item for item in items if item.nodeid.partition("::")[0] in files]
    named = {item: bool(words & set(re.findall(r"\w{4,}", item.nodeid.partition("[")[2]))) for item in mine}
    return sorted(mine, key=lambda i: (not named[i], files.index(i.nodeid.partition("::")[0]), rng.random()))


def main(given: argparse.Namespace) -> None:
    population = every_mutant()
    sample = random.Random(given.seed).sample(population, given.count)
    ledger = Ledger(given.out, sample, seed=given.seed, population=len(population), cpu_seconds=given.seconds)
    known = {name for name, killed_by in ledger.killed_by.items() if killed_by is not None or not given.again}
    left = [mutant for mutant in sample if str(mutant) not in known]
    tests = sorted({path for mutant in left for path in home(mutant)})
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib", "--tb=no", "-m", QUICK]
    pytest.main([*options, *tests], plugins=[InPlace(left, narrow_tests, given.seconds, ledger.enter)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=20, help="processor time of the tests of one mutant")
    parser.add_argument("--again", action="store_true")
    main(parser.parse_args())
