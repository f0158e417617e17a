"""Packing for block diffusion: the text before a block is written once, and each of its masks only adds a block.

Sorted by their tokens, the blocks of one response follow one another, each text the beginning of the next: a chain,
with one clean copy of all that lies before its last block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.types import Packed, Packs, Request, Response

if TYPE_CHECKING:
    from torch import Tensor

Piece = tuple[int, NDArray[np.int64]]
"""Part of a request: its index, and the indices of some of its masks."""
Columns = NDArray[np.int64]


@dataclass(frozen=True)
class Chain:
    """Blocks of one text, in their order.

    Parameters
    ----------
    block_length : int
    text : tuple of int
        Of the last block, from the start of its prompt.
    clean : int
        Where the last block begins: the clean copy ends there.
    """

    block_length: int
    text: tuple[int, ...] = ()
    clean: int = 0

    def first(self, response: Response) -> int:
        """Where a response's block begins; the end of its prompt may lie in it."""
        return len(response.prompt) // self.block_length * self.block_length

    def width(self, response: Response) -> int:
        """Tokens that one of its masks adds."""
        return len(_text(response)) - self.first(response)

    def goes_on(self, response: Response) -> bool:
        """Whether its text begins with the chain's."""
        return _text(response)[: len(self.text)] == self.text

    def growth(self, response: Response) -> int:
        """Clean tokens that it adds."""
        return self.first(response) - (self.clean if self.goes_on(response) else 0)

    def joined_by(self, response: Response) -> Chain:
        """The chain that ends with it."""
        return Chain(self.block_length, _text(response), self.first(response))


def packs(requests: Sequence[Request], batch_tokens: int, block_length: int) -> Iterator[list[Piece]]:
    """Every non-empty mask of the requests, in batches that each make one sequence of ``batch_tokens`` at most.

    A single mask with the text before it may be longer, and is a batch of its own then.
    """
    batch: list[Piece] = []
    room, chain = batch_tokens, Chain(block_length)
    for request in sorted(range(len(requests)), key=lambda r: _text(requests[r][0])):
        response, mask = requests[request]
        rows = np.flatnonzero(mask.any(1))
        while len(rows):
            fit = max((room - chain.growth(response)) // chain.width(response), 0 if batch else 1)
            if fit == 0:
                yield batch
                batch, room, chain = [], batch_tokens, Chain(block_length)
                continue
            taken, rows = rows[:fit], rows[fit:]
            room -= chain.growth(response) + chain.width(response) * len(taken)
            chain = chain.joined_by(response)
            batch.append((request, taken))
    if batch:
        yield batch


def log_prob(requests: Sequence[Request], model: Packs) -> Tensor:
    """Log-probabilities (B, T) of requests, laid out as by `vrpo_theory.batching.collate`; one packed sequence."""
    import torch

    layout = _Layout(model.block_length)
    for response, mask in requests:
        layout.add(response, mask)
    fields = torch.from_numpy(np.concatenate(layout.columns, axis=1)).to(model.device)
    value = model.log_prob_packed(Packed(fields[0], fields[1].bool(), *fields[2:]))
    width = max(len(_text(response)) for response, _ in requests)
    row, column, source = torch.from_numpy(np.concatenate(layout.answers, axis=1)).to(value.device)
    return value.new_zeros(layout.rows, width).index_put((row, column), value[source])


class _Layout:
    """A packed sequence that grows request by request.

    Attributes
    ----------
    columns : list of (6, columns) int
        Fields of `Packed`, piece by piece.
    answers : list of (3, tokens) int
        Where answers belong and where they are: row and column as `vrpo_theory.batching.collate` has them, and packed
        column.
    rows, copies : int
        Masks and copies so far.
    """

    def __init__(self, block_length: int) -> None:
        self.columns: list[Columns] = []
        self.answers: list[Columns] = []
        self.rows = self.copies = self._end = self._clean = 0
        self._chain, self._home = Chain(block_length), np.empty(0, np.int64)

    def add(self, response: Response, mask: NDArray[np.bool_]) -> None:
        """Lengthen the clean copy to where the response's block begins, or begin another; then a copy for each mask."""
        if not self._home.size or not self._chain.goes_on(response):
            self._chain, self._home = Chain(self._chain.block_length), np.array([-1])
            self._clean, self.copies = self.copies, self.copies + 1
        text, first = np.array(_text(response)), self._chain.first(response)
        place = np.arange(self._chain.clean, first)
        self._home = np.concatenate([self._home, self._end + np.arange(len(place))])
        self._append(text[place], 0, place, self._clean, self._home[place])
        self._add_copies(response, mask, text, np.arange(first, len(text)))
        self._chain = self._chain.joined_by(response)

    def _add_copies(self, response: Response, mask: NDArray[np.bool_], text: Columns, place: Columns) -> None:
        number, prompt = np.arange(len(mask))[:, None], len(place) - response.length
        column = self._end + len(place) * number + np.arange(len(place))
        before = column - 1
        before[:, 0] = self._home[place[0]]
        self.answers.append(_together(self.rows + number, place[prompt:], column[:, prompt:]))
        self._append(text[place], np.pad(mask, ((0, 0), (prompt, 0))), place, self.copies + number, before)
        self.rows, self.copies = self.rows + len(mask), self.copies + len(mask)

    def _append(
        self, tokens: Columns, mask: NDArray[np.bool_] | int, place: Columns, copy: Columns | int, before: Columns
    ) -> None:
        fields = _together(tokens, mask, place, copy, self._clean, before)
        self.columns.append(fields)
        self._end += fields.shape[1]


def _together(*values: ArrayLike) -> Columns:
    """Several fields of the same columns, one row each."""
    return np.stack([np.ravel(x) for x in np.broadcast_arrays(*values)]).astype(np.int64)


def _text(response: Response) -> tuple[int, ...]:
    return response.prompt + response.ids
