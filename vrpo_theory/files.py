"""Files that are written whole or left unchanged."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from vrpo_theory.errors import InputError

NOT_OFFERED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
"""What a file system says that has no fsync; of data it could not keep it says something else."""


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file in one step: temporary neighbour, fsync, rename; the old file survives any failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            _sync(file.fileno())
        with suppress(PermissionError):  # some file systems have no modes, and need none
            os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _sync(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NOT_OFFERED:
            raise


def require_writable(folder: Path, *names: str) -> None:
    """Refuse, before anything is computed, a folder that could not take the results; nothing is left behind.

    Parameters
    ----------
    names : str
        Files that will be written in it.

    Raises
    ------
    InputError
        If the folder cannot be made or written, or a folder has the name of such a file.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}: {there}): give a folder that can") from None
    taken = [folder / name for name in names if (folder / name).is_dir()]
    if taken:
        raise InputError(f"{taken[0]} is a folder, and a file of that name will be written: move it, or give another")
