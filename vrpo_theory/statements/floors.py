"""Floors on t and other fix-ups: which keep the ELBO's mean, and for which models. All ours.

Notation: m(t) = E[S | t]/t, the mean of the time form's ell given t. It is a polynomial in t of degree below L, as
every mask that is not empty has probability t^l (1-t)^(L-l) with l >= 1; the ELBO is its integral over [0, 1]. For
tokens whose terms a_i do not depend on the other masks it is constant, sum a_i. b_l = E[S | l]/l, and the ELBO is the
sum of b_l.
"""

from __future__ import annotations

import numpy as np

from vrpo_theory.instances import StatedTable
from vrpo_theory.numerics import total
from vrpo_theory.statements.time_form import mask_probability, nodes


def _at(x: StatedTable, t: np.ndarray) -> np.ndarray:
    """E[S | t], (T,)."""
    return mask_probability(t, x.counts, x.length) @ x.sums


def floored_mean(x: StatedTable, floor: float) -> float:
    """E ell with t ~ U[floor, 1], in both mask and weight: the mean of m over [floor, 1].

    Unbiased where m is constant, so for independent tokens; else the mean over a part of [0, 1] is another number.
    """
    t, weight = nodes(x.length + 1, floor)
    return total(weight * _at(x, t) / t) / (1 - floor)


def clamped_mean(x: StatedTable, floor: float) -> float:
    """E ell with max(t, floor) in both mask and weight, t ~ U[0, 1].

    (1 - floor) times `floored_mean`, and floor times m(floor): unbiased where m is constant, and biased by the
    difference of floor m(floor) and the integral of m over [0, floor] elsewhere.
    """
    atom = float(_at(x, np.array([floor]))[0]) / floor
    return (1 - floor) * floored_mean(x, floor) + floor * atom


def clamped_weight_mean(x: StatedTable, floor: float) -> float:
    """E ell with t ~ U[0, 1] in the mask, but 1/max(t, floor) as the weight.

    Below the floor ell has the mean m(t) t/floor in place of m(t). So even independent tokens are biased: (1 - floor/2)
    of the ELBO; the integral below is over u = t/floor.
    """
    t, weight = nodes(x.length + 1)
    below = total(floor * weight * _at(x, floor * t)) / floor
    return below + (1 - floor) * floored_mean(x, floor)


def clamped_mask_moment(x: StatedTable, floor: float, smallest: float) -> float:
    """E ell with max(t, floor) in the mask but 1/t as the weight, t ~ U[smallest, 1]: unbounded as smallest -> 0.

    Below the floor S has the mean E[S | floor] at every t, and 1/t integrates to log(floor/smallest).
    """
    below = float(_at(x, np.array([floor]))[0]) * np.log(floor / smallest)
    return float((below + (1 - floor) * floored_mean(x, floor)) / (1 - smallest))


def at_least_one_mean(x: StatedTable) -> float:
    """E of (L/l) S when an empty mask is replaced by one uniformly chosen masked token: biased.

    Counts come from t ~ U[0, 1], so P(l) = 1/(L + 1) for l = 0..L, and l = 1 gets twice its share: the mean is
    L/(L + 1) (ELBO + b_1), which is the ELBO just if b_1 is ELBO/L, its mean over l. (With the weight 1/t kept instead
    of L/l the mean would not even exist: empty masks are likely at small t.)
    """
    size = np.maximum(x.counts, 1)
    length = x.length
    choose = np.array([np.sum(x.counts == count) for count in x.counts])
    single = x.sums[x.counts == 1].mean()
    value = np.where(x.counts == 0, single, x.sums)
    return total(length / size * value / choose) / (length + 1)


def count_weight_mean(x: StatedTable, with_empty: bool) -> float:
    """E of (L + 1)/l S with l uniform on 0..L (unbiased), or on 1..L (biased by 1/L of the ELBO).

    The sum of (L + 1) b_l over l = 1..L, divided by the number of levels, L + 1 or L.
    """
    choose = np.array([np.sum(x.counts == count) for count in x.counts])
    levels = x.length + 1 if with_empty else x.length
    return total((x.length + 1) / x.counts[1:] * x.sums[1:] / choose[1:]) / levels
