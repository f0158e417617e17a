"""What a statement is: two sides that can be evaluated, and what makes it fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vrpo_theory.registry import Registry
from vrpo_theory.statements._random import GENERATORS, Instance, random_instance

Relation = Literal["=", "<=", "approx", "implies", "diverges"]
Domain = Literal["score law", "gradient law", "estimator law", "margin law", "profile", "mask table"]
Verdict = Literal[
    "true",
    "true with a better constant",
    "true but the printed proof fails",
    "vacuous without a condition",
    "heuristic",
    "false as printed",
]
Sides = Callable[[Any], tuple[Any, ...]]
"""An instance of the statement's own domain to its sides; Any stands for the `Instance` of that domain."""

UNTRUSTED: tuple[Verdict, ...] = ("heuristic", "false as printed")
"""Verdicts of statements that need not hold under their own assumptions."""

ROUNDING = 1e-9
"""Relative rounding that a comparison forgives."""

PAPER = "2505.19223v2, "

STATEMENTS: Registry[Statement] = Registry("statement", "vrpo_theory.statements")

__all__ = [
    "GENERATORS",
    "STATEMENTS",
    "UNTRUSTED",
    "Domain",
    "Instance",
    "Relation",
    "Statement",
    "Verdict",
    "random_instance",
    "state",
]


@dataclass(frozen=True)
class Statement:
    """A statement whose two sides are computed by different code from one instance of its domain.

    Parameters
    ----------
    name, ref, tex : str
        Registry name; source ("2505.19223v2, Lemma 3 (17)" or "ours"); formula.
    relation : {"=", "<=", "approx", "implies", "diverges"}
    domain : str
        Which instances ``sides`` takes, see `random_instance`.
    sides : callable
        Instance to (lhs, rhs); to (lhs, rhs, remainder) for "approx"; to two truth values for "implies"; to two
        sequences for "diverges". Its docstring has the proof.
    verdict, form
        What became of it; "paper" as printed, or "sharp" (with constants that cannot be improved, or repaired).
    assumptions : tuple of str
    restrict : callable, optional
        Carries any instance of the domain to one that satisfies the assumptions.
    witness : callable, optional
        An instance at which "<=" is an equality, or within 1% of one.
    violated_by : callable, optional
        An instance at which it fails: with an assumption dropped, or with none if the verdict says that it is not true.
    sharp : str, optional
        Name of the sharp form of a paper statement.
    constant : float, optional
        The constant of the bound, where it has one that could be better.

    Examples
    --------
    >>> from vrpo_theory.instances import expect
    >>> def jensen(x):
    ...     '''The square of the mean is at most the mean of the square.'''
    ...     return expect(x.prob, x.value) ** 2, expect(x.prob, x.value**2)
    >>> statement = Statement("jensen", "ours", r"(E s)^2 \\le E s^2", "<=", "score law", jensen)
    >>> statement.holds(statement.instance(np.random.default_rng(0)))
    True

    ``@state("jensen", "ours", ...)`` above the function, in a file of the folder, registers it. A statement with
    assumptions also gives `violated_by`, an instance where it fails without one of them.
    """

    name: str
    ref: str
    tex: str
    relation: Relation
    domain: Domain
    sides: Sides
    verdict: Verdict = "true"
    form: Literal["paper", "sharp"] = "paper"
    assumptions: tuple[str, ...] = ()
    restrict: Callable[[Any], Instance] | None = None
    witness: Callable[[], Instance] | None = None
    violated_by: Callable[[], Instance] | None = None
    sharp: str | None = None
    constant: float | None = None

    def holds(self, instance: Instance, rounding: float = ROUNDING) -> bool:
        """Whether the relation holds at an instance, up to rounding."""
        return _HOLDS[self.relation](rounding, *self.sides(instance))

    def instance(self, rng: np.random.Generator) -> Instance:
        """A random instance that satisfies the assumptions."""
        x = random_instance(self.domain, rng)
        return self.restrict(x) if self.restrict else x


def state(name: str, ref: str, tex: str, relation: Relation, domain: Domain, **fields: Any) -> Callable[[Sides], Sides]:
    """Register the decorated function as the two sides of a statement; the function itself stays as it was."""

    def register(sides: Sides) -> Sides:
        STATEMENTS.add(name, Statement(name, ref, tex, relation, domain, sides, **fields))
        return sides

    return register


def _slack(rounding: float, lhs: float, rhs: float) -> float:
    return rounding * max(abs(lhs), abs(rhs)) + 1e-12


def _equal(rounding: float, lhs: float, rhs: float) -> bool:
    return abs(lhs - rhs) <= _slack(rounding, lhs, rhs)


def _at_most(rounding: float, lhs: float, rhs: float) -> bool:
    return lhs <= rhs + _slack(rounding, lhs, rhs)


def _close(rounding: float, lhs: float, rhs: float, remainder: float) -> bool:
    return abs(lhs - rhs) <= remainder + _slack(rounding, lhs, rhs)


def _implies(rounding: float, premise: bool, conclusion: bool) -> bool:
    return bool(conclusion) or not premise


def _diverges(rounding: float, lhs: Any, rhs: Any) -> bool:
    """Whether lhs stays above a bound whose steps do not shrink, as a bound that converges would."""
    step = np.diff(rhs)
    above = all(_at_most(rounding, low, high) for high, low in zip(lhs, rhs, strict=True))
    return above and bool((step > 0).all() and step[-1] >= step[0] * (1 - 1e-3))


_HOLDS: dict[str, Callable[..., bool]] = {
    "=": _equal,
    "<=": _at_most,
    "approx": _close,
    "implies": _implies,
    "diverges": _diverges,
}
