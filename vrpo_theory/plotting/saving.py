"""Figures as PNG and SVG files, the same whatever a user's settings of matplotlib are."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from matplotlib.figure import Figure


VECTOR = {"svg.fonttype": "none", "svg.hashsalt": "vrpo_theory"}
"""Text stays text, and equal figures are equal files."""


def png(draw: Callable[[], Figure]) -> bytes:
    """A figure that is made and saved under matplotlib's own settings, whatever the user's are."""
    return _saved(draw, format="png", dpi=200)


def svg(draw: Callable[[], Figure]) -> str:
    """The same as SVG."""
    return _saved(draw, format="svg", metadata={"Date": None}).decode()


def _saved(draw: Callable[[], Figure], **how: Any) -> bytes:
    matplotlib = _matplotlib()
    settings = {k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith("backend")}
    with matplotlib.rc_context(settings | VECTOR):
        buffer = io.BytesIO()
        draw().savefig(buffer, **how)
    return buffer.getvalue()


def _matplotlib() -> Any:
    """The module, also where the user's settings would end its import."""
    try:
        import matplotlib
    except Exception:  # whatever a settings file or MPLBACKEND holds
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # half of it was imported
        with _without_settings():
            import matplotlib
    return matplotlib


@contextmanager
def _without_settings() -> Iterator[None]:
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"} | {"MATPLOTLIBRC": os.devnull}
    with tempfile.TemporaryDirectory() as empty, mock.patch.dict(os.environ, environment, clear=True), chdir(empty):
        yield
