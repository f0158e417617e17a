"""Mistakes in the law of the count l, or in its weight L/l."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vrpo_theory.auditing.mistakes.base import Array, Levels, Mistake, at, from_counts, mistake, uniform
from vrpo_theory.numerics import gauss_legendre
from vrpo_theory.statements import public_code


def members() -> Iterator[Mistake]:
    """Every mistake of this kind."""
    yield mistake(
        "rounded-counts", "P(l): counts spread over a batch are rounded half to even, so some come more often",
        lambda length, n, batch: from_counts(_rounded(length, batch)),
    )  # fmt: skip
    yield mistake(
        "rounded-ends", "P(l): l is u L rounded, u ~ U(0, 1), so that l = L is half as likely as others",
        lambda length, n, batch: from_counts(_round_of_all(length)),
    )  # fmt: skip
    yield mistake(
        "rounded-ends", "P(l): l is 1 + u (L - 1) rounded, so that l = 1 and l = L are half as likely as others",
        lambda length, n, batch: from_counts(_round_between(length)),
    )  # fmt: skip
    yield mistake("count-plus-one-weight", "w is (L + 1)/l, which belongs to l = 0..L, but l runs over 1..L", _plus_one)
    yield mistake(
        "no-weight", "w is 1: the masked sum lacks its weight L/l",
        lambda length, n, batch: from_counts(uniform(length, 1, length), 1.0),
    )  # fmt: skip
    yield mistake(
        "no-weight", "w is 1, and l runs over 0..L: the masked sum lacks its weight",
        lambda length, n, batch: from_counts(uniform(length, 0, length), 1.0),
    )  # fmt: skip
    yield mistake(
        "count-from-zero", "P(l): counts run over 0..L-1: everything masked never occurs",
        lambda length, n, batch: from_counts(uniform(length, 0, length - 1)),
    )  # fmt: skip
    yield mistake(
        "at-least-one-mask", "P(l): an empty mask is replaced by one masked token",
        lambda length, n, batch: from_counts(at(length, 1, *range(1, length + 1))),
    )  # fmt: skip
    yield mistake(
        "all-masked", "P(l): one forward pass with everything masked stands for the ELBO",
        lambda length, n, batch: from_counts(at(length, length)),
    )  # fmt: skip
    yield mistake(
        "floor-quadrature", "fixed midpoints t with floor(t L) masked tokens, w is 1/t",
        lambda length, n, batch: _quadrature(length, (np.arange(n) + 0.5) / n, np.full(n, 1 / n)),
    )  # fmt: skip
    yield mistake(
        "floor-quadrature", "fixed Gauss-Legendre nodes t with floor(t L) masked tokens, w is 1/t",
        lambda length, n, batch: _quadrature(length, *_nodes(n)),
    )  # fmt: skip


def _plus_one(length: int, n: int, batch: int) -> Levels:
    return from_counts(uniform(length, 1, length), (length + 1) / np.maximum(np.arange(length + 1), 1))


def _rounded(length: int, batch: int) -> Array:
    law = public_code.rounded_counts(length, batch)
    return np.array([0.0, *(float(law[count]) for count in range(1, length + 1))])


def _round_of_all(length: int) -> Array:
    law = np.full(length + 1, 1 / length)
    law[[0, -1]] /= 2
    return law


def _round_between(length: int) -> Array:
    if length == 1:
        return at(1, 1)
    law = np.array([0.0, *np.full(length, 1 / (length - 1))])
    law[[1, -1]] /= 2
    return law


def _nodes(n: int) -> tuple[Array, Array]:
    share, t = gauss_legendre(0.0, 1.0, n)
    return t, share


def _quadrature(length: int, t: Array, share: Array) -> Levels:
    """floor(t L) tokens at fixed t, weighted by share/t; every node is evaluated once."""
    count = np.floor(t * length).astype(int)
    return Levels(at(length, *count.tolist()), np.bincount(count, share / t, length + 1).astype(float))
