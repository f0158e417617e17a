"""What SQLite and the system say about a file, in the project's words.

"Damaged" is said of what was seen: SQLite found the file malformed or no database, its tables are not ours, or a
checksum fails. "In use" is said when a lock is held. Every other error keeps the system's or SQLite's own words.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vrpo_theory.errors import InputError

_MALFORMED = {
    *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT),
    *(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG),
}
"""The second line is of queries that fit every store: a file on which they are wrong has other tables or values."""
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CLOSED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
_SYSTEM = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_NOMEM: errno.ENOMEM}
_UNLOCKABLE = ("PROTOCOL", "NOLFS", "LOCK", "SHM", "BLOCKED")
"""Parts of the names of result codes that say: the file system refuses locks or shared memory."""
_BARRED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}


def damaged(path: Path, what: str) -> InputError:
    """The error for a file that is not what was written."""
    return InputError(
        f"{path} is damaged or no sample store ({what.splitlines()[0]}): "
        "put back a copy, or delete it to evaluate its rows again"
    )


def unlockable(error: sqlite3.Error) -> bool:
    """Whether it was locks or shared memory that SQLite could not have; not whether another process has them."""
    name = getattr(error, "sqlite_errorname", "")
    return _primary(error) not in _HELD and any(part in name for part in _UNLOCKABLE)


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
        where = "" if error.filename in (None, str(path)) else f": {error.filename}"
        raise InputError(f"{path} cannot be written ({error.strerror}{where}): give a folder that can") from None


def _translated(path: Path, error: sqlite3.Error) -> Exception:
    code, name = _primary(error), getattr(error, "sqlite_errorname", "no code")
    if unlockable(error):
        return InputError(
            f"{path} cannot be locked ({error}, {name}): its file system refuses what SQLite needs, with a write-ahead "
            "log and without; copy the folder to a local disk and give that"
        )
    if code in _HELD:
        return InputError(f"{path} is in use by another process ({error}): let it end, or give another rank or folder")
    if code in _CLOSED:
        return InputError(f"{path} cannot be opened ({error}, {name}): give a folder that can be read and written")
    if code in _MALFORMED:
        return damaged(path, str(error))
    said = str(error) if code in _SYSTEM else f"{error}, {name}"
    return OSError(_SYSTEM.get(code, errno.EIO), f"{said}; every batch recorded before is safe", str(path))


def _primary(error: sqlite3.Error) -> int:
    """The low byte is the primary result code; errors of Python's own making have none."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
