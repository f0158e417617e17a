"""A standard output that holds results alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


@contextmanager
def messages_only() -> Iterator[None]:
    """Send all that is printed inside, by Python, a library or a child process, to standard error."""
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
