"""Rows of a file in whatever form it has: JSON Lines, a JSON array, Parquet, a saved dataset."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vrpo_theory.data import tables
from vrpo_theory.data.arrays import elements
from vrpo_theory.data.errors import RowError
from vrpo_theory.data.lines import decode, raw_lines
from vrpo_theory.data.rows import parse
from vrpo_theory.data.streams import PARQUET, opened
from vrpo_theory.errors import InputError

Record = bytes | str | dict[str, Any] | RowError
_LOOK = 4096
_SEPARATED = re.compile(rb"[^{\[\n]*\b(prompt|chosen|rejected)\b[^{\[\n]*[,;\t][^\n]*")


class Records:
    """Numbered rows of a file, still unparsed.

    Parameters
    ----------
    path : path
        A file (gzip, bz2, xz, zst are unpacked), a pipe, "-" for standard input, or a folder saved by ``datasets``.

    Attributes
    ----------
    unit : {"line", "row"}
        What the numbers count; known once the first row is read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.unit = path, "row"

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        if str(self.path) != "-" and Path(self.path).is_dir():
            yield from tables.folder(self.path)
        elif _is_parquet(self.path):
            yield from tables.parquet(self.path)
        else:
            with opened(self.path) as file:
                yield from self._text(file)

    def _text(self, file: io.BufferedReader) -> Iterator[tuple[int, Record]]:
        head = file.peek(_LOOK)[:_LOOK]
        _refuse_other_text(self.path, head)
        if head.lstrip().startswith(b"["):
            yield from elements(file)
        else:
            self.unit = "line"
            yield from raw_lines(file)


def _is_parquet(path: str | Path) -> bool:
    if not Path(path).is_file():  # of a pipe, nothing may be read twice
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(PARQUET)) == PARQUET
    except OSError:
        return False


def _refuse_other_text(path: str | Path, head: bytes) -> None:
    first, end, _ = head.partition(b"\n")
    if _SEPARATED.fullmatch(first):
        raise InputError(
            f"{path}: comma- or tab-separated text, expected JSON Lines: convert it, for example with "
            "pandas.read_csv(FILE).to_json('pairs.jsonl', orient='records', lines=True)"
        )
    if end and first.strip() == b"{":
        raise InputError(f"{path}: an object over several lines: write one object a line, or an array of objects")


def as_row(record: Record) -> dict[str, Any]:
    """The columns of a row; RowError where it cannot be read."""
    if isinstance(record, RowError):
        raise record
    if isinstance(record, dict):
        return record
    return parse(decode(record) if isinstance(record, bytes) else record)
