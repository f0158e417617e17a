"""How many Monte Carlo draws reach a given relative accuracy, from exact tables; enumeration has no sampling error."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import numpy as np
from measuring import Row
from numpy.typing import NDArray
from scipy.special import comb

from vrpo_theory.exact import MaskTable, tabulate
from vrpo_theory.models import MODELS
from vrpo_theory.types import SIDES, Case

ACCURACIES = (1e-2, 1e-4)


def rows(length: int, pairs: int) -> Iterator[Row]:
    """Forward passes per response and model, the median over pairs, beside those of enumeration."""
    for name in ("toy_llada", "markov"):
        answers = tabulate(_cases(name, length, pairs))
        needs = {
            "ELBO": [_mean_draws(*_term(t)) for a in answers for t in _tables(a)],
            "variance of the score": [_variance_draws(a) for a in answers],
        }
        for quantity, need in needs.items():
            for accuracy in ACCURACIES:
                sampled, enumerated = median(need) / accuracy**2, 2**length - 1
                yield {
                    "model": name, "L": length, "quantity": quantity, "relative_error": accuracy, "pairs": pairs,
                    "monte_carlo": sampled, "enumeration": enumerated, "ratio": sampled / enumerated,
                }  # fmt: skip


def _cases(name: str, length: int, pairs: int) -> list[Case]:
    """Several pairs under the models of the first where all have the same, so that these are swept once."""
    cases = [MODELS[name].case(seed, length) for seed in range(pairs)]
    if len({c.policy.fingerprint for c in cases}) > 1:
        return cases
    return [Case(cases[0].policy, cases[0].reference, c.pair) for c in cases]


def _tables(answer: Case) -> list[MaskTable]:
    return [model[answer.pair.side(side)] for side in SIDES for model in (answer.policy, answer.reference)]


def _term(*tables: MaskTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Chance of every mask but the empty one, and its VRPO term L/l S; of two tables, the difference of the terms."""
    length, count = tables[0].response.length, tables[0].counts[1:]
    sums = tables[0].sums - tables[1].sums if len(tables) > 1 else tables[0].sums
    return 1 / (length * comb(length, count)), length / count * sums[1:]


def _mean_draws(chance: NDArray[np.float64], term: NDArray[np.float64]) -> float:
    """n accuracy^2 at which the mean of n draws has that relative standard error."""
    mean = chance @ term
    return float(chance @ (term - mean) ** 2 / mean**2)


def _variance_draws(answer: Case) -> float:
    """The same of the sample variance of the score, chosen's plus rejected's, at n large: V s^2 = (m4 - V^2) / n."""
    noise, variance = 0.0, 0.0
    for side in SIDES:
        response = answer.pair.side(side)
        chance, term = _term(answer.policy[response], answer.reference[response])
        centred = term - chance @ term
        second, fourth = chance @ centred**2, chance @ centred**4
        noise, variance = noise + fourth - second**2, variance + second
    return noise / variance**2
