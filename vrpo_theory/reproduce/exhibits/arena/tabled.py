"""Entrants of the arena that are no weighted sum of mask terms, or see other masks: worked out on tables of all masks.

Each gives the mean and variance of its margin: policy minus reference, chosen minus rejected, in nats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import exact
from vrpo_theory.exact.enumeration import MaskTable, all_masks, table_of
from vrpo_theory.numerics import gauss_log, total, variance_estimate
from vrpo_theory.randomness import Address
from vrpo_theory.schemes import VRPO, Scheme
from vrpo_theory.types import ROLES, SIDES, Budget, Case, Estimate

Array = NDArray[np.float64]

POWER = 1.5
"""SPG's beta in its own configuration (github.com/facebookresearch/SPG)."""
SIGNS = {(role, side): (-1.0) ** (i + j) for i, role in enumerate(ROLES) for j, side in enumerate(SIDES)}


@dataclass(frozen=True)
class MarginMoments:
    """Exact mean, and variance, of a margin at some passes; where it is nonlinear, the limit of its mean as n grows."""

    mean: float
    variance: Estimate
    passes: int
    limit: float | None = None


@dataclass(frozen=True)
class Tabled:
    """One entrant: what it estimates, and how its moments follow from a tabulated case and n."""

    about: str
    moments: Callable[[Case, int, int], MarginMoments]


def frozen_bank(case: Case, n: int, repeats: int) -> MarginMoments:
    """Masks drawn once and kept for a whole run: nothing varies between steps, and what was drawn never averages out.

    The bias of a bank has mean 0 over banks; its root mean square, given here, is VRPO's standard deviation.
    """
    spread = exact.margin_variance(exact.profiles(case), Scheme(budget=Budget(n))) ** 0.5
    return MarginMoments(exact.true_margin(case) + spread, Estimate(0.0), n)


def fully_masked(case: Case, n: int, repeats: int) -> MarginMoments:
    """d1: one pass with every token masked, the sum of its terms; no noise."""
    return MarginMoments(_signed(case, lambda table: float(table.sums[-1])), Estimate(0.0), 1)


def end_as_context(case: Case, n: int, repeats: int) -> MarginMoments:
    """Dream's evaluation: the last token, EOS, is never masked, but context; VRPO's sampler on the others."""
    mean = variance = 0.0
    for side in SIDES:
        policy, reference = (table_of(case, role, side) for role in ROLES)
        keep = ~all_masks(policy.response.length)[:, -1]
        sums, counts = (policy.sums - reference.sums)[keep], policy.counts[keep]
        others = np.arange(1, policy.response.length)
        terms = [len(others) / count * sums[counts == count] for count in others]
        means = np.array([term.mean() for term in terms])
        mean += (1 if side == "chosen" else -1) * float(means.mean())
        variance += (float(np.mean([np.mean(term**2) for term in terms])) - float(means.mean()) ** 2) / n
    return MarginMoments(mean, Estimate(variance), n)


def spg(case: Case, n: int, repeats: int) -> MarginMoments:
    """SPG's upper bound in the ELBO's place: (1/beta) sum over tokens of log mean over masks of 1[held] p^beta L/l.

    The log of a mean is biased down at finite n: exactly, E log X = integral of (e^-s - E e^-sX)/s, and for n iid masks
    E e^-sX is the n-th power of one mask's. A token that no mask holds adds 0, as in the code.
    """
    mean = _signed(case, lambda table: total(_log_means(table, n)) / POWER)
    limit = _signed(case, lambda table: upper_bound(table, POWER))
    return MarginMoments(mean, variance_estimate(_replicated_spg(case, n, repeats)), n, limit)


def upper_bound(table: MaskTable, power: float) -> float:
    """(1/b) sum over tokens of log E p^b, p at the token's turn in uniformly random order; the limit of SPG's.

    The likelihood is the mean over orders of a product over tokens. By Hoelder's inequality it is at most the product
    of (E p_i^b)^(1/b) if b is at least L; for smaller b nothing is promised.
    """
    chance, values = _held(table)
    return total(np.log((chance[:, None] * values**power).sum(0))) / power


def _held(table: MaskTable) -> tuple[Array, Array]:
    """Of every mask: its probability times L/l under VRPO's sampler, (2^L,), and p at the tokens it holds, (2^L, L)."""
    masks, length = all_masks(table.response.length), table.response.length
    number = np.bincount(table.counts, minlength=length + 1)[table.counts]
    chance = np.where(table.counts > 0, 1 / (np.maximum(table.counts, 1) * number), 0.0)
    return chance, np.where(masks, np.exp(table.log_prob), 0.0)


def _log_means(table: MaskTable, n: int) -> list[float]:
    """E of the log of the mean over n iid masks, 0 where no mask holds the token; by token, exactly by quadrature."""
    weight, s = gauss_log(1e-12, 1e10, 60)
    chance, values = _held(table)
    length = table.response.length
    prob = chance * table.counts / length  # of the mask
    factor = np.where(table.counts > 0, length / np.maximum(table.counts, 1), 0.0)
    found = []
    for token in range(length):
        x = factor * values[:, token] ** POWER * (values[:, token] > 0)
        transform = (prob[:, None] * np.exp(-x[:, None] * s / n)).sum(0) ** n
        never = float(prob[x == 0].sum()) ** n
        found.append(total(weight * (np.exp(-s) * (1 - never) - (transform - never)) / s))
    return found


def _replicated_spg(case: Case, n: int, repeats: int) -> Array:
    """Independent estimates of the margin, (repeats,)."""
    out = np.zeros(repeats)
    for (role, side), sign in SIGNS.items():
        table = table_of(case, role, side)
        length = table.response.length
        for repeat in range(repeats):
            address = Address(0, VRPO.design.address, n, 1, table.response.key, repeat)
            mask = VRPO.design.draw(address.uniforms(), length, Budget(n)).mask
            held = np.where(mask, np.exp(POWER * table.log_prob[mask @ (1 << np.arange(length))]), 0.0)
            mean = (held * (length / mask.sum(1))[:, None]).mean(0)
            out[repeat] += sign * float(np.log(mean[mean > 0]).sum()) / POWER
    return out


def _signed(case: Case, value: Callable[[MaskTable], float]) -> float:
    """A margin of numbers that each response has under each model."""
    return total([sign * value(table_of(case, role, side)) for (role, side), sign in SIGNS.items()])


TABLED: Mapping[str, Tabled] = {
    "ELBO-KTO, frozen bank": Tabled("estimates the ELBO, on masks that are drawn once; weights: none", frozen_bank),
    "d1": Tabled("estimates the terms of the full mask; weights: none", fully_masked),
    "Dream's evaluation": Tabled("estimates the ELBO of all but the last token; weights: none", end_as_context),
    "SPG, upper bound": Tabled("estimates an upper bound's limit; weights: none", spg),
}
