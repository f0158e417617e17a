"""What a checkpoint's weight files say about themselves, read from their headers before anything is allocated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open

from vrpo_theory.errors import InputError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
POINTER = b"version https://git-lfs"
FLOATS = ("F64", "F32", "F16", "BF16")
ROWS = 4096


class Header(NamedTuple):
    """Where a tensor lies, and how it is stored."""

    file: Path
    dtype: str
    shape: tuple[int, ...]


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; InputError where it is anything else."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({_line(error)}): download it again") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} holds {type(value).__name__}, expected a JSON object: download it again")
    return value


def weight_files(folder: Path) -> list[Path]:
    """The single weight file, or the index and its shards, each in the folder itself."""
    single, index = folder / SINGLE, folder / INDEX
    if single.exists() and index.exists():
        raise InputError(f"{folder} has both {SINGLE} and {INDEX}: remove the one that does not belong")
    if single.exists():
        return [single]
    if index.exists():
        return [index, *(folder / name for name in sorted(set(_weight_map(index).values())))]
    others = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    found = f"only {', '.join(others)}: convert to safetensors" if others else "no weights: download them"
    raise InputError(f"{folder} needs {SINGLE} or {INDEX}, and has {found}")


def read_headers(folder: Path) -> dict[str, Header]:
    """Header of every tensor by name.

    Raises
    ------
    InputError
        If a file is damaged, or the index and the shards tell different stories.
    """
    first, *shards = weight_files(folder)
    found: dict[str, Header] = {}
    for file in shards or [first]:
        for name, header in _file_headers(file).items():
            if name in found:
                raise InputError(f"{name} is in both {found[name].file} and {file}: keep one of them")
            found[name] = header
    if shards:
        _compare_with_index(first, found)
    return found


def check_headers(folder: Path, found: Mapping[str, Header], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Names, shapes and number type against the architecture's; InputError names what is off."""
    wrong = {name for name in expected.keys() & found.keys() if found[name].shape != expected[name]}
    for names, what in (
        (expected.keys() - found.keys(), "lacks"),
        (found.keys() - expected.keys(), "has unexpected"),
        ({f"{n}, {list(found[n].shape)} instead of {list(expected[n])}" for n in wrong}, "has the wrong shape of"),
    ):
        if names:
            raise InputError(f"{folder} {what} {_some(names)}: the weights do not match config.json")
    _check_types(found)


def same_tensor(one: Header, other: Header, name: str, other_name: str) -> bool:
    """Whether two stored tensors are equal, read a few rows at a time."""
    if one.shape != other.shape:
        return False
    with safe_open(one.file, "pt") as f, safe_open(other.file, "pt") as g:
        a, b = f.get_slice(name), g.get_slice(other_name)
        return all(torch.equal(a[i : i + ROWS], b[i : i + ROWS]) for i in range(0, one.shape[0], ROWS))


def _check_types(found: Mapping[str, Header]) -> None:
    for name, header in found.items():
        if header.dtype not in FLOATS:
            raise InputError(
                f"{header.file}: {name} is {header.dtype}, expected one of {', '.join(FLOATS)}: convert it"
            )
    first = next(iter(found))
    for name, header in found.items():
        if header.dtype != found[first].dtype:
            raise InputError(
                f"{header.file}: {name} is {header.dtype} but {first} is {found[first].dtype}: store all in one type"
            )


def _weight_map(index: Path) -> dict[str, str]:
    table = read_json(index).get("weight_map")
    if not isinstance(table, dict) or not table or not all(isinstance(name, str) for name in table.values()):
        raise InputError(f"{index} has no usable weight_map (tensor name to file name): download it again")
    for name, file in table.items():
        if Path(file).name != file or "\\" in file or file in ("", "..") or not file.endswith(".safetensors"):
            raise InputError(
                f"{index} sends {name} to {file!r}, expected a safetensors file beside it: correct the index"
            )
        if not (index.parent / file).is_file():
            raise InputError(f"{index} names {file}, which is missing: download it")
    return table


def _compare_with_index(index: Path, found: Mapping[str, Header]) -> None:
    table = _weight_map(index)
    for name, header in found.items():
        if name not in table:
            raise InputError(f"{index} lacks {name}, which {header.file.name} holds: rebuild the index")
    for name, file in table.items():
        if name not in found or found[name].file.name != file:
            raise InputError(f"{index} puts {name} in {file}, which does not hold it: rebuild the index")


def _file_headers(file: Path) -> dict[str, Header]:
    try:
        with file.open("rb") as stream:
            start = stream.read(len(POINTER))
        if start == POINTER:
            raise InputError(f"{file} is a git-lfs pointer, not weights: run git lfs pull")
        with safe_open(file, "pt") as f:
            slices = {name: f.get_slice(name) for name in f.keys()}  # noqa: SIM118 (not a mapping)
            return {n: Header(file, s.get_dtype(), tuple(s.get_shape())) for n, s in slices.items()}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file} is not a complete safetensors file ({_line(error)}): download it again") from None


def _some(names: Iterable[str]) -> str:
    first, *rest = sorted(names)
    return f"{first} and {len(rest)} more" if rest else first


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
