"""All 2^L masks of a response through a model: the per-mask table, the ELBO and the likelihood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import batching, elbo
from vrpo_theory.errors import InputError
from vrpo_theory.numerics import total
from vrpo_theory.types import Case, Predictor, Response, Role, Side, block_length

MAX_LENGTH = 20


def all_masks(length: int) -> NDArray[np.bool_]:
    """(2**L, L): row m masks token i where bit i (value 2**i) of m is set.

    Raises
    ------
    InputError
        Above `MAX_LENGTH`.
    """
    if length > MAX_LENGTH:
        raise InputError(
            f"a response of {length} tokens has 2^{length} masks; exact stops at {MAX_LENGTH}: use --method mc"
        )
    return (np.arange(2**length)[:, None] >> np.arange(length) & 1).astype(bool)


@dataclass(frozen=True, eq=False)
class MaskTable:
    """Token terms of a response under one model and every mask.

    Parameters
    ----------
    response : Response
    log_prob : (2**L, L) float64
        Row m as in `all_masks`; nats at masked tokens, 0 elsewhere.
    """

    response: Response
    log_prob: NDArray[np.float64]

    @cached_property
    def sums(self) -> NDArray[np.float64]:
        """S, the unweighted masked sum of every mask, (2**L,)."""
        found: NDArray[np.float64] = self.log_prob.sum(1)
        return found

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Masked tokens of every mask, (2**L,)."""
        found: NDArray[np.int64] = all_masks(self.response.length).sum(1)
        return found

    def count_means(self) -> NDArray[np.float64]:
        """Mean of S over the masks of each count, (L + 1,)."""
        length = self.response.length
        return np.array([total(self.sums[self.counts == c]) / (self.counts == c).sum() for c in range(length + 1)])

    @cached_property
    def elbo(self) -> float:
        """B(y) in nats: E over l uniform on 1..L of (L/l) E S (2505.19223v2, Eq. 14-15)."""
        return total(self.count_means()[1:] / np.arange(1, self.response.length + 1))

    @cached_property
    def elbo_weights(self) -> NDArray[np.float64]:
        """Derivative of the ELBO in every token term, (2**L, L): 1/(l C(L, l)) for the l tokens of a mask."""
        length = self.response.length
        share = [0.0, *(1 / (count * comb(length, count)) for count in range(1, length + 1))]
        found: NDArray[np.float64] = all_masks(length) * np.array(share)[self.counts][:, None]
        return found

    @cached_property
    def log_likelihood(self) -> float:
        """log p(y) in nats when tokens are unmasked one by one in uniformly random order.

        F(S), the log-probability of filling the masked set S, satisfies
        F(S) = log mean over i in S of exp(log p(y_i | S masked) + F(S without i)), F(empty) = 0; F(everything) is
        log of the mean over all L! orders of the product of conditionals.
        """
        return float(self._fill[-1])

    @cached_property
    def likelihood_weights(self) -> NDArray[np.float64]:
        """Derivative of the log-likelihood in every token term, (2**L, L).

        The probability, given the response, that a random order meets the mask and unmasks the token next.
        """
        weights, reached = np.zeros_like(self.log_prob), np.zeros(len(self.log_prob))
        reached[-1] = 1.0
        for rows, token, rest in reversed(list(self._levels())):
            paths = self.log_prob[rows, token] + self._fill[rest]
            weights[rows, token] = reached[rows] * np.exp(paths - self._fill[rows]) / token.shape[1]
            np.add.at(reached, rest, weights[rows, token])
        return weights

    @cached_property
    def _fill(self) -> NDArray[np.float64]:
        """F of every mask, (2**L,)."""
        fill = np.zeros(len(self.log_prob))
        for rows, token, rest in self._levels():
            paths = self.log_prob[rows, token] + fill[rest]
            fill[rows[:, 0]] = np.logaddexp.reduce(paths, axis=1) - np.log(token.shape[1])
        return fill

    def _levels(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """Of every count: its masks (N, 1), their tokens (N, count), and the masks without each of them."""
        masks = all_masks(self.response.length)
        for count in range(1, self.response.length + 1):
            rows = np.flatnonzero(self.counts == count)
            token = np.nonzero(masks[rows])[1].reshape(len(rows), count)
            yield rows[:, None], token, rows[:, None] ^ (1 << token)


@dataclass(frozen=True)
class Tables:
    """Tables of several responses under one model: answers in the model's place (`vrpo_theory.types.LookUp`).

    Parameters
    ----------
    tables : mapping from a response's key to its table
    block_length : int or None
        The model's; then the responses are blocks.
    """

    tables: Mapping[bytes, MaskTable]
    block_length: int | None = None

    def look_up(self, response: Response, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Token terms (n, L) of masks (n, L); KeyError for a response that was not enumerated."""
        return self.tables[response.key].log_prob[mask @ (1 << np.arange(response.length))]

    def __getitem__(self, response: Response) -> MaskTable:
        return self.tables[response.key]


def table_of(tabulated: Case, role: Role, side: Side) -> MaskTable:
    """The table of one response under one model.

    Raises
    ------
    TypeError
        If the case holds models, not tables.
    InputError
        If the response has several blocks, each with a table of its own.
    """
    tables = tables_of(tabulated, role, side)
    if len(tables) > 1:
        raise InputError(
            f"this is not known for block diffusion: the {side} response has {len(tables)} blocks, expected one"
        )
    return tables[0]


def tables_of(tabulated: Case, role: Role, side: Side) -> tuple[MaskTable, ...]:
    """Tables of a response's parts under one model, whose ELBOs and log-likelihoods add up; TypeError as `table_of`."""
    tables = tabulated.model(role)
    if not isinstance(tables, Tables):
        raise TypeError(
            f"the {role} of pair {tabulated.pair.id!r} is no table: call vrpo_theory.tabulate([case]) first"
        )
    return tuple(tables[part] for part in tabulated.parts(side))


def enumerate_masks(
    responses: Sequence[Response],
    models: Sequence[Predictor],
    *,
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> list[Tables]:
    """Evaluate every mask of every response once under every model, in one sweep; one `Tables` per model.

    Parameters
    ----------
    batch_tokens : int
        Most tokens per forward pass: bounds the memory beyond the tables themselves, 8 L 2^L bytes each.

    Raises
    ------
    InputError
        If a response is longer than `MAX_LENGTH` tokens.
    """
    unique = list({r.key: r for r in responses}.values())
    requests = [(r, all_masks(r.length)) for r in unique]
    swept = elbo.sweep(requests, models, batch_tokens=batch_tokens, progress=progress)
    return [
        Tables({r.key: MaskTable(r, table) for r, table in zip(unique, values, strict=True)}, block_length(model))
        for model, values in zip(models, swept, strict=True)
    ]
