"""One SQLite file of evaluations: created whole, written by one process, read by any."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from vrpo_theory.errors import InputError
from vrpo_theory.files import write_atomically
from vrpo_theory.store._access import logged, opened
from vrpo_theory.store._errors import damaged
from vrpo_theory.store._rows import Key, checksum, intact

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


def create(path: Path, manifest: Mapping[str, str]) -> None:
    """Make a file with its manifest; it is there whole or not at all."""
    if logged(path):  # SQLite would play it into the new file
        raise InputError(
            f"{path} is gone and its log {path.name}-wal is not (or -journal): put it back, or delete the log too"
        )
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        db.executemany("INSERT INTO manifest VALUES (?, ?)", manifest.items())
        db.commit()
        write_atomically(path, db.serialize())


class StoreFile:
    """An open file; rows that others add after it was opened for reading are not seen."""

    def __init__(self, path: Path, *, write: bool = False) -> None:
        self.path = path
        self._open = ExitStack()
        self._db, self.access = self._open.enter_context(opened(path, write=write))
        self._last = ENDLESS if write else None

    def close(self) -> None:
        self._open.close()

    def manifest(self) -> dict[str, str]:
        """Its fields as JSON text."""
        return dict(self._db.execute("SELECT name, value FROM manifest"))

    def check(self) -> None:
        """Check the file's structure, and its index against its rows."""
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
