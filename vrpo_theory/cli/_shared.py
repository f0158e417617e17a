"""What the commands have in common: lists of numbers, and a standard output that holds results alone."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TypeVar

from vrpo_theory.console import print_json
from vrpo_theory.errors import InputError

__all__ = ["messages_only", "numbers", "print_json"]

Number = TypeVar("Number", int, float)


def numbers(text: str, kind: type[Number], option: str, least: float = 0) -> list[Number]:
    """Numbers from "1,2,8"; InputError for anything else, what is not finite, or is below the least."""
    try:
        found = [kind(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text!r} is not a list of numbers: write them as in 1,2,8") from None
    if not all(math.isfinite(number) and number >= least for number in found):
        raise InputError(f"{option} {text!r}: every number must be finite and at least {least:g}")
    return found


@contextmanager
def messages_only() -> Iterator[None]:
    """Whatever is printed inside, by Python, a library or a child process, goes to standard error."""
    sys.stdout.flush()
    with _descriptors_joined(), redirect_stdout(sys.stderr):
        yield


@contextmanager
def _descriptors_joined() -> Iterator[None]:
    """Inside, file descriptor 1 is another name of 2."""
    try:
        kept = os.dup(1)
    except OSError:  # standard output is closed
        yield
        return
    os.dup2(2, 1)
    try:
        yield
    finally:
        if sys.__stdout__ is not None:
            sys.__stdout__.flush()
        os.dup2(kept, 1)
        os.close(kept)
