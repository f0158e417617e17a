"""A script: RESULTS.md and the README's section "What you can rely on", from what runs left in ``results/``.

``python -m tests.reliability.report``; with ``--check`` it only says, by exit code 3, whether they are up to date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .failures import FAILURES, Failure

HERE = Path(__file__).parent
RESULTS, README = HERE / "RESULTS.md", HERE.parents[1] / "README.md"
BEGIN, END = "<!-- tests/reliability/report.py: begin -->", "<!-- tests/reliability/report.py: end -->"


def kept(name: str) -> Any:
    """What a run left; None if it was not made."""
    path = HERE / f"results/{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def figures() -> list[tuple[str, str]]:
    """What was tried, and what came of it; runs that were not made are left out."""
    found = []
    if kills := kept("kills"):
        rows = kills["points"]
        hit, same = sum(row["killed"] for row in rows), sum(row["same"] for row in rows)
        writes = sum(row["killed"] and row["point"].startswith("write") for row in rows)
        commands = ", ".join(sorted({row["command"] for row in rows}))
        found.append((
            f"kill -9 at {len(rows)} random points of {commands}",
            f"{hit} runs killed, {writes} of them within a write; {same} of {len(rows)} resumed to the same bytes",
        ))  # fmt: skip
    if tried := kept("tried"):
        found += [(name, f"{number:,}") for name, number in tried.items()]
    for planted, words in ((False, "slips that bring a known failure back"), (True, "planted discrepancies")):
        rows = [row for row in kept("slips") or () if row["planted"] == planted]
        if rows:
            found.append((words, f"{sum(bool(row['killed_by']) for row in rows)} of {len(rows)} fail a test"))
    if mutation := kept("mutation"):
        low, high = mutation["wilson_95"]
        found.append((
            f"mutants of functions, {mutation['tried']} sampled of {mutation['population']} (seed {mutation['seed']})",
            f"{mutation['killed']} killed, {mutation['killed'] / mutation['tried']:.1%}; 95% Wilson interval "
            f"{low:.1%} to {high:.1%}; {mutation['cpu_seconds']} s of tests each",
        ))  # fmt: skip
    if ledger := kept("ledger"):
        found.append((
            f"false alarms of the whole suite: {ledger['statistical']} of {ledger['tests']:,} tests can have one",
            f"at most {ledger['rate']:.1e} a run",
        ))  # fmt: skip
    return found


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def survivors() -> list[tuple[str, str]]:
    """Mutants that no test killed, and why."""
    reasons = kept("survivors") or {}
    rows = (kept("mutation") or {"mutants": []})["mutants"]
    alive = [row["mutant"] for row in rows if row["killed_by"] is None]
    return [(f"`{name}`", reasons.get(name, "not explained yet")) for name in alive]


def _seen(name: str, failure: Failure) -> tuple[str, str, str]:
    where = ", ".join(f"[{i}]({link})" for i, link in enumerate(failure.links, 1))
    return failure.words, where, ", ".join(f"`{test}`" for test in failure.tests)


def results() -> str:
    parts = [
        "# Reliability, measured\n\nWritten by `python -m tests.reliability.report` from `results/`; not by hand.\n"
    ]
    parts += ["## Figures\n", table(("tried", "found"), figures())]
    parts += ["## Failures seen in public code\n", table(("failure", "seen at", "tests here"), [
        _seen(*item) for item in FAILURES.items()])]  # fmt: skip
    if alive := survivors():
        parts += ["## Mutants that survived\n", table(("mutant", "why"), alive)]
    return "\n".join(parts)


PROMISES = """## What you can rely on

- **The same numbers.** A score depends on pair, models, scheme and seed: not on batch size, order, workers, the side
  called chosen, or an interruption. Masks are the same bit for bit; networks move by rounding alone, 1e-5 nats per
  token in float32.
- **Nothing half written.** A killed, interrupted or failed run leaves the old file or the new one; a repeated command
  goes on.
- **No silent damage.** Rows, checkpoints and stores that are cut, contradictory or altered are refused in one line that
  names the place; NaN and Inf end a run, with pair and weight named. No pickle is read, no code of a checkpoint is run.
- **Known failures stay away.** Every failure that we found in public code for this job has a test, which fails where
  the failure is put in.
- **Honest statistics.** Every test that can fail by chance states how often, and the sum is bounded.

Each line is tested; [tests/reliability/RESULTS.md](tests/reliability/RESULTS.md) has what was tried:
"""


def section() -> str:
    return f"{BEGIN}\n{PROMISES}\n{table(('tried', 'found'), figures())}{END}"


def readme() -> str:
    """The README with the section between its marks; where there are none, at its end."""
    text = README.read_text()
    before, mark, rest = text.partition(BEGIN)
    return f"{before}{section()}{rest.partition(END)[2]}" if mark else f"{text.rstrip()}\n\n{section()}\n"


def stale() -> list[str]:
    """Files that are not what would be written now."""
    due = {RESULTS: results(), README: readme()}
    return [path.name for path, text in due.items() if not path.exists() or path.read_text() != text]


def main(check: bool) -> int:
    if check:
        print(*stale())
        return 3 if stale() else 0
    RESULTS.write_text(results())
    README.write_text(readme())
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
