"""Batches: the only place where masks become tensors on a model's device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import packing
from vrpo_theory.errors import out_of_memory
from vrpo_theory.packing import Piece
from vrpo_theory.types import Model, Request, Response, packs

if TYPE_CHECKING:
    from torch import Tensor

BATCH_TOKENS = 2**12
"""Tokens per forward pass, padding included: four sequences of 1,024 tokens keep a GPU busy with 8B weights."""


def batches(requests: Sequence[Request], batch_tokens: int, models: Sequence[object] = ()) -> Iterator[list[Piece]]:
    """Every non-empty mask of the requests, sequences of like length together, in batches within a token budget.

    Parameters
    ----------
    models : sequence, optional
        That are to see the batches; where all of them pack (`vrpo_theory.packing`), a batch is a packed sequence.
    """
    lengths = {model.block_length if packs(model) else None for model in models} or {None}
    (length,) = lengths if len(lengths) == 1 else (None,)
    return _rectangles(requests, batch_tokens) if length is None else packing.packs(requests, batch_tokens, length)


def _rectangles(requests: Sequence[Request], batch_tokens: int) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    held = 0
    for request in sorted(range(len(requests)), key=lambda r: answer_columns(requests[r][0]).stop):
        response, mask = requests[request]
        room = max(1, batch_tokens // answer_columns(response).stop)
        rows = np.flatnonzero(mask.any(1))
        while len(rows):
            if held >= room:
                yield batch
                batch, held = [], 0
            taken, rows = rows[: room - held], rows[room - held :]
            batch.append((request, taken))
            held += len(taken)
    if batch:
        yield batch


def select(requests: Sequence[Request], pieces: Sequence[Piece]) -> list[Request]:
    """The parts of requests that make up a batch."""
    return [(requests[r][0], requests[r][1][rows]) for r, rows in pieces]


def collate(requests: Sequence[Request], model: Model, pad: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Right-padded (tokens, answer, mask, attention), each (B, T), on the model's device; one row per mask."""
    import torch

    rows, width = sum(len(mask) for _, mask in requests), max(answer_columns(r).stop for r, _ in requests)
    tokens = np.full((rows, width), pad, np.int64)
    answer, masked, attention = np.zeros((3, rows, width), bool)
    for (response, mask), part in zip(requests, parts(requests), strict=True):
        columns = answer_columns(response)
        tokens[part, : columns.stop] = response.prompt + response.ids
        answer[part, columns] = True
        masked[part, columns] = mask
        attention[part, : columns.stop] = True
    on_device = [torch.from_numpy(x).to(model.device) for x in (tokens, answer, masked, attention)]
    return on_device[0], on_device[1], on_device[2], on_device[3]


def log_prob(requests: Sequence[Request], model: Model) -> Tensor:
    """Log-probabilities (B, T) of requests as `collate` lays them out, packed where the model can."""
    turn = getattr(model, "turn", None)
    if turn is not None:
        turn()
    return packing.log_prob(requests, model) if packs(model) else model.log_prob(*collate(requests, model))


def weighted_sum(model: Model, requests: Sequence[Request], weights: Sequence[NDArray[np.float64]]) -> Tensor:
    """Sum over masks and tokens of weight times log-probability, in float64 and differentiable.

    Parameters
    ----------
    weights : (n, L) float per request
    """
    import torch

    value = log_prob(requests, model)
    return (value.double() * torch.from_numpy(spread(requests, weights)).to(value.device)).sum()


@dataclass(frozen=True, eq=False)
class WeightedTerms:
    """A weighted sum of token log-probabilities under a model.

    What every gradient here is that of: the weights are constants, however they came about.

    Parameters
    ----------
    requests : list of (Response, (n, L) bool)
    weights : list of (n, L) float
    """

    requests: list[Request]
    weights: list[NDArray[np.float64]]

    def __add__(self, other: Self) -> Self:
        return type(self)(self.requests + other.requests, self.weights + other.weights)

    def __mul__(self, factor: float) -> Self:
        return type(self)(self.requests, [factor * weight for weight in self.weights])

    def batches(self, batch_tokens: int, model: object = None) -> Iterator[Self]:
        """Parts that fit a forward pass of the model each, and add up to the whole."""
        for pieces in batches(self.requests, batch_tokens, [model]):
            yield type(self)(select(self.requests, pieces), [self.weights[r][rows] for r, rows in pieces])

    def value(self, model: Model) -> Tensor:
        """The sum, differentiable, in one forward pass."""
        return weighted_sum(model, self.requests, self.weights)

    def backward(self, model: Model, batch_tokens: int) -> None:
        """Accumulate the gradient in the parameters' ``.grad``, batch by batch, so that one graph exists at a time."""
        for part in self.batches(batch_tokens, model):
            part.value(model).backward()


def spread(requests: Sequence[Request], weights: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Per-mask token weights, (n, L) per request, laid out as `collate` lays out tokens: (B, T)."""
    rows, width = sum(len(mask) for _, mask in requests), max(answer_columns(r).stop for r, _ in requests)
    out = np.zeros((rows, width))
    for (response, _), part, weight in zip(requests, parts(requests), weights, strict=True):
        out[part, answer_columns(response)] = weight
    return out


def answer_columns(response: Response) -> slice:
    """Where `collate` puts the response's tokens."""
    return slice(len(response.prompt), len(response.prompt) + response.length)


def parts(requests: Sequence[Request]) -> Iterator[slice]:
    """The rows of a batch that belong to each of its requests."""
    start = 0
    for _, mask in requests:
        yield slice(start, start + len(mask))
        start += len(mask)


def forward(batch: Sequence[Request], model: Model) -> NDArray[np.float64]:
    """Log-probabilities (B, T) of a batch, by halves where the whole does not fit into memory."""
    import torch

    try:
        with torch.no_grad():
            found: NDArray[np.float64] = log_prob(batch, model).double().cpu().numpy()
            return found
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        reason = (str(error) or "out of memory").splitlines()[0]
    halves = _halves(batch)
    if halves is None:
        length = answer_columns(batch[0][0]).stop
        raise MemoryError(f"a single sequence of {length} tokens does not fit on {model.device} ({reason})")
    width = max(answer_columns(response).stop for response, _ in batch)
    answers = [forward(half, model) for half in halves]
    return np.concatenate([np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in answers])


def _halves(batch: Sequence[Request]) -> tuple[list[Request], list[Request]] | None:
    """The first and the second half of a batch's rows; None if there is only one row."""
    rows = sum(len(mask) for _, mask in batch)
    if rows == 1:
        return None
    cut = [min(max(rows // 2 - part.start, 0), len(mask)) for part, (_, mask) in zip(parts(batch), batch, strict=True)]
    first = [(response, mask[:k]) for (response, mask), k in zip(batch, cut, strict=True) if k]
    second = [(response, mask[k:]) for (response, mask), k in zip(batch, cut, strict=True) if k < len(mask)]
    return first, second
