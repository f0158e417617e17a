"""Exceptions inside an estimator, with a traceback that begins at the first frame of the author's own code."""

from __future__ import annotations

import importlib
import traceback
from pathlib import Path
from types import TracebackType

from vrpo_theory.errors import InputError

FOLDER = Path(__file__).parent


class EstimatorError(InputError):
    """The estimator, or its module while it was imported, raised an exception of its own (exit code 2).

    Parameters
    ----------
    message : str
        One line: what was called, and where.
    error : BaseException
        What it raised.

    Attributes
    ----------
    trace : str
        The traceback, without the auditor's frames.
    """

    def __init__(self, message: str, error: BaseException) -> None:
        super().__init__(message)
        self.trace = "".join(traceback.format_exception(type(error), error, own_frames(error))).rstrip()


def said(error: BaseException) -> str:
    """Its type and the first line of its message."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def own_frames(error: BaseException) -> TracebackType | None:
    """The traceback from the first frame outside the auditor and the import system; None if there is none."""
    frames = error.__traceback__
    while frames is not None and _machinery(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return frames


def _machinery(file: str) -> bool:
    return Path(file).parent == FOLDER or file == importlib.__file__ or file.startswith("<frozen importlib")
