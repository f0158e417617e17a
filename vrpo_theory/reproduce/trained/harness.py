"""Arms trained and evaluated elsewhere: a folder each, with the log of ``vrpo train`` and the harness's results.

Results are those of lm-evaluation-harness, files ``results*.json`` anywhere below an arm's folder; the newest is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vrpo_theory.errors import InputError
from vrpo_theory.numerics import total
from vrpo_theory.reproduce.trained.options import LOG
from vrpo_theory.reproduce.trained.study import NAMES
from vrpo_theory.types import Estimate
from vrpo_theory.uncertainty import combined

BENCHMARKS = {
    "gsm8k": "GSM8K", "minerva_math": "Math", "hendrycks_math": "Math", "gpqa": "GPQA", "humaneval": "HumanEval",
    "mbpp": "MBPP", "ifeval": "IFEval",
}  # fmt: skip
"""The harness's tasks, by how their names begin, and the paper's rows."""


def place(folder: Path, arm: str) -> Path:
    """An arm's folder: ``reference``, ``sft-only``, ``1x1-apart`` (naive DPO), ``8x1`` (VRPO), ``4x1``, ..."""
    return folder / NAMES.get(arm, arm).lower().replace(" ", "-")


@dataclass(frozen=True)
class Harness:
    """`Scores` of arms in a folder; the harness's arms share no draws, so their errors are independent."""

    folder: Path
    label: str

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise InputError(f"--runs {self.folder} is no folder: give one with a folder for each arm, as in {NAMES}")

    @cached_property
    def tasks(self) -> Sequence[str]:
        found = {task for path in sorted(self.folder.iterdir()) for task in self._results(path)}
        if not found:
            raise InputError(
                f"no results*.json below {self.folder}: evaluate the arms with lm-evaluation-harness first"
            )
        return [name for name in dict.fromkeys(BENCHMARKS.values()) if name in found]

    def has(self, arm: str) -> bool:
        return bool(self._results(place(self.folder, arm)))

    def accuracy(self, arm: str, task: str) -> Estimate:
        """Of one benchmark, or the mean of all."""
        known = self._results(place(self.folder, arm))
        names = [task] if task != "all" else list(self.tasks)
        if missing := [name for name in names if name not in known]:
            raise InputError(
                f"{place(self.folder, arm)} has no results of {', '.join(missing)}: evaluate it on them too"
            )
        parts = [known[name] for name in names]
        return combined(total([p.value for p in parts]) / len(parts), [(p, 1 / len(parts)) for p in parts])

    def difference(self, arm: str, base: str, task: str) -> Estimate:
        ours, theirs = self.accuracy(arm, task), self.accuracy(base, task)
        return combined(ours.value - theirs.value, [(ours, 1.0), (theirs, 1.0)])

    def losses(self, arm: str) -> list[Mapping[str, Any]]:
        """The lines of an arm's log, empty without one."""
        path = place(self.folder, arm) / LOG
        if not path.exists():
            return []
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except ValueError as error:
            raise InputError(f"{path} is no log of vrpo train ({error})") from None

    def _results(self, arm: Path) -> dict[str, Estimate]:
        files = sorted(arm.rglob("results*.json"), key=lambda path: (path.stat().st_mtime, path.name))
        return _read(files[-1]) if files else {}


def _read(path: Path) -> dict[str, Estimate]:
    """The paper's benchmarks in a file of the harness."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
        found = [(_benchmark(task), _metric(values)) for task, values in results.items()]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is no result of lm-evaluation-harness ({type(error).__name__}: {error})") from None
    return {name: value for name, value in found if name and value}


def _benchmark(task: str) -> str | None:
    return next((name for start, name in BENCHMARKS.items() if task.startswith(start)), None)


def _metric(values: Mapping[str, Any]) -> Estimate | None:
    """The first metric of a task, "name,filter", with its standard error."""
    for key, value in values.items():
        name, comma, kind = key.partition(",")
        if comma and isinstance(value, float | int) and not name.endswith("_stderr"):
            error = values.get(f"{name}_stderr,{kind}")
            known = isinstance(error, float | int) and math.isfinite(error)
            return Estimate(float(value), float(error) if known else None)  # type: ignore[arg-type]
    return None
