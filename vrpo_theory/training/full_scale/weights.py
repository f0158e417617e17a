"""A policy's folder: weights, configuration and tokenizer, or its adapter alone; and the checkpoints of a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from vrpo_theory.checkpoints import lora
from vrpo_theory.checkpoints.folder import WANTED, listing
from vrpo_theory.checkpoints.placement import quiet
from vrpo_theory.checkpoints.wrapped import Wrapped
from vrpo_theory.files import write_atomically

COMPLETE = "complete.json"
"""Written last into a checkpoint: the size of every file in it."""


def save(policy: Wrapped, folder: Path) -> None:
    """Write what `vrpo_theory.load_model` reads: a model with the tokenizer it came with, or an adapter."""
    if lora.adapted(policy.module):
        lora.save(policy.module, folder)
        return
    with quiet():
        policy.module.save_pretrained(folder)
    source = Path(str(policy.module.config._name_or_path))
    for name in set(WANTED) & set(listing(source) if source.is_dir() else ()):
        if not name.startswith("model") and name != "config.json" and not (folder / name).exists():
            shutil.copyfile(source / name, folder / name)


def seal(folder: Path) -> None:
    """Say that a checkpoint is whole."""
    write_atomically(folder / COMPLETE, json.dumps(_sizes(folder)))


def last_whole(run: Path) -> Path | None:
    """The newest checkpoint that is whole; None where there is none."""
    return next((folder for folder in reversed(_checkpoints(run)) if _whole(folder)), None)


def remove_torn(run: Path) -> None:
    """Remove checkpoints that an interruption left half written."""
    for folder in _checkpoints(run):
        if not _whole(folder):
            shutil.rmtree(folder)


def step_of(checkpoint: Path | None) -> int:
    """Steps that led to a checkpoint."""
    return 0 if checkpoint is None else int(checkpoint.name.partition("-")[2])


def _checkpoints(run: Path) -> list[Path]:
    found = [path for path in run.glob("checkpoint-*") if path.name.partition("-")[2].isdecimal()]
    return sorted(found, key=step_of)


def _whole(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / COMPLETE).read_text()) == _sizes(folder))
    except (OSError, ValueError):
        return False


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    """Every file but the seal, and what other processes may write after it."""
    yield from (p for p in sorted(folder.iterdir()) if p.name != COMPLETE and not p.name.startswith("rng_state"))
