"""How SQLite reaches a file on the file system that it is on.

With byte-range locks and shared memory, by a write-ahead log: readers and the writer do not wait for each other.
Without shared memory (network file systems), by a rollback journal. Without byte-range locks, by a rollback journal
and SQLite's locks switched off, under the locks of `vrpo_theory.locks` instead: one writer, or readers, but not both.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from vrpo_theory.locks import hold
from vrpo_theory.store._errors import unlockable

PATIENCE = 30.0
"""Seconds to wait for a lock that is held for the length of a query."""


@dataclass(frozen=True)
class Access:
    """What a file system refuses, in its own words; "" for what it grants."""

    locks: str = ""
    memory: str = ""

    @property
    def remark(self) -> str:
        """A line for the person, "" where nothing is refused."""
        if self.locks:
            return f"no byte-range locks here ({self.locks}): one process at a time can use the store"
        if self.memory:
            return f"no shared memory here ({self.memory}): recorded through a rollback journal instead of a log"
        return ""


def probe(path: Path) -> Access:
    """What the file system grants beside a file, tried on empty files; all, where the folder cannot be written."""
    if not os.access(path.parent, os.W_OK):
        return Access()
    locks = _refusal(path.parent, path.suffix)
    return Access(locks, locks or _refusal(path.parent, f"{path.suffix}-shm"))


def _refusal(folder: Path, suffix: str) -> str:
    import fcntl

    with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-", suffix=suffix) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
        except OSError as error:
            return str(error.strerror)
    return ""


@contextmanager
def opened(path: Path, *, write: bool) -> Iterator[tuple[sqlite3.Connection, Access]]:
    """A connection in the best way that works; a writer must `hold` the file."""
    access = probe(path)
    with ExitStack() as stack:
        try:
            db = stack.enter_context(_connected(path, access, write=write))
        except sqlite3.OperationalError as error:
            if access.memory or not unlockable(error):
                raise
            access = replace(access, memory=f"{error}, {error.sqlite_errorname}")
            db = stack.enter_context(_connected(path, access, write=write))
        yield db, access


@contextmanager
def _connected(path: Path, access: Access, *, write: bool) -> Iterator[sqlite3.Connection]:
    if not write and access.memory and _unsettled(path):
        with hold(path), closing(_writer(path, access)):
            pass
    # Without SQLite's own locks, no process may write while this one reads.
    alone = hold(path, shared=True) if access.locks and not write else nullcontext()
    with alone, closing(_writer(path, access) if write else _reader(path, access)) as db:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # here locks are first needed
        yield db


def _writer(path: Path, access: Access) -> sqlite3.Connection:
    if not os.access(path, os.W_OK):  # SQLite would say so only after the first batch
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    db = _connect(path, "mode=rw&vfs=unix-none" if access.locks else "mode=rw")
    try:
        if access.memory:
            # The log of an earlier run is played in without shared memory, while no other process may look.
            db.execute("PRAGMA locking_mode=EXCLUSIVE")
            db.execute("PRAGMA journal_mode=DELETE")
            db.execute("PRAGMA locking_mode=NORMAL")
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # only now the lock is let go
        else:
            db.execute("PRAGMA journal_mode=WAL")
        # kill -9 spares what was committed at NORMAL too. FULL adds power cuts and lost hosts, for one fsync a
        # batch: milliseconds, beside the seconds that a large model takes.
        db.execute("PRAGMA synchronous=FULL")
    except BaseException:
        db.close()
        raise
    return db


def _reader(path: Path, access: Access) -> sqlite3.Connection:
    # Beside a file in WAL mode SQLite keeps shared memory; where it cannot, no process can be writing either.
    alone = access.locks or not os.access(path.parent, os.W_OK)
    if alone and not logged(path):
        return _connect(path, "mode=ro&immutable=1")
    if access.memory and os.access(path, os.W_OK):  # to undo what a writer that died had begun
        db = _connect(path, "mode=rw")
        db.execute("PRAGMA query_only=1")
        return db
    return _connect(path, "mode=ro")


def _connect(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True, timeout=PATIENCE)


def logged(path: Path) -> bool:
    """Whether a log or journal of SQLite's beside a file holds anything that is not yet in it, or must be undone."""
    beside = (path.with_name(f"{path.name}-{kind}") for kind in ("wal", "journal"))
    return any(log.exists() and log.stat().st_size > 0 for log in beside)


def _unsettled(path: Path) -> bool:
    """Whether a file cannot be read without shared memory: it is in WAL mode, as bytes 18 and 19 say, or logged."""
    with path.open("rb") as file:
        return file.read(20)[18:] == b"\2\2" or (path.with_name(f"{path.name}-wal")).exists()
