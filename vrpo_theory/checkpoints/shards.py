"""Which files of a checkpoint's folder hold its weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from vrpo_theory.checkpoints.folder import listing, read_json
from vrpo_theory.checkpoints.notes import note, some
from vrpo_theory.errors import InputError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD = re.compile(r"(.+)-(\d+)-of-(\d+)\.safetensors")
PICKLED = re.compile(r"((pytorch_)?model|consolidated|tf_model|flax_model).*\.(bin|pt|pth|h5|msgpack)|.*\.(gguf|ckpt)")
"""Weights in other formats, as opposed to the optimizers and arguments that trainers leave beside them."""


class Files(NamedTuple):
    """Files that hold the weights, the index file that describes them, and files that hold some of them once more."""

    weights: list[Path]
    table: Path | None = None
    twins: tuple[Path, ...] = ()


def weight_files(folder: Path) -> Files:
    """The files of a checkpoint's weights: the single file, else the index's shards, else the shards that are there.

    Raises
    ------
    InputError
        If there are none, some are missing, or it is not clear which ones are meant.
    """
    names = [name for name in listing(folder) if name.endswith(".safetensors")]
    index = folder / INDEX if INDEX in listing(folder) else None
    if SINGLE in names:
        return Files([folder / SINGLE], twins=_left_beside(folder, names, index))
    if index is not None:
        return _indexed(folder, names, index)
    if names:
        return Files([folder / name for name in _whole_set(folder, names)])
    others = [name for name in listing(folder) if PICKLED.fullmatch(name)]
    held = f"only {', '.join(others)}: convert to safetensors" if others else f"{_contents(folder)}: add the weights"
    raise InputError(f"{folder} needs {SINGLE} or {INDEX}, and has {held}")


def read_index(index: Path) -> tuple[dict[str, str], int | None]:
    """Files by tensor names, and the size in bytes, if stated."""
    content = read_json(index)
    table, about = content.get("weight_map"), content.get("metadata")
    if not isinstance(table, dict) or not table or not all(isinstance(name, str) for name in table.values()):
        raise InputError(f"{index} has no usable weight_map (tensor name to file name): correct it, or remove it")
    for name, file in table.items():
        if Path(file).name != file or "\\" in file or file in ("", "..") or not file.endswith(".safetensors"):
            raise InputError(
                f"{index} sends {name} to {file!r}, expected a safetensors file beside it: correct the index"
            )
    size = about.get("total_size") if isinstance(about, dict) else None
    return table, int(size) if isinstance(size, int | float) else None


def _left_beside(folder: Path, names: list[str], index: Path | None) -> tuple[Path, ...]:
    """Shards beside the single file, which must hold the same tensors; their index is not needed."""
    shards = tuple(folder / name for name in names if SHARD.fullmatch(name) and name.startswith("model-"))
    if index is not None or shards:
        others = [path.name for path in (*((index,) if index else ()), *shards)]
        note(f"{folder}: read from {SINGLE}; {some(others)} not needed")
    return shards


def _indexed(folder: Path, names: list[str], index: Path) -> Files:
    wanted = sorted(set(read_index(index)[0].values()))
    missing = [name for name in wanted if name not in names]
    if not missing:
        return Files([folder / name for name in wanted], index)
    if len(missing) == len(wanted) and names:
        note(f"{index} names none of the files that are there: the weights are read without it")
        return Files([folder / name for name in _whole_set(folder, names)])
    raise InputError(f"{index} names {missing[0]}, which is missing: add it")


def _whole_set(folder: Path, names: list[str]) -> list[str]:
    """The shards without an index, if they are a whole set; or the only file, whatever its name."""
    parts = [found for name in names if (found := SHARD.fullmatch(name))]
    sets = {(found[1], found[3]) for found in parts}
    if not sets and len(names) == 1:
        return names
    if len(sets) != 1:
        raise InputError(f"{folder} has {', '.join(names)} and no {INDEX}: keep one set of weights")
    missing = set(range(1, int(parts[0][3]) + 1)) - {int(found[2]) for found in parts}
    if missing:
        there = f"{len(parts)} of {int(parts[0][3])} shards"
        raise InputError(f"{folder} has {there}; number {min(missing)} is missing: add it")
    return [found[0] for found in parts]


def _contents(folder: Path) -> str:
    return f"only {', '.join(listing(folder)[:8])}" if listing(folder) else "nothing"
