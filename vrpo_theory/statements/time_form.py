"""The time form of the ELBO estimate: its equivalence with the count form, and its infinite variance.

Time form (Eq. 12): t ~ U[0, 1], tokens masked independently with probability t, ell = S/t. Count form (Eq. 14):
l ~ U{1..L}, a uniform set of l tokens, ell' = (L/l) S. S is the masked sum, a_i the term of token i masked alone.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.instances import StatedTable, independent_tokens
from vrpo_theory.numerics import gauss_legendre, gauss_log, total
from vrpo_theory.statements.base import PAPER, state
from vrpo_theory.types import Profile

Array = NDArray[np.float64]
FLOORS = 10.0 ** -np.arange(3.0, 9.0)
"""Floors, a decade apart, at which a diverging second moment is shown."""
NO_TIME = "the model does not read t"


def independent_variance(terms: ArrayLike, floor: ArrayLike) -> Array:
    """Variance of ell with t ~ U[floor, 1] for independent tokens, in closed form (ours).

    sum a_i^2 (-ln floor/(1 - floor) - 1): given t the mean is sum a_i, and the variance sum a_i^2 (1 - t)/t.
    """
    eps, a = np.asarray(floor, dtype=float), np.asarray(terms, dtype=float)
    found: Array = total(a**2) * (-np.log(eps) / (1 - eps) - 1)
    return found


def independent_count_variance(terms: ArrayLike) -> float:
    """Variance of ell' for independent tokens, in closed form: L^2 (H_L - 1)/(L - 1) times the tokens' variance (ours).

    Given l the mean is sum a_i, and S has variance l (L - l)/(L - 1) sigma_a^2 (sampling without replacement); (L/l)^2
    times that averages to L sigma_a^2 sum_l (L/l - 1)/(L - 1). H_L is the harmonic number.
    """
    a = np.asarray(terms, dtype=float)
    length = len(a)
    if length == 1:
        return 0.0
    spread = total((a - total(a) / length) ** 2) / length
    return length**2 * (math.fsum(1 / k for k in range(1, length + 1)) - 1) / (length - 1) * spread


def single_mask_moment(length: int, floor: float) -> float:
    """Integral of (1 - t)^(L-1)/t over [floor, 1], in closed form: -ln floor - sum_{k<L} (1 - floor)^k/k.

    With u = 1 - t, u^(L-1)/t = 1/t - (1 + u + ... + u^(L-2)).
    """
    powers = [(1 - floor) ** k / k for k in range(1, length)]
    return -math.log(floor) - math.fsum(powers)


def nodes(count: int, low: float = 0.0) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on [low, 1]: exact for polynomials of degree below 2 count."""
    share, t = gauss_legendre(low, 1.0, count)
    return t, (1 - low) * share


def log_nodes(low: float, panels_per_decade: int = 6) -> tuple[Array, Array]:
    """Composite Gauss-Legendre in log t on [low, 1]: nodes t and weights for dt."""
    weight, t = gauss_log(low, 1.0, max(1, math.ceil(-math.log10(low) * panels_per_decade)))
    return t, weight


def mask_probability(t: ArrayLike, counts: ArrayLike, length: int) -> Array:
    """P(this very mask | t) = t^l (1 - t)^(L - l); t (T,), counts (M,): (T, M)."""
    time, size = np.asarray(t, dtype=float)[:, None], np.asarray(counts)
    found: Array = time**size * (1 - time) ** (length - size)
    return found


def count_mean(x: StatedTable) -> float:
    """E ell' of the count form, mask by mask."""
    length = x.length
    parts = [
        length / count * (row.sum() + count * x.time_slope * count / length) / (length * math.comb(length, count))
        for row, count in zip(x.terms[1:], x.counts[1:].tolist(), strict=True)
    ]
    return math.fsum(parts)


def time_mean(x: StatedTable) -> float:
    """E ell of the time form by quadrature that is exact: given t it is a polynomial of degree at most L."""
    t, weight = nodes(x.length + 1)
    value = x.sums + np.outer(t, x.counts) * x.time_slope
    return total(weight * (mask_probability(t, x.counts, x.length) * value).sum(1) / t)


@state(
    "equation14", PAPER + "Eq. 12 and 14", r"\mathbb{E}_{t, y_t}\,\ell = \mathbb{E}_{l, y_l}\,\ell'", "=", "mask table",
    form="sharp", assumptions=(NO_TIME,),
    violated_by=lambda: StatedTable(independent_tokens([-1.0, -2.0]).terms, time_slope=0.5),
)  # fmt: skip
def equivalence(x: StatedTable) -> tuple[float, float]:
    """Both put the same weight on every mask, and the empty one adds 0 to either.

    A mask of l >= 1 tokens has probability t^l (1-t)^(L-l) given t, and the weight 1/t: the time form multiplies its S
    by the integral of t^(l-1) (1-t)^(L-l), Euler's B(l, L-l+1) = (l-1)! (L-l)!/L! = 1/(l C(L, l)). The count form
    multiplies it by L/l times its probability 1/(L C(L, l)): the same. The second integral, of C(L, l) t^l (1-t)^(L-l),
    is C(L, l) B(l+1, L-l+1) = 1/(L+1) = P(l), for l = 0..L; over it the first, C(L, l)/(l C(L, l)) = 1/l, gives
    E[1/t | l] = (L + 1)/l. A model that reads t breaks it.
    """
    return time_mean(x), count_mean(x)


