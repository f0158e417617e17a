"""Covariance of responses, or blocks, whose timesteps are chosen by the same uniforms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.couplings import SPREAD
from vrpo_theory.designs.base import Design
from vrpo_theory.exact.blocks import Blocks
from vrpo_theory.numerics import total

Array = NDArray[np.float64]
Step = Sequence[Array]
"""A step function of one uniform: the widths of its steps, and their values."""


def require_shared(design: Design, sharing: bool | str) -> None:
    """ValueError if levels are no functions of shared uniforms, or known at single t alone while the blocks' differ."""
    if not design.convolvable:
        raise ValueError(
            f"{design.name}: counts are no functions of shared uniforms; do not share timesteps, or sample"
        )
    if sharing in SPREAD and design.form == "time":
        raise ValueError(f"{design.name}: its exact law is known at single t, not between them: "
                         f"blocks_shared={sharing!r} needs a design of counts, or Monte Carlo")  # fmt: skip


def shared_covariance(laws: Sequence[Blocks], means: Sequence[Array], sharing: bool | str) -> float:
    """Sum over all pairs of two or more of the covariances of their conditional means.

    Parameters
    ----------
    laws : sequence of Blocks
        Of every response or block, in its order.
    means : sequence of (N, J) float
        Means of one mask's weighted term, given its level.
    sharing : bool, "cyclic" or "stratified"
        As `vrpo_theory.couplings.Coupling.blocks_shared`.
    """
    steps = [blocks.each(blocks.prob, blocks.conditional(mean)) for blocks, mean in zip(laws, means, strict=True)]
    pairs = _of_strata if sharing == "stratified" else partial(_of_one_uniform, cyclic=sharing == "cyclic")
    return total(laws[0].times * [pairs(parts) for parts in zip(*steps, strict=True)])


def _of_one_uniform(parts: Sequence[Step], cyclic: bool) -> float:
    """Covariances of all pairs x_i(u + turn_i), around the circle; no turns unless ``cyclic``."""
    turns = np.arange(len(parts)) / len(parts) * cyclic
    edges = [np.cumsum(prob) for prob, _ in parts]
    edge = np.unique(np.concatenate([*((e - turn) % 1.0 for e, turn in zip(edges, turns, strict=True)), [1.0]]))
    width = np.diff(edge, prepend=0.0)
    middle = edge - width / 2
    values = [
        value[np.minimum(np.searchsorted(e, (middle + turn) % 1.0, side="right"), len(value) - 1)] - prob @ value
        for (prob, value), e, turn in zip(parts, edges, turns, strict=True)
    ]
    return _over_pairs(width, np.stack(values))


def _of_strata(parts: Sequence[Step]) -> float:
    """Covariances of all pairs in two different strata of B, the number of parts, both drawn at random.

    E x y = (sum x_i sum y_i - sum x_i y_i)/(B (B - 1)) with x_i, y_i the means within stratum i, so it is -1/(B - 1)
    times the covariance of x_i and y_i over the strata.
    """
    count = len(parts)
    means = np.stack([_stratum_means(part, count) for part in parts])
    return -_over_pairs(np.full(count, 1 / count), means - means.mean(1, keepdims=True)) / (count - 1)


def _over_pairs(width: Array, values: Array) -> float:
    """Sum over pairs of rows of the integral of their product, from values (B, cells) on cells of these widths."""
    return total(width * (values.sum(0) ** 2 - (values**2).sum(0))) / 2


def _stratum_means(step: Step, count: int) -> Array:
    """Means of a step function over ``count`` equal parts of [0, 1]."""
    prob, value = (np.append(0.0, np.cumsum(part)) for part in (step[0], step[0] * step[1]))
    found: Array = np.diff(np.interp(np.arange(count + 1) / count, prob, value)) * count
    return found
