"""Rows of Parquet files and of folders saved by ``datasets``; both need the extra ``datasets``."""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vrpo_theory.errors import InputError, one_line

_BATCH = 256
_STATE, _SPLITS = "state.json", "dataset_dict.json"


def parquet(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Row numbers from 1 and rows; InputError without pyarrow or for a damaged file."""
    _require("pyarrow.parquet", path, "a Parquet file")
    import pyarrow.parquet

    try:
        batches = pyarrow.parquet.ParquetFile(path).iter_batches(_BATCH)
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, row in enumerate(rows, start=1):
            yield number, _without_null(row)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({one_line(error)[:300]}): copy the file again") from None


def folder(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a dataset that was saved to a folder; of its splits ``train``, or the only one, with a warning.

    Raises
    ------
    InputError
        If the folder is no saved dataset, or holds several splits and none is named train.
    """
    if not any((Path(path) / name).is_file() for name in (_STATE, _SPLITS)):
        raise InputError(
            f"{path}: Is a directory, and no saved dataset (it has no state.json and no dataset_dict.json): give a "
            "JSON Lines or Parquet file, or a folder written by save_to_disk"
        )
    _require("datasets", path, "a folder of the library datasets")
    import datasets

    try:
        splits = Path(path) / _SPLITS
        names = list(json.loads(splits.read_text(encoding="utf-8"))["splits"]) if splits.is_file() else None
        one = Path(path) if names is None else Path(path) / _split(path, names)
        if not json.loads((one / _STATE).read_text(encoding="utf-8"))["_data_files"]:
            return  # without rows, datasets saves no files, and then cannot load them
        found = datasets.load_from_disk(str(one))
    except InputError:
        raise
    except Exception as error:  # of several libraries
        raise InputError(f"{path}: the saved dataset cannot be read ({one_line(error)[:300]}): save it again") from None
    for number, row in enumerate(found.with_format(None), start=1):
        yield number, _without_null(row)


def _split(path: str | Path, names: list[str]) -> str:
    if not names:
        raise InputError(f"{path}: a saved dataset without splits: save one that has rows")
    if len(names) > 1 and "train" not in names:
        raise InputError(f"{path}: has the splits {', '.join(names)}: give the folder of one, {path}/{names[0]}")
    chosen = names[0] if len(names) == 1 else "train"
    warnings.warn(f"{path}: its split {chosen} is read; for another give the folder of that split", stacklevel=2)
    return chosen


def _require(module: str, path: str | Path, what: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError:
        name = module.partition(".")[0]
        raise InputError(f"{path}: {what} needs {name}: pip install -e '.[datasets]', or write JSON Lines") from None


def _without_null(value: object) -> Any:
    """Tables fill the fields that a row lacks with null; here they are absent again."""
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value
