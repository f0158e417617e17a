"""A file of pairs as a stream of text bytes: files, pipes and standard input, compressed or not (layer 1)."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from vrpo_theory.errors import InputError

PARQUET = b"PAR1"
_ALIEN = {b"PK\x03\x04": "zip", b"ARROW1": "Arrow", b"7z\xbc\xaf": "7z", PARQUET: "Parquet", b"SQLite": "SQLite"}
_TAR = 257
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, OSError)
"""What the decompressors raise on a damaged or shortened file."""


@contextmanager
def opened(path: str | Path) -> Iterator[io.BufferedReader]:
    """The bytes of a file, a pipe, or of standard input for "-"; gzip, bz2, xz and zst are unpacked on the way.

    Raises
    ------
    InputError
        If it cannot be opened, is in no form that holds lines, or is damaged.
    """
    with ExitStack() as stack:
        file = _open(path, stack)
        if unpack := next((use for magic, use in _UNPACK.items() if _head(file, len(magic)) == magic), None):
            file = stack.enter_context(io.BufferedReader(cast(Any, unpack(file))))
        try:
            _refuse_alien(path, file)
            yield file
        except DAMAGE as error:
            raise InputError(
                f"{path}: damaged or cut short ({' '.join(str(error).split())}): copy the file again"
            ) from None


def _open(path: str | Path, stack: ExitStack) -> io.BufferedReader:
    if str(path) == "-":
        return cast(io.BufferedReader, sys.stdin.buffer)
    try:
        return stack.enter_context(open(path, "rb"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: give a JSON Lines file of preference pairs") from None


def _head(file: io.BufferedReader, size: int) -> bytes:
    return file.peek(size)[:size]


def _refuse_alien(path: str | Path, file: io.BufferedReader) -> None:
    for magic, name in _ALIEN.items():
        if _head(file, len(magic)) == magic:
            raise InputError(f"{path}: a {name} file, expected JSON Lines text: unpack or convert it first")
    if _head(file, _TAR + 5)[_TAR:] == b"ustar":
        raise InputError(f"{path}: a tar archive, expected JSON Lines text: unpack it first")


def _zstd(file: BinaryIO) -> Any:
    try:
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    except ImportError:
        pass
    try:
        import pyarrow
    except ImportError:
        raise InputError(
            f"{file.name}: a zstd file needs pyarrow: pip install -e '.[datasets]', or unpack it with zstd -d"
        ) from None
    return pyarrow.CompressedInputStream(file, "zstd")


_UNPACK: dict[bytes, Any] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": _zstd,
}
"""By the first bytes of a file, never by its name."""
