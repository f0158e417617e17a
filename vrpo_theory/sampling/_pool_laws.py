"""Means over the law of a score that is put together from a pool, and over that of the pool less any timestep."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.convolution import POINTS, Slot, lattice, outcome_transforms
from vrpo_theory.types import Budget

Array = NDArray[np.float64]


def left_out_means(
    sides: Sequence[Sequence[Slot]], budget: Budget, functions: Callable[[Array], Array]
) -> tuple[Array, Array]:
    """Means of F functions of the score.

    Parameters
    ----------
    sides : per side, one slot of T outcomes for every contrast
        The score is the sum of n_t independent draws of each slot.
    functions : (Q,) -> (F, Q)

    Returns
    -------
    (F,) float
        Over the whole law.
    (sides, T, F) float
        Without each of a side's timesteps, which all contrasts of the side share.
    """
    grid = lattice([slot for side in sides for slot in side for _ in range(budget.n_t)], budget.n_yt)
    dual = _dual(functions(grid.points))
    found = [[outcome_transforms(slot, budget.n_yt, grid.step) for slot in side] for side in sides]
    whole = [_side([rows.mean(0) for rows in side], budget) for side in found]
    left = []
    for k, side in enumerate(found):
        others = math.prod(whole[:k] + whole[k + 1 :])
        steps = len(side[0])
        sums = [rows.sum(0) for rows in side]
        rest = [
            _side([(s - rows[t]) / (steps - 1) for s, rows in zip(sums, side, strict=True)], budget)
            for t in range(steps)
        ]
        left.append([(dual @ (transform * others)).real for transform in rest])
    return (dual @ math.prod(whole)).real, np.array(left)


def _dual(values: Array) -> NDArray[np.complex128]:
    """What a law's transform is multiplied by to give the means of functions (F, POINTS), by Parseval's identity."""
    twice = np.full(POINTS // 2 + 1, 2.0)
    twice[[0, -1]] = 1.0
    dual: NDArray[np.complex128] = np.conj(np.fft.rfft(values)) * twice / POINTS
    return dual


def _side(transforms: Sequence[NDArray[np.complex128]], budget: Budget) -> NDArray[np.complex128]:
    """Of the sum of n_t draws from each of a side's contrasts."""
    return np.asarray(math.prod([t for t in transforms for _ in range(budget.n_t)]))
