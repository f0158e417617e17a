"""``--out``: the result of a command as files, JSON with rows as CSV and a picture beside it."""

from __future__ import annotations

import json
from pathlib import Path

from vrpo_theory import plotting
from vrpo_theory.documents import Document, finite
from vrpo_theory.files import require_writable, write_atomically
from vrpo_theory.runs import frames, pictures
from vrpo_theory.runs.console import say

ENDINGS = ("json", "csv", "png", "svg")


def require_place(out: Path | None, name: str) -> None:
    """InputError if the files of a command could not be written, before it runs."""
    if out is not None:
        require_writable(out, *(f"{name}.{ending}" for ending in ENDINGS))


def keep(document: Document, out: Path | None, name: str) -> None:
    """Write the files, and say where; nothing without a folder."""
    if out is None:
        return
    clean, _ = finite(document)
    write_atomically(out / f"{name}.json", json.dumps(clean, indent=1, allow_nan=False) + "\n")
    write_atomically(out / f"{name}.csv", frames.as_csv(clean))
    for ending, draw in (("png", plotting.png), ("svg", plotting.svg)):
        try:
            write_atomically(out / f"{name}.{ending}", draw(lambda: pictures.of(clean)))
        except Exception as error:  # the numbers are kept without it
            say(f"warning: no {name}.{ending}: {type(error).__name__}: {error}; the numbers are kept")
    say("written: " + ", ".join([f"{out / name}.json", *(f".{ending}" for ending in ENDINGS[1:])]))
