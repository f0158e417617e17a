"""One random generator per domain: what the generic checks of every statement draw from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from vrpo_theory import instances
from vrpo_theory.statements import _experiments as experiments
from vrpo_theory.types import Budget, Profile

Instance: TypeAlias = (
    instances.StatedLaw | instances.GradientLaw | instances.StatedTable | experiments.EstimatorLaw
    | experiments.MarginLaw | Profile
)  # fmt: skip
"""What a statement is about."""
BUDGETS = (Budget(1, 1), Budget(2, 1), Budget(1, 2), Budget(2, 2), Budget(3, 1))


def random_instance(domain: str, rng: np.random.Generator) -> Instance:
    """A random instance of a domain; KeyError for a domain that does not exist."""
    return GENERATORS[domain](rng)


def _simplex(rng: np.random.Generator, *shape: int) -> instances.Array:
    return rng.dirichlet(np.full(shape[-1], 0.7), size=shape[:-1])


def _scale(rng: np.random.Generator, low: float = 1e-2, high: float = 30.0) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _score_law(rng: np.random.Generator) -> instances.StatedLaw:
    atoms = int(rng.integers(2, 6))
    return instances.score_law(
        _simplex(rng, atoms), 3 * rng.standard_normal() + _scale(rng) * rng.standard_normal(atoms)
    )


def _gradient_law(rng: np.random.Generator) -> instances.GradientLaw:
    law, width = _score_law(rng), int(rng.integers(1, 4))
    gradient = _scale(rng) * rng.standard_normal(width) + _scale(rng) * rng.standard_normal((len(law.prob), width))
    return instances.gradient_law(law.prob, law.value, gradient)


def _two_stage(rng: np.random.Generator, columns: int, levels: int | None = None) -> experiments.TwoStage:
    levels, masks = levels or int(rng.integers(2, 4)), 2
    value = rng.standard_normal((levels, 1, columns)) * _scale(rng, 0.1, 3) + rng.standard_normal(
        (levels, masks, columns)
    )
    # One common shock, so that policy and reference may be positively correlated, as they are in practice.
    value[..., :2] += rng.uniform(-1, 2) * rng.standard_normal((levels, masks, 1))
    return experiments.TwoStage(_simplex(rng, levels), _simplex(rng, levels, masks), value)


def _budget(rng: np.random.Generator) -> Budget:
    return BUDGETS[int(rng.integers(len(BUDGETS)))]


def _estimator_law(rng: np.random.Generator) -> experiments.EstimatorLaw:
    stage = _two_stage(rng, columns=int(rng.integers(1, 4)))
    return experiments.estimator_law(stage, _budget(rng), (_scale(rng, 0.1, 10), _scale(rng, 0.1, 10)))


def _margin_law(rng: np.random.Generator) -> experiments.MarginLaw:
    chosen, rejected = _two_stage(rng, 4, levels=2), _two_stage(rng, 4, levels=2)
    return experiments.margin_law(chosen, rejected, BUDGETS[int(rng.integers(3))], float(rng.uniform(0.05, 2)))


def _mask_table(rng: np.random.Generator) -> instances.StatedTable:
    length = int(rng.integers(1, 6))
    return instances.StatedTable(instances.masked(-rng.exponential(1 + rng.random(length), (2**length, length))))


def _profile(rng: np.random.Generator) -> Profile:
    length = int(rng.integers(1, 7))
    mean = -np.arange(length + 1.0)[:, None] * rng.uniform(0.2, 3, (length + 1, 2))
    factor = rng.standard_normal((length + 1, 2, 2))
    factor[0] = 0
    if length:  # one mask has all tokens: no variance at l = L
        factor[length] = 0
    return Profile(mean, factor @ factor.transpose(0, 2, 1))


GENERATORS: dict[str, Callable[[np.random.Generator], Instance]] = {
    "score law": _score_law,
    "gradient law": _gradient_law,
    "estimator law": _estimator_law,
    "margin law": _margin_law,
    "mask table": _mask_table,
    "profile": _profile,
}
