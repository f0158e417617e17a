"""What known mistakes do to the mean of the plain estimator and to the law of its mask counts, exactly.

A mistake predicts the mean on a toy, (toy, n, batch) to nats, and the law of the counts l = 0..L of the rows it
evaluates. Where a mistake has a free parameter (a floor, a padded length) there is one member for each value tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.auditing.toys import Toy
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.instances import StatedTable
from vrpo_theory.numerics import total
from vrpo_theory.statements import floors, public_code
from vrpo_theory.statements.time_form import mask_probability, nodes

Array = NDArray[np.float64]

FLOORS = tuple(float(x) for x in np.round(np.geomspace(0.005, 0.5, 41), 4))
BLOCKS = (4, 8, 16, 32, 64)


@dataclass(frozen=True, eq=False)
class Mistake:
    """A way to be biased.

    Parameters
    ----------
    name : str
    says : str
        What it is, with its parameter.
    mean : callable
        (toy, n, batch) to the mean of the estimate, nats.
    counts : callable or None
        (toy, n, batch) to the law of the counts, (L + 1,); None for uniform on 1..L. A row without a mask may be
        skipped by the estimator, so that only the law given l >= 1 is compared.
    """

    name: str
    says: str
    mean: Callable[[Toy, int, int], float]
    counts: Callable[[Toy, int, int], Array] | None = None


def count_form(toy: Toy, sums: Array, law: Array | None = None, weight: Array | None = None) -> float:
    """Mean of weight(l) x sum over a uniform mask of l tokens; l has the law, by default uniform on 1..L with L/l."""
    counts, length = toy.table.counts, toy.length
    levels = np.arange(1, length + 1)
    means = np.array([sums[counts == c].mean() for c in levels])
    law = np.full(length, 1 / length) if law is None else law[1:]
    return total(law * (length / levels if weight is None else weight) * means)


@cache
def scored(toy: Toy, kind: str) -> Array:
    """Sums of every mask, (2**L,), over other tokens than the masked ones, or of other logits; see `SCORED`."""
    return SCORED[kind](toy)


def _visible_too(toy: Toy) -> Array:
    return np.asarray(toy.log_prob[:, -toy.length :].sum(1))


def _prompt_too(toy: Toy) -> Array:
    return np.asarray(toy.table.sums + toy.log_prob[:, : -toy.length].sum(1))


def _without_last_token(toy: Toy) -> Array:
    return np.asarray(toy.table.log_prob[:, :-1].sum(1))


def _in_bfloat16(toy: Toy) -> Array:
    masks, length = all_masks(toy.length), toy.length
    logits = toy.predictor.table[: 2**length, -length:].bfloat16()
    truth = np.broadcast_to(np.array(toy.answer)[None, :, None], (2**length, length, 1))
    log_prob = np.take_along_axis(logits.log_softmax(-1).double().numpy(), truth, -1)[..., 0]
    return np.asarray(np.where(masks, log_prob, 0.0).sum(1))


SCORED: dict[str, Callable[[Toy], Array]] = {
    "visible": _visible_too,
    "prompt": _prompt_too,
    "without the last": _without_last_token,
    "bfloat16": _in_bfloat16,
}


def _law(toy: Toy) -> StatedTable:
    return StatedTable(toy.table.log_prob)


def _rounded(toy: Toy, n: int, batch: int) -> Array:
    law = public_code.rounded_counts(toy.length, batch)
    return np.array([0.0, *(float(law[c]) for c in range(1, toy.length + 1))])


def _quadrature_levels(n: int) -> Array:
    return (np.arange(n) + 0.5) / n


def _quadrature(toy: Toy, n: int, batch: int) -> float:
    """Midpoints t, floor(t L) masked tokens, weight 1/t."""
    t = _quadrature_levels(n)
    return float(np.mean(toy.table.count_means()[np.floor(t * toy.length).astype(int)] / t))


def _at(toy: Toy, *counts: int) -> Array:
    return np.bincount(counts, minlength=toy.length + 1) / len(counts)


def _without_last(toy: Toy, n: int, batch: int) -> float:
    """The count form over the first L - 1 tokens, the last one always visible."""
    rest = toy.length - 1
    sums, counts = toy.table.sums[: 2**rest], toy.table.counts[: 2**rest]
    return total([sums[counts == c].mean() / c * rest for c in range(1, rest + 1)]) / rest if rest else 0.0


def _binomial_counts(toy: Toy, floor: float, clamped: float) -> Array:
    """Law of the count for t ~ U[floor, 1], a share ``clamped`` of the draws moved to the floor itself."""
    counts, size = toy.table.counts, toy.length + 1

    def at(t: Array) -> Array:
        each = mask_probability(t, counts, toy.length)
        return np.stack([np.bincount(counts, row, size) for row in each])

    t, weight = nodes(size, floor)
    smooth = weight @ at(t) / (1 - floor)
    found: Array = (1 - clamped) * smooth + clamped * at(np.array([floor]))[0]
    return found


def _scaled(name: str, says: str, factor: Callable[[Toy], float]) -> Mistake:
    return Mistake(name, says, lambda toy, n, batch: factor(toy) * toy.elbo)


def _rescored(name: str, says: str, kind: str) -> Mistake:
    return Mistake(name, says, lambda toy, n, batch: count_form(toy, scored(toy, kind)))


def _wrong_scales() -> Iterator[Mistake]:
    yield _scaled("wrong-sign", "a loss is returned, not the ELBO: the sign is wrong", lambda t: -1.0)
    yield _scaled("per-token-mean", "the mean over tokens is returned, not the sum", lambda t: 1 / t.length)
    whole = "the length that enters counts the prompt"
    yield _scaled("prompt-in-length", f"{whole}, as a factor", lambda t: 1 + len(t.prompt) / t.length)
    yield _scaled("prompt-in-length", f"{whole}, as a divisor", lambda t: t.length / (len(t.prompt) + t.length))
    yield _scaled("prompt-in-length", f"{whole}: a mean over all tokens", lambda t: 1 / (len(t.prompt) + t.length))
    yield from map(_padded, BLOCKS)


def _wrong_tokens() -> Iterator[Mistake]:
    yield _rescored("visible-scored", "visible answer tokens are scored too", "visible")
    yield _rescored("prompt-scored", "prompt tokens are scored too", "prompt")
    yield _rescored("eos-dropped", "the last token, the end of sequence, is masked but not scored", "without the last")
    yield Mistake(
        "eos-dropped", "the last token, the end of sequence, is never masked nor scored", _without_last,
        lambda toy, n, batch: np.array([0.0, *np.full(toy.length - 1, 1 / max(toy.length - 1, 1)), 0.0]),
    )  # fmt: skip
    yield _rescored("bfloat16", "log-probabilities are computed in bfloat16", "bfloat16")


def _wrong_counts() -> Iterator[Mistake]:
    yield Mistake(
        "rounded-counts", "counts spread over a batch are rounded half to even, so even ones come more often",
        lambda toy, n, batch: count_form(toy, toy.table.sums, _rounded(toy, n, batch)), _rounded,
    )  # fmt: skip
    yield Mistake(
        "count-plus-one-weight", "the weight is (L + 1)/l, which belongs to l = 0..L, but l runs over 1..L",
        lambda toy, n, batch: floors.count_weight_mean(_law(toy), with_empty=False),
    )  # fmt: skip
    yield Mistake(
        "no-weight", "the masked sum lacks its weight L/l",
        lambda toy, n, batch: count_form(toy, toy.table.sums, None, np.ones(toy.length)),
    )  # fmt: skip
    yield Mistake(
        "count-from-zero", "counts run over 0..L-1: everything masked never occurs",
        lambda toy, n, batch: count_form(toy, toy.table.sums, np.array([*np.full(toy.length, 1 / toy.length), 0.0])),
        lambda toy, n, batch: np.array([*np.full(toy.length, 1 / toy.length), 0.0]),
    )  # fmt: skip
    yield Mistake(
        "at-least-one-mask", "an empty mask is replaced by one masked token",
        lambda toy, n, batch: floors.at_least_one_mean(_law(toy)),
        lambda toy, n, batch: _at(toy, 1, *range(1, toy.length + 1)),
    )  # fmt: skip
    yield Mistake(
        "all-masked", "one forward pass with everything masked stands for the ELBO",
        lambda toy, n, batch: float(toy.table.sums[-1]), lambda toy, n, batch: _at(toy, toy.length),
    )  # fmt: skip
    yield Mistake(
        "floor-quadrature", "fixed times t with floor(t L) masked tokens, weighted by 1/t", _quadrature,
        lambda toy, n, batch: _at(toy, *np.floor(_quadrature_levels(n) * toy.length).astype(int)),
    )  # fmt: skip


def _floor(floor: float) -> Iterator[Mistake]:
    """What public code does about small t, with one floor."""
    yield Mistake(
        "floored-time", f"t is drawn from about [{floor:.2g}, 1] only",
        lambda toy, n, batch: floors.floored_mean(_law(toy), floor),
        lambda toy, n, batch: _binomial_counts(toy, floor, 0.0),
    )  # fmt: skip
    yield Mistake(
        "clamped-time", f"t below about {floor:.2g} is raised to it, in mask and weight",
        lambda toy, n, batch: floors.clamped_mean(_law(toy), floor),
        lambda toy, n, batch: _binomial_counts(toy, floor, floor),
    )  # fmt: skip
    yield Mistake(
        "clamped-weight", f"the weight is 1/max(t, about {floor:.2g}) but masks are drawn with t itself",
        lambda toy, n, batch: floors.clamped_weight_mean(_law(toy), floor),
    )  # fmt: skip


def _padded(block: int) -> Mistake:
    says = f"the score is divided by the length padded to a multiple of {block}"
    return _scaled("padded-length", says, lambda toy: toy.length / (block * math.ceil(toy.length / block)))


@cache
def known() -> tuple[Mistake, ...]:
    """Every mistake with a predicted mean."""
    floored = (mistake for floor in FLOORS for mistake in _floor(floor))
    return (*_wrong_scales(), *_wrong_tokens(), *_wrong_counts(), *floored)


@cache
def mean_of(mistake: Mistake, toy: Toy, n: int, batch: int) -> float:
    """The predicted mean, computed once."""
    return mistake.mean(toy, n, batch)
