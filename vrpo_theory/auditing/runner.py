"""The audit: calls where they decide, until every cell is decided, one is rejected, or the budget ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Unpack

from vrpo_theory.auditing.cells import OUT_OF_TIME, AuditCell
from vrpo_theory.auditing.diagnosis import diagnose
from vrpo_theory.auditing.estimator import Estimator
from vrpo_theory.auditing.generators import GeneratorUse, derived, probe, seed_global, untouched
from vrpo_theory.auditing.report import Audit
from vrpo_theory.auditing.rules import AuditOptions, Rules, check_options, places
from vrpo_theory.auditing.toys import toy

FIRST, LAST = 64, 1024
"""Calls a cell gets at its first turn, and at most in one turn."""
HEAVY = 4000
"""Calls of a cell whose values leave the assumed range: enough to see how its tail falls. A time form goes on."""
NAMING, NAMING_SHARE = 400, 1 / 8
"""After a rejection, calls a cell gets so that the mistake can be named, and their share of the audit's time."""

Progress = Callable[[int, int], object]


def audit(
    estimator: Callable[..., Any],
    *,
    seed: int = 0,
    full: bool = False,
    progress: Progress | None = None,
    **options: Unpack[AuditOptions],
) -> Audit:
    """Compare an ELBO estimator with exact values on toys.

    Parameters
    ----------
    estimator : callable
        ``(model, prompt_ids, answer_ids, n, generator)`` to an estimate of the ELBO in nats (a sum over tokens, so it
        is negative), or (estimate, standard error). ``model(input_ids, attention_mask=None).logits`` takes int64 (B, T)
        and gives (B, T, V); ``model.config.mask_token_id``; ids are int64 (P,) and (L,); n is the number of forward
        rows it may use; all randomness comes from ``generator``, a torch.Generator. ``batch_size`` is passed if its
        signature has it: 1, and min(n, 16).
    seed : int
    full : bool
        Go on after a rejection until every cell is decided.
    progress : callable
        Called with the number of decided cells and of all.
    **options
        ``lengths``, ``n``, ``alpha``, ``margin``, ``toys``, ``span``, ``calls`` and ``seconds``, as in
        `vrpo_theory.auditing.rules.AuditOptions`.

    Returns
    -------
    Audit
        Rejected if some cell's bias is not 0; accepted if every cell's is at most the margin; else undecided.

    Raises
    ------
    InputError
        For a bad option, or an estimator that is not callable, takes other arguments or returns no number.
    EstimatorError
        If the estimator raises.

    Notes
    -----
    Assumed: calls in one cell are independent with one mean (an estimator without memory), and values lie in the
    range. "Too low" needs only its upper end, which holds of any weighted sum of log-probabilities with weights >= 0;
    "too high" and acceptance need its lower end: an estimator whose mean rests on values that are too rare to show
    and lie beyond it escapes. A value above the range leaves the cell undecided; one below it, too, unless the
    estimator is the time form: that is accepted up to what lies below the range (`vrpo_theory.auditing.heavy`).
    Then the verdict is right with probability 1 - alpha, whenever sampling stops (see `sequential`). An estimator
    without bias is rejected if any cell rejects it: alpha is shared by cells and sides. One with a bias beyond the
    margin is accepted only if the very cell that holds the bias accepts it: every cell may use the whole alpha, and
    each bound of a bias that is shown holds with probability 1 - alpha on its own. The name of the mistake, the
    variance and standard-error ratios carry no such guarantee.

    Examples
    --------
    >>> def half(model, prompt_ids, answer_ids, n, generator):
    ...     return -0.5 * len(answer_ids)
    >>> audit(half, lengths=[2], n=[1], toys=["rough"]).verdict
    'rejected'
    """
    asked, wrapped = check_options(**options), Estimator(estimator)
    grid = places(asked["lengths"], asked["n"], asked["toys"], batches=wrapped.takes_batch_size)
    low, high = asked["span"]
    rules = Rules(asked["margin"], asked["alpha"] / len(grid), asked["alpha"], (low, high))
    with untouched():
        cells = [AuditCell(toy(name, length), count, batch, rules, seed) for name, length, count, batch in grid]
        use = _probe(wrapped, cells, seed)
        seed_global(derived(seed, "global"))
        ends = time.process_time() + asked["seconds"]
        _decide(wrapped, cells, calls=asked["calls"], ends=ends, full=full, progress=progress)
        return Audit(tuple(cells), use, diagnose(cells, use))


def _probe(estimator: Estimator, cells: Sequence[AuditCell], seed: int) -> GeneratorUse:
    largest = max(cells, key=lambda c: (c.toy.length, c.n))
    return probe(estimator, largest.toy.length, largest.n, largest.batch_size, seed)


def _decide(
    estimator: Estimator, cells: Sequence[AuditCell], *, calls: int, ends: float, full: bool, progress: Progress | None
) -> None:
    """Rounds over the undecided cells, of growing numbers of calls."""
    share, open_cells, began = FIRST, list(cells), time.process_time()
    while open_cells:
        for cell in open_cells:
            if time.process_time() > ends:
                for late in open_cells:
                    late.stopped = late.stopped or OUT_OF_TIME
                return
            cell.sample(estimator, min(_share(cell, share), calls - len(cell.values)))
            if cell.verdict == "rejected" and not full:
                ends = min(ends, time.process_time() + NAMING_SHARE * (ends - began))
                _sample_for_the_name(estimator, cells, calls, ends)
                return
            cell.stopped = _spent(cell, calls)
        open_cells = [c for c in open_cells if c.verdict == "undecided" and not c.stopped]
        if progress is not None:
            progress(len(cells) - len(open_cells), len(cells))
        share = min(2 * share, LAST)


def _share(cell: AuditCell, most: int) -> int:
    """Calls for the cell's turn: no more than it seems to need, with a tenth to spare."""
    return int(min(max(1.1 * cell.deciding.remaining, FIRST), most))


def _spent(cell: AuditCell, calls: int) -> str:
    """Why a cell gets no more calls, or nothing."""
    if cell.evidence.above:
        return "values above the assumed range"
    decidable = cell.up_to_tail is not None and cell.up_to_tail.may_be_within
    if cell.heavy and len(cell.values) >= min(HEAVY, calls) and not decidable:
        return "values below the assumed range"
    return "out of calls" if len(cell.values) >= calls else ""


def _sample_for_the_name(estimator: Estimator, cells: Sequence[AuditCell], calls: int, ends: float) -> None:
    for cell in cells:
        if time.process_time() > ends:
            return
        wanted = min(HEAVY if cell.heavy else NAMING, calls)
        if len(cell.values) < wanted:
            cell.sample(estimator, wanted - len(cell.values))
