"""One SQLite file of evaluations: created whole, written by one process, read by any (layer 3)."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from vrpo_theory.errors import InputError
from vrpo_theory.files import write_atomically
from vrpo_theory.sampling.store._rows import Key, checksum, intact

SCHEMA = """
CREATE TABLE manifest (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE evaluation (
    model TEXT NOT NULL, response BLOB NOT NULL, length INTEGER NOT NULL, mask BLOB NOT NULL,
    value BLOB NOT NULL, checksum BLOB NOT NULL,
    PRIMARY KEY (model, response, length, mask)
);
"""
FIND = """SELECT rowid, value, checksum FROM evaluation
WHERE model = ? AND response = ? AND length = ? AND mask = ? AND rowid <= ?"""
ROWS = "SELECT model, response, length, mask, rowid, value, checksum FROM evaluation WHERE rowid <= ?"
KEYS = "SELECT model, response, length, mask FROM evaluation WHERE rowid <= ?"
ENDLESS = 2**63 - 1

_CLOSED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
_FAILED = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_IOERR: errno.EIO, sqlite3.SQLITE_NOMEM: errno.ENOMEM}
_BARRED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}


def damaged(path: Path, what: str) -> InputError:
    """The error for a file that is not what was written."""
    return InputError(
        f"{path} is damaged or no sample store ({what.splitlines()[0]}): "
        "put back a copy, or delete it to evaluate its rows again"
    )


@contextmanager
def plainly(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the system in the project's words, one line each."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.Error as error:
        raise _translated(path, error) from None
    except UnicodeDecodeError:  # SQLite's message quotes bytes that were text
        raise damaged(path, "its schema is not UTF-8") from None
    except OSError as error:
        if error.errno not in _BARRED:
            raise
        raise InputError(f"{path} cannot be written ({error.strerror}): give a folder that can") from None


def _translated(path: Path, error: sqlite3.Error) -> Exception:
    # The low byte is the primary result code; errors of Python's own making have none.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return InputError(f"{path} is being written by another process: let it end, or give another rank or folder")
    if code in _CLOSED:
        return InputError(f"{path} cannot be opened ({error}): give a folder that can be read and written")
    if code in _FAILED:
        return OSError(_FAILED[code], f"{error}; every batch recorded before is safe", str(path))
    return damaged(path, str(error))


def lock(path: Path) -> sqlite3.Connection:
    """Hold a file for writing until the connection is closed or the process dies, however it dies.

    The lock is SQLite's own, on an empty database beside the file, so readers of the file itself are not shut out.
    """
    guard = sqlite3.connect(path.with_suffix(".lock"), timeout=0, isolation_level=None)
    try:
        guard.execute("BEGIN EXCLUSIVE")
    except BaseException:
        guard.close()
        raise
    return guard


def create(path: Path, manifest: Mapping[str, str]) -> None:
    """Make a file with its manifest; it is there whole or not at all."""
    if _logged(path):  # SQLite would play it into the new file
        raise InputError(f"{path} is gone and its log {path.name}-wal is not: put it back, or delete the log too")
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        db.executemany("INSERT INTO manifest VALUES (?, ?)", manifest.items())
        db.commit()
        write_atomically(path, db.serialize())


def _logged(path: Path) -> bool:
    """Whether SQLite's write-ahead log holds anything that is not yet in the file."""
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _connect(path: Path, *, write: bool) -> sqlite3.Connection:
    options = "mode=rw" if write else "mode=ro"
    if write and not os.access(path, os.W_OK):  # SQLite would say so only after the first batch
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    # Beside a file in WAL mode SQLite keeps shared memory; where it cannot, nobody can be writing either.
    if not write and not os.access(path.parent, os.W_OK) and not _logged(path):
        options += "&immutable=1"
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True)
    try:
        if write:
            db.execute("PRAGMA journal_mode=WAL")
            # kill -9 spares what was committed at NORMAL too. FULL adds power cuts and lost hosts, for one fsync a
            # batch: milliseconds, beside the seconds that a large model takes.
            db.execute("PRAGMA synchronous=FULL")
    except BaseException:
        db.close()
        raise
    return db


class StoreFile:
    """An open file; rows that others add after it was opened for reading are not seen."""

    def __init__(self, path: Path, *, write: bool = False) -> None:
        self.path = path
        self._db = _connect(path, write=write)
        self._last = ENDLESS if write else None

    def close(self) -> None:
        self._db.close()

    def manifest(self) -> dict[str, str]:
        """Its fields as JSON text."""
        return dict(self._db.execute("SELECT name, value FROM manifest"))

    def check(self) -> None:
        """Hold the file's structure and its index against its rows."""
        (state,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
        if state != "ok":
            raise damaged(self.path, state.removeprefix("*** in database main ***\n"))

    @property
    def last(self) -> int:
        """The last row in sight: rows are only ever added."""
        if self._last is None:
            (self._last,) = self._db.execute("SELECT coalesce(max(rowid), 0) FROM evaluation").fetchone()
        return self._last

    def rows(self) -> Iterator[tuple[Key, bytes]]:
        """Every key and its checksum, verified."""
        for *fields, row, value, check in self._db.execute(ROWS, (self.last,)):
            key = Key(*fields)
            self._verify(key, row, value, check)
            yield key, check

    def all_keys(self) -> Iterator[Key]:
        """Every key."""
        return (Key(*fields) for fields in self._db.execute(KEYS, (self.last,)))

    def find(self, keys: Sequence[Key]) -> list[bytes | None]:
        """The values of keys, verified; None for what is not there."""
        rows = [self._db.execute(FIND, (*key, self.last)).fetchone() for key in keys]
        for key, row in zip(keys, rows, strict=True):
            if row is not None:
                self._verify(key, *row)
        return [None if row is None else row[1] for row in rows]

    def append(self, rows: Sequence[tuple[Key, bytes]]) -> None:
        """Add rows in one transaction; a key that is there keeps its value."""
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO evaluation VALUES (?, ?, ?, ?, ?, ?)",
                [(*key, value, checksum(key, value)) for key, value in rows],
            )

    def _verify(self, key: Key, row: int, value: bytes, check: bytes) -> None:
        if not intact(key, value, check):
            raise InputError(
                f"row {row} of {self.path} fails its checksum ({key}): put back a copy of the file, or drop the row "
                f"(sqlite3 {self.path} 'DELETE FROM evaluation WHERE rowid = {row}') to evaluate it again"
            )
