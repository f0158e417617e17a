"""Adversaries: how much of a bound can be used up, searched over finite laws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.instances import GradientLaw, StatedLaw, gradient_law, score_law
from vrpo_theory.randomness import Address
from vrpo_theory.statements import Statement

Array = NDArray[np.float64]
Law: TypeAlias = StatedLaw | GradientLaw

DOMAINS = ("score law", "gradient law")
"""Domains whose laws are searched; statements of the others are held by their witnesses."""
SMALLEST = 1e-10
"""Right sides below this are rounding, not evidence."""
LARGEST = 50.0
"""Scores and gradients beyond this overflow before they teach anything."""


@dataclass(frozen=True, eq=False)
class Sharpness:
    """The law that comes closest to a bound.

    Parameters
    ----------
    ratio : float
        Largest lhs/rhs found; 1 means that the bound is attained, above 1 that it is broken.
    law : StatedLaw or GradientLaw
        From `vrpo_theory.instances`; None if nothing was tried.
    """

    ratio: float
    law: Law | None


def search(statement: Statement, *, seed: int = 0, atoms: Sequence[int] = (2, 3), starts: int = 10) -> Sharpness:
    """Maximise lhs/rhs of a "<=" statement over finite laws, by simplex descents from several random starts.

    Parameters
    ----------
    atoms : sequence of int
        Sizes of the laws, 2 to 5.
    starts : int
        Descents for each size; their scales run over four decades.

    Raises
    ------
    ValueError
        If the statement is no inequality between laws.
    """
    if statement.relation != "<=" or statement.domain not in DOMAINS:
        raise ValueError(f"{statement.name}: only '<=' over {' or '.join(DOMAINS)} can be searched; use its witness")
    from scipy.optimize import minimize

    rng = Address(seed, f"sharpness {statement.name}", starts, len(atoms), b"").uniforms()
    best = Sharpness(-np.inf, None)
    for size in atoms:
        for start in _starts(statement, size, starts, rng.level):

            def loss(z: Array, size: int = size) -> float:
                return -_ratio(statement, _law(statement, z, size))[0]

            found = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 400 * size, "fatol": 1e-9})
            ratio, law = _ratio(statement, _law(statement, found.x, size))
            best = max(best, Sharpness(ratio, law), key=lambda s: s.ratio)
    return best


def _starts(statement: Statement, size: int, starts: int, uniform: Callable[..., Array]) -> Array:
    columns = 2 if statement.domain == "score law" else 3
    z = 2 * uniform(starts, columns, size) - 1
    z[:, 1:] *= 10.0 ** np.linspace(-2, 1, starts)[:, None, None]
    z[:, 1] += 8 * (uniform(starts, 1) - 0.5)
    if columns == 3:  # gradients near a common vector: the hard cases of the gradient bounds
        z[:, 2] = 1 + 0.3 * z[:, 2] / np.abs(z[:, 2]).max(1, keepdims=True)
    return z.reshape(starts, -1)


def _law(statement: Statement, z: Array, size: int) -> Law:
    """A law from unconstrained numbers: log-weights, values, and gradients in one dimension."""
    rows = z.reshape(-1, size)
    weight = np.exp(rows[0] - rows[0].max())
    rows = np.concatenate([rows[:1], np.clip(rows[1:], -LARGEST, LARGEST)])
    prob, found = weight / weight.sum(), rows[1:]
    x = score_law(prob, *found) if statement.domain == "score law" else gradient_law(prob, *found)
    return cast(Law, statement.restrict(x)) if statement.restrict else x


def _ratio(statement: Statement, law: Law) -> tuple[float, Law]:
    lhs, rhs = statement.sides(law)[:2]
    return (used(lhs, rhs) if min(abs(rhs), law.variance) > SMALLEST else -1.0), law


def used(lhs: float, rhs: float) -> float:
    """Share of the bound lhs <= rhs that is used up: lhs/rhs, turned over where both are negative."""
    return float(rhs / lhs if lhs < 0 else lhs / rhs)


def moment_problem(
    function: Callable[[Array], Array], grid: Array, mean: float, variance: float
) -> tuple[float, Array]:
    """Largest E g(X) among laws on a grid with this mean and variance, a linear programme.

    Returns
    -------
    value, prob : float, (Q,)
        The maximum and the law on the grid that attains it.

    Raises
    ------
    ValueError
        If no law on the grid has these moments.
    """
    from scipy.optimize import linprog

    moments = np.stack([np.ones_like(grid), grid, (grid - mean) ** 2])
    found = linprog(-function(grid), A_eq=moments, b_eq=[1.0, mean, variance], bounds=(0, None))
    if not found.success:
        raise ValueError(f"no law on the grid has mean {mean} and variance {variance}: widen the grid")
    return -float(found.fun), found.x
