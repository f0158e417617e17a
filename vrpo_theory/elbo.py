"""The one formula: an ELBO estimate is the sum over masks k, tokens i of W[k, i] log p(y_i | y, S_k masked).

The only place where masks meet a model; numbers leave as float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.batching import BATCH_TOKENS, answer_columns, batches, forward, parts, select
from vrpo_theory.numerics import total
from vrpo_theory.types import SIDES, Case, LookUp, Masks, Model, Predictor, Recorder, Request, Response
from vrpo_theory.weightings.base import Weighting

if TYPE_CHECKING:
    from torch import Tensor

Progress = Callable[[int], object]
"""Called with the number of masks just evaluated, or recalled."""


class NotFiniteError(FloatingPointError):
    """A model's log-probabilities of a response are not finite."""

    def __init__(self, response: Response, reason: str) -> None:
        super().__init__(f"the model's log-probabilities of response {response.key.hex()[:8]} are not finite: {reason}")
        self.response, self.reason = response, reason


@contextmanager
def naming(cases: Sequence[Case]) -> Iterator[None]:
    """Let what is not finite be said of the pair that holds the response."""
    try:
        yield
    except NotFiniteError as error:
        for case in cases:
            for side in SIDES:
                if any(part.key == error.response.key for part in case.parts(side)):
                    raise FloatingPointError(
                        f"the model's log-probabilities of {side} of pair {case.pair.id!r} are not finite: "
                        f"{error.reason}"
                    ) from error
        raise


def terms(
    requests: Sequence[Request], model: Predictor, *, batch_tokens: int = BATCH_TOKENS, progress: Progress | None = None
) -> list[NDArray[np.float64]]:
    """Token terms log p(y_i | y, S_k masked) of every request under one model; see `sweep`."""
    return sweep(requests, [model], batch_tokens=batch_tokens, progress=progress)[0]


def sweep(
    requests: Sequence[Request],
    models: Sequence[Predictor],
    *,
    batch_tokens: int = BATCH_TOKENS,
    progress: Progress | None = None,
) -> list[list[NDArray[np.float64]]]:
    """Token terms of every request under every model, one model after the other, in batches that all models see.

    A Recorder has a stream to itself: of the masks that it lacks, each once. It keeps a batch before the next one
    begins, and batches are filled greedily in a fixed order, so a run that was cut off goes on with the very batches
    that it had left: at equal ``batch_tokens`` and threads its numbers are those of an unbroken run, bit for bit.

    Parameters
    ----------
    requests : sequence of (Response, (n, L) bool)
    models : sequence of Model, Recorder or LookUp
    batch_tokens : int
        Most tokens per forward pass, padding included, unless a single sequence has more.

    Returns
    -------
    list of list of (n, L) float64 arrays
        By model, then request: nats at masked tokens, 0 elsewhere.

    Raises
    ------
    FloatingPointError
        If a model returns a value that is not finite.
    MemoryError
        If a single sequence does not fit; larger batches are halved until they do.
    """
    out = [_answered(requests, model, batch_tokens, progress) for model in models]
    live = [(m, values) for m, values in zip(models, out, strict=True) if not isinstance(m, LookUp | Recorder)]
    everybody = [model for model, _ in live]
    # One model after the other: where both do not fit into memory, mapped weights are read from the disk once.
    for model, values in live:
        for pieces in batches(requests, batch_tokens, everybody):
            batch = select(requests, pieces)
            for (request, rows), found in zip(pieces, _evaluate(batch, model), strict=True):
                values[request][rows] = found
            if progress is not None:
                progress(sum(len(rows) for _, rows in pieces))
    return out


def estimate(masks: Masks, log_prob: NDArray[np.float64], weighting: Weighting) -> float:
    """B_hat in nats: the one formula."""
    return total(weighting.weights(masks) * log_prob)


def _answered(
    requests: Sequence[Request], model: Predictor, batch_tokens: int, progress: Progress | None
) -> list[NDArray[np.float64]]:
    """The answers that need no part in the common stream; zeros to be filled in for a model."""
    if isinstance(model, Recorder):
        return _recorded(requests, model, batch_tokens, progress)
    if isinstance(model, LookUp):
        return [model.look_up(response, mask) for response, mask in requests]
    return [np.zeros(mask.shape) for _, mask in requests]


def _recorded(
    requests: Sequence[Request], recorder: Recorder, batch_tokens: int, progress: Progress | None
) -> list[NDArray[np.float64]]:
    """Evaluate and record what a recorder lacks; then it answers, so that what is used is what is kept."""
    recalled = [recorder.recall(response, mask) for response, mask in requests]
    missing = _missing(requests, [known for _, known in recalled])
    lacking = sum(len(mask) for _, mask in missing)
    if progress is not None:
        progress(sum(int(mask.any(1).sum()) for _, mask in requests) - lacking)
    if lacking:
        model = recorder.evaluator(lacking)
        for pieces in batches(missing, batch_tokens, [model]):
            batch = select(missing, pieces)
            recorder.record(batch, _evaluate(batch, model))
            if progress is not None:
                progress(sum(len(rows) for _, rows in pieces))
    return [
        values if known.all() else recorder.recall(*request)[0]
        for request, (values, known) in zip(requests, recalled, strict=True)
    ]


def _missing(requests: Sequence[Request], known: Sequence[NDArray[np.bool_]]) -> list[Request]:
    """The unknown masks of every response, each once, both in order of appearance."""
    groups: dict[bytes, list[Request]] = {}
    for (response, mask), rows in zip(requests, known, strict=True):
        groups.setdefault(response.key, []).append((response, mask[~rows]))
    out = []
    for group in groups.values():
        mask = np.concatenate([part for _, part in group])
        first = np.unique(mask, axis=0, return_index=True)[1]
        out.append((group[0][0], mask[np.sort(first)]))
    return out


def _evaluate(batch: Sequence[Request], model: Model) -> list[NDArray[np.float64]]:
    """Token terms (n, L) of every request of a batch."""
    values = forward(batch, model)
    out = [values[part, answer_columns(r)] for (r, _), part in zip(batch, parts(batch), strict=True)]
    for (response, _), found in zip(batch, out, strict=True):
        if not np.isfinite(found).all():
            raise NotFiniteError(response, _spoilt(model))
    return out


def _spoilt(model: object) -> str:
    """What is wrong with a model that gives numbers that are not finite."""
    parameters: Callable[[], Iterable[tuple[str, Tensor]]] = getattr(model, "named_parameters", tuple)
    named = parameters()
    odd = [name for name, tensor in named if not bool(tensor.isfinite().all())]
    if odd:
        return f"its weight {odd[0]} is not, and {len(odd) - 1} more" if odd[1:] else f"its weight {odd[0]} is not"
    return "its weights are, so they overflow on the way: check them, or take a wider dtype"
