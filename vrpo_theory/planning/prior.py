"""What is known of candidates before a pilot, and how far a pilot's measurements of them are to be believed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from vrpo_theory.schemes import VRPO, Scheme

FILE = Path(__file__).with_name("prior.json")


class Belief(NamedTuple):
    """Normal law of a log variance ratio, a scheme's over VRPO's at equal passes.

    Parameters
    ----------
    mean, spread : float
        Mean and standard deviation over the toys of this package.
    error : float
        Root mean square over the same toys of measured minus true, beside the noise of a pilot: what the model of
        token terms leaves out.
    """

    mean: float
    spread: float
    error: float

    def given(self, measured: float, stderr: float) -> tuple[float, float]:
        """Mean and standard deviation after a measurement: shrunk to the prior by its error and the model's."""
        noise = math.hypot(self.error, stderr)
        if math.isinf(self.spread):
            return measured, noise if math.isfinite(noise) else 0.0
        share = self.spread**2 / (self.spread**2 + noise**2) if math.isfinite(noise) else 0.0
        return self.mean + share * (measured - self.mean), self.spread * math.sqrt(1 - share)


NOTHING = Belief(0.0, math.inf, 0.0)
"""Of a scheme that the file does not know: measurements stand as they are."""


def belief(scheme: Scheme) -> Belief:
    """The prior of a candidate: at the budgets it was learnt at, linear in log n between them.

    ``benchmarks/planner_prior.py`` learns it from the exhibit "designs" and fresh pilots on the same toys.
    """
    known = scheme.coupling == VRPO.coupling and scheme.budget.n_yt == 1
    table = _tables().get(members(scheme), {}) if known else {}
    if not table:
        return NOTHING
    sizes = sorted(table)
    n = min(max(scheme.budget.n, sizes[0]), sizes[-1])
    above = next(size for size in sizes if size >= n)
    below = max(size for size in sizes if size <= n)
    share = math.log(n / below) / math.log(above / below) if above > below else 0.0
    return Belief(*((1 - share) * a + share * b for a, b in zip(table[below], table[above], strict=True)))


def members(scheme: Scheme) -> str:
    """Design and weights of a scheme: the prior's key."""
    return f"{scheme.design.address}, {scheme.weighting.spec}"


@cache
def _tables() -> Mapping[str, Mapping[int, Belief]]:
    found = json.loads(FILE.read_text(encoding="utf-8"))
    return {name: {int(n): Belief(**numbers) for n, numbers in rows.items()} for name, rows in found.items()}
