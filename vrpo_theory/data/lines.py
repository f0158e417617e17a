"""Lines of a JSON Lines file, in bounded memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from vrpo_theory.data.errors import RowError

LINE_LIMIT = 100_000_000
CHUNK = 1 << 20


def raw_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Line numbers from 1 and the lines as bytes; of an over-long line only what shows it to be so."""
    number = 0
    while line := file.readline(LINE_LIMIT + 1):
        number += 1
        _skip_rest(file, line)
        yield number, line


def _skip_rest(file: BinaryIO, piece: bytes) -> None:
    while piece and not piece.endswith(b"\n"):
        piece = file.readline(CHUNK)


def decode(line: bytes) -> str:
    """Text of one line.

    Raises
    ------
    RowError
        If the line is over-long, blank, not UTF-8, or holds a byte order mark or a NUL.
    """
    if len(line) > LINE_LIMIT:
        raise RowError(f"line longer than {LINE_LIMIT} bytes: split the file into one object a line")
    if not line.strip():
        raise RowError("blank line: remove it")
    if line.startswith(codecs.BOM_UTF8):
        raise RowError("byte order mark: save as UTF-8 without BOM")
    if b"\0" in line:
        raise RowError(f"NUL at byte {line.index(0) + 1}: save as UTF-8 text")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise RowError(f"not UTF-8 at byte {error.start + 1}: save as UTF-8") from None
