"""Fingerprints of checkpoints, kept so that their files are hashed once and not at every start.

A fingerprint is kept in the user's cache folder under all that it follows from: what the system knows of each weight
file, what the loaded model shows at a look (options, structure, a sample of every tensor), this package's sources and
the versions of the libraries. Whatever differs in any of them is another place, where nothing is found.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from vrpo_theory.checkpoints.folder import local_folder
from vrpo_theory.checkpoints.options import LoadOptions
from vrpo_theory.files import write_atomically
from vrpo_theory.runs.provenance import made_with

if TYPE_CHECKING:
    from vrpo_theory.checkpoints.wrapped import Wrapped

QUIET = 60.0
"""Seconds for which a file must have been left alone. A later change could bear the same times: clocks are coarse, and
what a program writes through mapped memory is dated when the page was first touched."""

FileStates = list[tuple[str | int, ...]]


def load(source: str | Path, **options: Unpack[LoadOptions]) -> Wrapped:
    """A checkpoint as `vrpo_theory.load_model` reads it, with the fingerprint that was kept of it, if there is one."""
    from vrpo_theory.models import load_model

    folder, adapter = local_folder(source), options.get("adapter")
    folders = [folder] if adapter is None else [folder, Path(adapter)]
    before = _states(folders)
    model = load_model(folder, **options)
    cache = cache_folder()
    if cache is None or not _settled(before):
        return model
    place = cache / _key(before, model)
    known = _read(place)
    value = model.fingerprint if known is None else known
    if _states(folders) == before:  # else the files changed while they were read
        model.accept_fingerprint(value)
        if known is None:
            _write(place, value)
    return model


def cache_folder() -> Path | None:
    """Where fingerprints are kept: below ``XDG_CACHE_HOME``, by default ``~/.cache``; None where nothing is kept."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    dated = os.name == "posix"  # elsewhere the system dates a file's making, not its last change
    return Path(home) / "vrpo_theory" / "fingerprints" if dated and os.path.isabs(home) else None


def _states(folders: list[Path]) -> FileStates:
    """What tells one state of the weight files from another, wherever the folders are; nothing if one is not readable.

    Size and time of writing can be set by anybody; the time of the last change, which the system sets, cannot.
    """
    try:
        found = [(f.name, f.stat()) for folder in folders for f in sorted(folder.glob("*.safetensors"))]
    except OSError:
        return []
    return [(name, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in found]


def _settled(states: FileStates) -> bool:
    """Whether no file was touched of late, or in what the clock takes for the future."""
    return bool(states) and all(int(ctime) < (time.time() - QUIET) * 1e9 for *_, ctime in states)


def _key(states: FileStates, model: Wrapped) -> str:
    return hashlib.sha256(json.dumps([states, model.outline, made_with()], sort_keys=True).encode()).hexdigest()


def _read(place: Path) -> str | None:
    try:
        text = place.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    return text if re.fullmatch("[0-9a-f]{64}", text) else None


def _write(place: Path, value: str) -> None:
    """Keep a value where that can be done; where not, it is computed again."""
    with suppress(OSError):
        write_atomically(place, value)
