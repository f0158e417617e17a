"""Floors on t and other fix-ups: which keep the ELBO's mean, and for which models. All ours."""

from __future__ import annotations

import numpy as np

from vrpo_theory.instances import StatedTable
from vrpo_theory.numerics import total
from vrpo_theory.statements.time_form import mask_probability, nodes


def _at(x: StatedTable, t: np.ndarray) -> np.ndarray:
    """E[S | t], (T,)."""
    return mask_probability(t, x.counts, x.length) @ x.sums


def floored_mean(x: StatedTable, floor: float) -> float:
    """E ell with t ~ U[floor, 1], in both mask and weight."""
    t, weight = nodes(x.length + 1, floor)
    return total(weight * _at(x, t) / t) / (1 - floor)


def clamped_mean(x: StatedTable, floor: float) -> float:
    """E ell with max(t, floor) in both mask and weight, t ~ U[0, 1]."""
    atom = float(_at(x, np.array([floor]))[0]) / floor
    return (1 - floor) * floored_mean(x, floor) + floor * atom


def clamped_weight_mean(x: StatedTable, floor: float) -> float:
    """E ell with t ~ U[0, 1] in the mask, but 1/max(t, floor) as the weight."""
    t, weight = nodes(x.length + 1)
    below = total(floor * weight * _at(x, floor * t)) / floor
    return below + (1 - floor) * floored_mean(x, floor)


def clamped_mask_moment(x: StatedTable, floor: float, smallest: float) -> float:
    """E ell with max(t, floor) in the mask but 1/t as the weight, t ~ U[smallest, 1]: unbounded as smallest -> 0."""
    below = float(_at(x, np.array([floor]))[0]) * np.log(floor / smallest)
    return float((below + (1 - floor) * floored_mean(x, floor)) / (1 - smallest))


def at_least_one_mean(x: StatedTable) -> float:
    """E of (L/l) S when an empty mask is replaced by one uniformly chosen masked token: biased.

    Counts come from t ~ U[0, 1], so P(l) = 1/(L + 1) for l = 0..L, and l = 1 gets twice its share. (With the weight 1/t
    kept instead of L/l the mean would not even exist: empty masks are likely at small t.)
    """
    size = np.maximum(x.counts, 1)
    length = x.length
    choose = np.array([np.sum(x.counts == count) for count in x.counts])
    single = x.sums[x.counts == 1].mean()
    value = np.where(x.counts == 0, single, x.sums)
    return total(length / size * value / choose) / (length + 1)


def count_weight_mean(x: StatedTable, with_empty: bool) -> float:
    """E of (L + 1)/l S with l uniform on 0..L (unbiased), or on 1..L (biased by 1/L of the ELBO)."""
    choose = np.array([np.sum(x.counts == count) for count in x.counts])
    levels = x.length + 1 if with_empty else x.length
    return total((x.length + 1) / x.counts[1:] * x.sums[1:] / choose[1:]) / levels
