"""The one formula: an ELBO estimate is the sum over masks k, tokens i of W[k, i] log p(y_i | y, S_k masked) (layer 2).

The only place where masks meet a model: batches are made here, and numbers leave as float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.numerics import total
from vrpo_theory.types import Masks, Response
from vrpo_theory.weightings.base import Weighting

if TYPE_CHECKING:
    from torch import Tensor

BATCH_SIZE = 64

Request = tuple[Response, NDArray[np.bool_]]
"""A response and the (n, L) masks to evaluate it under."""
Progress = Callable[[int], object]
"""Called with the number of masks just evaluated."""


@runtime_checkable
class LookUp(Protocol):
    """Anything that already holds the answers (an enumerated table, a store) and stands in a model's place."""

    def look_up(self, response: Response, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Log-probabilities (n, L) in nats, 0 at visible tokens."""
        ...


def terms(
    requests: Sequence[Request], model: Any, *, batch_size: int = BATCH_SIZE, progress: Progress | None = None
) -> list[NDArray[np.float64]]:
    """Token terms log p(y_i | y, S_k masked) of every request, in one stream of batches.

    Parameters
    ----------
    requests : sequence of (Response, (n, L) bool)
    model : Model or LookUp
    batch_size : int
        Sequences a forward pass.

    Returns
    -------
    list of (n, L) float64 arrays
        Nats at masked tokens, 0 elsewhere.

    Raises
    ------
    FloatingPointError
        If the model returns a value that is not finite.
    """
    if isinstance(model, LookUp):
        return [model.look_up(response, mask) for response, mask in requests]
    out = [np.zeros(mask.shape) for _, mask in requests]
    for rows in _batches(requests, batch_size):
        for (request, k), values in zip(rows, _evaluate(requests, rows, model), strict=True):
            out[request][k] = values
        if progress is not None:
            progress(len(rows))
    return out


def estimate(masks: Masks, log_prob: NDArray[np.float64], weighting: Weighting) -> float:
    """B_hat in nats: the one formula."""
    return total(weighting.weights(masks) * log_prob)


def collate(
    rows: Sequence[tuple[Response, NDArray[Any]]], model: Any, pad: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Right-padded (tokens, answer, mask, attention), each (B, T), on the model's device."""
    import torch

    width = max(len(response.prompt) + response.length for response, _ in rows)
    tokens = np.full((len(rows), width), pad, np.int64)
    answer, mask, attention = np.zeros((3, len(rows), width), bool)
    for row, (response, masked) in enumerate(rows):
        columns = answer_columns(response)
        tokens[row, : columns.stop] = response.prompt + response.ids
        answer[row, columns] = True
        mask[row, columns] = masked
        attention[row, : columns.stop] = True
    return tuple(torch.from_numpy(x).to(model.device) for x in (tokens, answer, mask, attention))  # type: ignore[return-value]


def answer_columns(response: Response) -> slice:
    """Where `collate` puts the response's tokens."""
    return slice(len(response.prompt), len(response.prompt) + response.length)


def _batches(requests: Sequence[Request], batch_size: int) -> Iterator[list[tuple[int, int]]]:
    """(request, mask) indices of every non-empty mask, sequences of like length together."""
    rows = [(r, k) for r, (_, mask) in enumerate(requests) for k in np.flatnonzero(mask.any(1)).tolist()]
    rows.sort(key=lambda row: answer_columns(requests[row[0]][0]).stop)
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]


def _evaluate(requests: Sequence[Request], rows: list[tuple[int, int]], model: Any) -> Iterator[NDArray[np.float64]]:
    import torch

    batch = [(requests[r][0], requests[r][1][k]) for r, k in rows]
    with torch.no_grad():
        values = model.log_prob(*collate(batch, model)).double().cpu().numpy()
    for (response, _), row in zip(batch, values, strict=True):
        if not np.isfinite(row).all():
            raise FloatingPointError(
                f"the model's log-probabilities of response {response.key.hex()[:8]} are not finite: check its weights"
            )
        yield row[answer_columns(response)]
