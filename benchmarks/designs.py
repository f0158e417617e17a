"""What designs and weights save in forward passes, and what they cost beside them.

    python benchmarks/designs.py [--quick]

writes ``benchmarks/results/designs.json``:

- forward passes per response and model at which the preference score (beta = 0.2) has a given standard error, for VRPO
  (iid counts, one mask per timestep, shared), the default of this package (balanced by length, context weights) and
  others, on Markov chains. Variances are exact where masks matter through their count only; where weights join masks
  they are sampled, and carry a standard error;
- time of drawing masks and working out two-way and context weights, against the forward passes of the same masks under
  two models of toy size (width 64, 2 layers): larger models only make the share smaller. Limits for the weights: 2% and
  3%.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from measuring import Row, interleaved, ratio, run
from numpy.typing import NDArray

from vrpo_theory import Scheme, elbo
from vrpo_theory.couplings import Draw
from vrpo_theory.designs.base import Design
from vrpo_theory.designs.iid import IidCount
from vrpo_theory.designs.power_strata import PowerStrata
from vrpo_theory.models import MODELS
from vrpo_theory.preference import BETA
from vrpo_theory.reproduce.base import Context
from vrpo_theory.reproduce.exhibits.designs.lineup import BASE, DEFAULT, Entrant, entrants
from vrpo_theory.reproduce.exhibits.designs.race import Race
from vrpo_theory.reproduce.options import Repeated
from vrpo_theory.schemes import default_scheme
from vrpo_theory.types import Budget, PreferencePair, Response
from vrpo_theory.weightings.plain import PLAIN
from vrpo_theory.weightings.two_way import TwoWay

Array = NDArray[np.float64]

NAMES = (BASE, "not shared", "n_yt = 4", "time form", "strata", "power strata", "power strata, two-way", DEFAULT)
LIMITS = {"two-way weights": "< 0.02", "context weights": "< 0.03"}
SAMPLED_TOKENS = 2**15
"""Most n L that is replicated: beyond, sampling a variance takes minutes."""


@dataclass(frozen=True)
class Curve:
    """Variance of the score of every pair at growing n: (points,), (points, pairs) and their relative errors."""

    n: Array
    variance: Array
    error: Array

    def crossing(self, target: float) -> tuple[Array, Array]:
        """Real n at which each pair's variance is the target, straight between points on logarithmic scales.

        Also its relative error. Both are NaN beyond the curve.
        """
        found = [self._crossing(np.log(v / target), e) for v, e in zip(self.variance.T, self.error.T, strict=True)]
        n, error = np.array(found).T
        return n, error

    def _crossing(self, excess: Array, error: Array) -> tuple[float, float]:
        below = np.flatnonzero(excess <= 0)
        if not len(below):
            return np.nan, np.nan
        k = below[0]
        if k == 0:  # the least n is enough
            return self.n[0], 0.0
        share = excess[k - 1] / (excess[k - 1] - excess[k])
        step = np.log(self.n[k] / self.n[k - 1])
        noise = np.hypot((1 - share) * error[k - 1], share * error[k])
        return self.n[k - 1] * np.exp(share * step), noise * step / (excess[k - 1] - excess[k])


def curve(race: Race, entrant: Entrant, target: float, length: int) -> Curve:
    """From the least n up, until every pair is below the target or sampling takes too long."""
    profiles = race.profiles[0]
    iid = profiles is not None and entrant.exact and entrant.make(profiles["chosen"]).iid_timesteps
    points: list[tuple[float, Array, Array]] = []
    for n in (entrant.n_yt * step for step in _ladder(entrant.exact)):
        if not entrant.exact and n * length > SAMPLED_TOKENS:
            break
        points.append((n, *_score_variance(race, entrant, n)))
        if iid:  # exactly 1/n: a straight line, known from one point
            ((n, variance, error),) = points
            points = [(n * far, variance / far, error) for far in (2.0**-40, 2.0**40)]
        if points[-1][1].max() <= target:
            break
    return Curve(*map(np.array, zip(*points, strict=True)))


def _ladder(fine: bool) -> Iterator[int]:
    """1, 2, 4, 8, ...; and fine, where a point costs next to nothing, 1, 2, 3, 4, 6, 8, 11, ..."""
    return (round(2 ** (k / 2)) for k in count(1)) if fine else (2**k for k in count())


def _score_variance(race: Race, entrant: Entrant, n: int) -> tuple[Array, Array]:
    """Of every pair, with its relative standard error: chosen and rejected are independent, so they add."""
    found = race.variances(entrant, n)
    variance, error = (np.array([getattr(e, name) or 0.0 for e in found]) for name in ("value", "stderr"))
    value = variance.reshape(-1, 2).sum(1)
    return BETA**2 * value, np.hypot(*error.reshape(-1, 2).T) / value


def forwards(lengths: Sequence[int], targets: Sequence[float], pairs: int, repeats: int) -> Iterator[Row]:
    """Forward passes by chain, standard error and design, and their ratio to VRPO's."""
    for length in lengths:
        race = Race([MODELS["markov"].case(seed, length) for seed in range(pairs)], Context(own=Repeated(repeats)))
        known = {name: entrants()[name] for name in NAMES}
        curves = {name: curve(race, entrant, min(targets) ** 2, length) for name, entrant in known.items()}
        for target in targets:
            base, _ = curves[BASE].crossing(target**2)
            for name, entrant in known.items():
                n, error = curves[name].crossing(target**2)
                about = {"L": length, "stderr_of_score": target, "design": name, "pairs": pairs}
                method = "exact" if entrant.exact else f"sampled, up to {SAMPLED_TOKENS // length} passes"
                yield {**about, **_compared(n, error, base), "method": method}


