"""How commands end: one line of error, and the exit codes of the project (layer 5).

0 ok; 1 runtime; 2 usage or bad input; 3 a check failed or an estimator was rejected; 4 undecided; 130 or 143
interrupted.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from vrpo_theory.errors import CheckError, InputError, UndecidedError


class _Terminated(BaseException):
    """SIGTERM, so that files in the making are cleaned up on the way out."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


@contextmanager
def exit_codes(resume: str = "run the same command again") -> Iterator[None]:
    """Turn errors into one line on standard error and the project's exit code."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except InputError as error:
        _leave(str(error), 2)
    except CheckError as error:
        _leave(str(error), 3)
    except UndecidedError as error:
        _leave(str(error), 4)
    except KeyboardInterrupt:
        _leave(f"interrupted; to resume: {resume}", 130)
    except _Terminated:
        _leave(f"terminated; to resume: {resume}", 143)
    except (OSError, ArithmeticError, RuntimeError, ValueError) as error:
        _leave(f"{type(error).__name__}: {error}; to resume: {resume}", 1)
    finally:
        signal.signal(signal.SIGTERM, before)


def say(message: str) -> None:
    """A line for the person, on standard error."""
    print(message, file=sys.stderr)


def _leave(message: str, code: int) -> None:
    say(message)
    raise typer.Exit(code)
