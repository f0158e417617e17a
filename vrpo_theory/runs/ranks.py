"""Several processes under ``accelerate launch``: each takes its share of the pairs, and the results meet."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from vrpo_theory.errors import InputError
from vrpo_theory.types import Case

T = TypeVar("T")

WORLD = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What a launcher (accelerate launch, torchrun) sets beside WORLD_SIZE."""
FIX = "start all of them with accelerate launch, or unset WORLD_SIZE to run one alone"


def rank() -> int:
    """This process's place; 0 alone."""
    return _number("RANK") or 0 if ranks() > 1 else 0


def ranks() -> int:
    """How many processes work together: 1 unless a launcher says more. What other programs leave behind is ignored."""
    return max(1, _number("WORLD_SIZE") or 1)


def own_device(device: str) -> str:
    """The device of this process: its own GPU where there are several processes."""
    return f"cuda:{_number('LOCAL_RANK') or 0}" if device == "cuda" and ranks() > 1 else device


def join() -> None:
    """Meet the other processes, if there are any, before anything is computed.

    Raises
    ------
    InputError
        If the environment speaks of several processes, and they cannot meet.
    """
    if ranks() == 1:
        return
    place, missing = _number("RANK"), [name for name in WORLD if not os.environ.get(name)]
    if missing or place is None or _number("LOCAL_RANK") is None or place >= ranks():
        wrong = f"{', '.join(missing)} not set" if missing else f"RANK={os.environ['RANK']} is no place among them"
        raise InputError(f"WORLD_SIZE={ranks()}, but {wrong}: {FIX}")
    import torch
    from accelerate import PartialState

    try:
        met = PartialState(cpu=not torch.cuda.is_available()).num_processes
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"{ranks()} processes could not meet ({str(error).splitlines()[0]}): {FIX}") from None
    if met != ranks():
        raise InputError(f"WORLD_SIZE={ranks()}, but {met} processes met: {FIX}")


def _number(name: str) -> int | None:
    text = os.environ.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() else None


def gathered(
    compute: Callable[[Sequence[Case]], list[T]],
    cases: Sequence[Case],
    merge: Callable[[Sequence[T], Sequence[int]], T],
) -> list[T]:
    """``compute`` of all cases, each process on its share; what each pair gives does not depend on who computes it.

    Parameters
    ----------
    merge : callable
        One row from the same row of every process, and the places of their cases in that order.

    Raises
    ------
    InputError
        If there are more processes than prompts.
    """
    if ranks() == 1:
        return compute(cases)
    places = shares(cases, ranks())
    join()
    from accelerate.utils import gather_object

    found = gather_object([compute([cases[k] for k in places[rank()]])])
    order = [place for share in places for place in share]
    return [merge(parts, order) for parts in zip(*found, strict=True)]


def shares(cases: Sequence[Case], count: int) -> list[list[int]]:
    """Places of each process's cases, ascending.

    Pairs of one prompt stay together: a response that two of them share is then evaluated, and recorded, once.

    Raises
    ------
    InputError
        If there are more processes than prompts.
    """
    prompts: dict[tuple[int, ...], list[int]] = {}
    for place, case in enumerate(cases):
        prompts.setdefault(case.pair.chosen.prompt, []).append(place)
    if len(prompts) < count:
        raise InputError(f"{count} processes for {len(prompts)} prompts, whose pairs stay together: launch fewer")
    found: list[list[int]] = [[] for _ in range(count)]
    for places in sorted(prompts.values(), key=len, reverse=True):
        min(found, key=len).extend(places)
    return [sorted(share) for share in found]
