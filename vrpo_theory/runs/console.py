"""What commands print, and how they end: one line of error, and the exit codes of the project.

0 ok; 1 runtime; 2 usage or bad input; 3 a check failed or an estimator was rejected; 4 undecided; 130 or 143
interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

import typer

from vrpo_theory import tables
from vrpo_theory.errors import CheckError, InputError, UndecidedError


class _Terminated(BaseException):
    """SIGTERM, so that files in the making are cleaned up on the way out."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


@contextmanager
def exit_codes(resume: str = "run the same command again") -> Iterator[None]:
    """Turn errors into one line on standard error and the project's exit code."""
    before = signal.signal(signal.SIGTERM, _terminate)
    _accept_any_character()
    try:
        with _warnings_as_lines():
            yield
    except InputError as error:
        _leave(str(error), 2)
    except CheckError as error:
        _leave(str(error), 3)
    except UndecidedError as error:
        _leave(str(error), 4)
    except KeyboardInterrupt:
        # One that arrives while Python runs a string, as dataclasses do at import, is remembered as unhandled, and the
        # process would end by the signal whatever it exits with. Running another string forgets it.
        exec("")
        _leave(f"interrupted; to resume: {resume}", 130)
    except _Terminated:
        _leave(f"terminated; to resume: {resume}", 143)
    except (OSError, ArithmeticError, RuntimeError, ValueError, MemoryError) as error:
        _leave(f"{type(error).__name__}: {error}; to resume: {resume}", 1)
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """What Python would print with a file's name and a line of source."""

    def line(message: Warning | str, *where: Any, **more: Any) -> None:
        say(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = line
        yield


def say(message: str) -> None:
    """A line for the user, on standard error; control characters in names are shown, not obeyed."""
    _write("\n".join(map(tables.visible, message.split("\n"))), sys.stderr)


def show(text: str) -> None:
    """A result on standard output; a reader that closes the pipe early (``| head``) is no error."""
    _write(text, sys.stdout)


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]], **layout: Any) -> None:
    """`vrpo_theory.tables.table` on standard output, in blocks as wide as the terminal."""
    show(tables.table(header, rows, width=tables.terminal_width(), **layout))


def print_json(document: dict[str, Any]) -> None:
    """One document on standard output; numbers that are not finite are null, and named under "not_finite"."""
    import json

    from vrpo_theory.documents import finite

    clean, lost = finite(document)
    if lost:
        say(f"{len(lost)} numbers are not finite and null in the document; first: {'; '.join(lost[:3])}")
        clean["not_finite"] = lost
    show(json.dumps(clean, allow_nan=False))


def _accept_any_character() -> None:
    """What an output's encoding lacks is written as an escape; an output that is closed takes everything."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # as under 2>&-
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _write(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # what is buffered would fail again at exit
        if not isinstance(error, BrokenPipeError):
            raise


def _leave(message: str, code: int) -> None:
    say(message)
    raise typer.Exit(code)
