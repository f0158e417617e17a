"""A file of pairs as a stream of text bytes: files, pipes and standard input, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from vrpo_theory.errors import InputError, one_line

PARQUET = b"PAR1"
_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_ALIEN = {
    b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"7z\xbc\xaf": "7z", b"Rar!": "rar",
    b"\x04\x22\x4d\x18": "lz4", b"\x5d\x00\x00": "lzma", PARQUET: "Parquet", b"ARROW1": "Arrow",
    b"SQLite": "SQLite", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"version https://git-lfs": "Git LFS pointer",
}  # fmt: skip
_TAR, _LOOK = 257, 4096
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, OSError)
"""What the decompressors raise on a damaged or shortened file."""
_BESIDE = ("bytes beside the members", "Not a gzipped file", "ZSTD decompress failed: Unknown frame descriptor")
"""What they say, beyond a first member, of bytes that begin no other."""


@contextmanager
def opened(path: str | Path) -> Iterator[io.BufferedReader]:
    """The bytes of a file, a pipe, or of standard input for "-"; gzip, bz2, xz and zst are unpacked on the way.

    Raises
    ------
    InputError
        If it cannot be opened, is in no form that holds lines, or is damaged.
    """
    with ExitStack() as stack:
        try:
            file = _filled(_open(path, stack), stack)
            if unpack := next((use for magic, use in _UNPACK.items() if _head(file, len(magic)) == magic), None):
                file = _filled(stack.enter_context(io.BufferedReader(cast(Any, unpack(file)))), stack)
            _refuse_alien(path, file)
            yield file
        except DAMAGE as error:
            if isinstance(error, OSError) and error.errno:  # of the system, not of a decompressor
                raise InputError(f"{path}: cannot be read ({error.strerror})") from None
            if str(error).startswith(_BESIDE):
                raise InputError(f"{path}: bytes after the end of the compressed data: pack the file again") from None
            raise InputError(f"{path}: damaged or cut short ({one_line(error)}): copy the file again") from None


def _open(path: str | Path, stack: ExitStack) -> io.BufferedReader:
    if str(path) == "-":
        if sys.stdin is None:
            raise InputError("-: standard input is closed: give a file, or pipe the pairs into the command")
        return cast(io.BufferedReader, sys.stdin.buffer)
    try:
        return stack.enter_context(open(path, "rb"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}: give a JSON Lines file of preference pairs") from None


class _Members(io.RawIOBase):
    """The compressed members of a file, one after another; zeros between and after them are padding.

    The files of the libraries bz2 and lzma pass over in silence whatever follows that they cannot read.
    """

    def __init__(self, file: io.BufferedReader, magic: bytes, member: Callable[[], Any]) -> None:
        self._file, self._magic, self._new = file, magic, member
        self._member, self._packed = member(), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = b""
        while not found:
            if self._member.eof and not self._next():
                return 0
            found = self._member.decompress(self._more(), len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def _more(self) -> bytes:
        if not self._member.needs_input:
            return b""
        packed, self._packed = self._packed or self._file.read1(), b""
        if not packed:
            raise EOFError("it ends before its end mark")
        return packed

    def _next(self) -> bool:
        """Open the next member, if there is one."""
        rest = self._member.unused_data.lstrip(b"\0")
        while not rest:
            if not (piece := self._file.read1()):
                return False
            rest = piece.lstrip(b"\0")
        rest += self._file.read(max(0, len(self._magic) - len(rest)))
        if not rest.startswith(self._magic):
            raise OSError(_BESIDE[0])
        self._member, self._packed = self._new(), rest
        return True


class _Ahead(io.RawIOBase):
    """A stream whose first bytes have been read already."""

    def __init__(self, head: bytes, file: io.BufferedReader) -> None:
        self._head, self._file = head, file
        self.name = getattr(file, "name", "-")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._head:
            return self._file.readinto(buffer)
        size = min(len(buffer), len(self._head))
        buffer[:size], self._head = self._head[:size], self._head[size:]
        return size


def _filled(file: io.BufferedReader, stack: ExitStack) -> io.BufferedReader:
    """The stream, with as many first bytes to peek at as it has: a pipe may hand out one byte at a time."""
    return stack.enter_context(io.BufferedReader(_Ahead(file.read(_LOOK), file)))


def _head(file: io.BufferedReader, size: int) -> bytes:
    return file.peek(size)[:size]


def _refuse_alien(path: str | Path, file: io.BufferedReader) -> None:
    for magic, name in _ALIEN.items():
        if _head(file, len(magic)) == magic:
            raise InputError(f"{path}: a {name} file, expected JSON Lines text: unpack, fetch or convert it first")
    if any(_head(file, len(magic)) == magic for magic in _UNPACK):
        raise InputError(f"{path}: compressed twice: unpack it once")
    if _head(file, _TAR + 5)[_TAR:] == b"ustar":
        raise InputError(f"{path}: a tar archive, expected JSON Lines text: unpack it first")


def _zstd(file: BinaryIO) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise InputError(
            f"{file.name}: a zstd file needs pyarrow: pip install -e '.[datasets]', or unpack it with zstd -d"
        ) from None
    return pyarrow.CompressedInputStream(file, "zstd")


_UNPACK: dict[bytes, Any] = {
    _GZIP: lambda file: gzip.GzipFile(fileobj=file),
    _BZIP2: lambda file: _Members(file, _BZIP2, bz2.BZ2Decompressor),
    _XZ: lambda file: _Members(file, _XZ, lzma.LZMADecompressor),
    _ZSTD: _zstd,
}
"""By the first bytes of a file, never by its name."""