def _compared(n: Array, error: Array, base: Array) -> dict[str, float | None]:
    """The median over pairs; geometric mean and largest of the ratio to VRPO. None where sampling stopped before."""
    if np.isnan(n).any():
        return dict.fromkeys(("forwards", "of_vrpo", "stderr", "worst"))
    quotient = n / base
    mean = float(np.exp(np.log(quotient).mean()))
    stderr = mean * float(np.sqrt((error**2).sum())) / len(n)
    return {"forwards": float(np.median(n)), "of_vrpo": mean, "stderr": stderr or None, "worst": float(quotient.max())}


def overhead(length: int, budgets: Sequence[int], pairs: int, rounds: int) -> Iterator[Row]:
    """Drawing and weighing as a share of the forward passes of the same masks, several pairs at once as in a run."""
    llada, rng = MODELS["llada"], np.random.default_rng(0)
    models = [llada.tiny("policy"), llada.tiny("reference")]
    ids = rng.integers(llada.ORDINARY, size=(pairs, 2, length)).tolist()
    known = [PreferencePair(Response((), chosen), Response((), rejected)) for chosen, rejected in ids]
    for n in budgets:
        yield from _overhead(known, models, n, rounds)


def _overhead(pairs: Sequence[PreferencePair], models: Sequence[Any], n: int, rounds: int) -> Iterator[Row]:
    def draw(design: Design) -> list[Draw]:
        return [d for pair in pairs for d in Scheme(design, budget=Budget(n)).draw(pair, seed=0)]

    power, two_way, default = PowerStrata(), TwoWay(), default_scheme()
    draws, balanced = draw(power), draw(default.design)
    requests = [(d.response, d.masks.mask) for d in draws]
    work = {
        "drawing": lambda: draw(power),
        "two-way weights": lambda: [two_way.weights(d.masks) for d in draws],
        "drawing and two-way weights": lambda: [two_way.weights(d.masks) for d in draw(power)],
        "context weights": lambda: [default.weighting.weights(d.masks) for d in balanced],
        "the default's drawing, context weights": lambda: [
            default.weighting.weights(d.masks) for d in draw(default.design)
        ],
        "VRPO's drawing, plain weights": lambda: [PLAIN.weights(d.masks) for d in draw(IidCount())],
    }
    times = interleaved({**work, "forwards": lambda: elbo.sweep(requests, models)}, rounds)
    for name in work:
        yield {
            "n": n, "work": name, "us_per_response": 1e6 * float(np.median(times[name])) / len(draws),
            "share_of_forwards": ratio(times, name, "forwards")["median"],
            **{k: ratio(times, name, "forwards")[k] for k in ("q1", "q3", "rounds")},
            "limit": LIMITS.get(name),
        }  # fmt: skip


def measure(quick: bool) -> Mapping[str, Sequence[Row]]:
    """Every section; quick ones show that the script runs, and their numbers mean little."""
    torch.set_num_threads(1)  # the toys are slower on two, and others may use the second
    if quick:
        needed, cost = forwards((16,), (0.5,), 2, 10), overhead(16, (8,), 1, 1)
    else:
        needed, cost = forwards((64, 256), (0.5, 0.2, 0.05), 8, 100), overhead(128, (8, 16), 8, 15)
    return {"forward passes for a standard error, in nats": list(needed), "cost of the weights": list(cost)}


if __name__ == "__main__":
    run("designs", __doc__, measure)