def second_moment(profile: Profile, floor: float, role: int = 0) -> float:
    """E ell^2 of the time form with t ~ U[floor, 1], from the moments of S for every count."""
    length = profile.length
    t, weight = log_nodes(floor)
    choose = np.array([math.comb(length, count) for count in range(length + 1)], dtype=float)
    square = profile.covariance[:, role, role] + profile.mean[:, role] ** 2
    given = (choose * mask_probability(t, np.arange(length + 1), length)) @ square
    return total(weight * given / t**2) / (1 - floor)


def _certain_singles() -> Profile:
    """A model that is certain of every token masked alone: nothing diverges."""
    mean = np.array([[0.0, 0.0], [0.0, 0.0], [-3.0, -3.0]])
    return Profile(mean, np.zeros((3, 2, 2)))


@state(
    "time_form_diverges", "ours; 2505.19223v2, Lemma 5 and Proposition 1 are vacuous there",
    r"\mathbb{E}\ell^2 \ge \sum_i a_i^2 \int_\epsilon^1 (1-t)^{L-1}/t\,dt \to \infty", "diverges", "profile",
    form="sharp", assumptions=("some token masked alone is not certain: sum a_i^2 > 0",),
    violated_by=_certain_singles,
)  # fmt: skip
def diverges(x: Profile) -> tuple[list[float], list[float]]:
    """Only masks of one token: probability t (1-t)^(L-1), ell = a_i/t. Their share of E ell^2 alone is the bound.

    It grows by ln(10) sum a_i^2 per decade of the floor. V_t is finite, as b(t) is a polynomial; so V_yt is infinite.
    """
    singles = x.length * float(x.covariance[1, 0, 0] + x.mean[1, 0] ** 2)
    return (
        [second_moment(x, floor) for floor in FLOORS.tolist()],
        [singles * single_mask_moment(x.length, floor) / (1 - floor) for floor in FLOORS.tolist()],
    )


@state(
    "count_form_gain", "ours", r"\mathbb{V}\ell' = \mathbb{V}(\mathbb{E}[\ell\,|\,mask]) - \mathbb{E}\ell'^2/L", "=",
    "profile", form="sharp", assumptions=("no token is masked when l = 0, so that S is 0 there",),
    violated_by=lambda: Profile(np.array([[-1.0, 0.0], [-2.0, 0.0]]), np.zeros((2, 2, 2))),
)  # fmt: skip
def count_gain(x: Profile) -> tuple[float, float]:
    """Given the mask, the time form's ell has mean S E[1/t | l], with E[1/t | l] = (L + 1)/l under P(l) = 1/(L + 1).

    So V(E[ell | mask]) = E ell'^2 (L + 1)/L - B^2: averaging out t leaves more than the count form has, by E ell'^2/L,
    because the time form wastes 1/(L + 1) of its draws on the empty mask. The right side integrates over t.
    """
    length = x.length
    size = np.arange(1, length + 1)
    square = x.covariance[1:, 0, 0] + x.mean[1:, 0] ** 2
    second = total((length / size) ** 2 * square) / length
    count_variance = second - (total(x.mean[1:, 0] / size)) ** 2
    return count_variance, _conditional_variance(x) - second / length


def _conditional_variance(x: Profile) -> float:
    """V(E[ell | mask]) of the unfloored time form, by quadrature over t."""
    length = x.length
    t, weight = nodes(length + 1)
    choose = np.array([math.comb(length, count) for count in range(length + 1)], dtype=float)
    chance = choose * mask_probability(t, np.arange(length + 1), length)
    prob, inverse = weight @ chance, (weight / t) @ chance
    expected = np.where(np.arange(length + 1) > 0, inverse / prob, inverse[-1] / prob[-1])
    square = x.covariance[:, 0, 0] + x.mean[:, 0] ** 2
    return total(prob * expected**2 * square) - total(prob * expected * x.mean[:, 0]) ** 2


@state(
    "assumption1_count", PAPER + "Assumption 1, count form", r"\|\nabla\ell'\| \le L \max_i \|\nabla\log p_i\|", "<=",
    "mask table", form="sharp", assumptions=("weights are L/l, as in the count form", "visible tokens are not summed"),
    witness=lambda: independent_tokens([-1.0, -1.0, -1.0]), violated_by=lambda: StatedTable(np.ones((4, 2))),
)  # fmt: skip
def bounded_terms(x: StatedTable) -> tuple[float, float]:
    """(L/l) times a sum of l terms is at most L times the largest; one coordinate of the gradient stands for all.

    The time form's ell = S/t has no such bound as t -> 0.
    """
    weighted = x.length * np.abs(x.sums[1:]) / x.counts[1:]
    return float(weighted.max()), x.length * float(np.abs(x.terms).max())
