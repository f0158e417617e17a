"""One writer per file on every file system: the system's lock, or claims where it grants none.

A process that uses a file first leaves a claim beside it, a small file under a name of its own; then it looks at the
claims of others and withdraws if one is in its way. Of two that come together at least one sees the other, so
there are never two writers; both may withdraw. Between holders of the system's lock, which ends with its process
however that ends, the lock has decided; claims decide where a holder could not have it. A claim whose process is seen
to be gone is removed. That can be seen on its own machine only: elsewhere the error names the file to delete.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vrpo_theory.errors import InputError
from vrpo_theory.files import write_atomically

_LOCKLESS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
"""Error codes of a system without locks; a lock held by another process gives a different code."""


@contextmanager
def hold(path: Path, *, shared: bool = False) -> Iterator[str]:
    """Hold a file, alone or with other readers, until the end of the block or of the process.

    Yields
    ------
    str
        The system's words if it grants no lock, and claims alone stand; "" if it does.

    Raises
    ------
    InputError
        If another process holds the file.
    OSError
        If the files beside it cannot be made.
    """
    handle = os.open(path.with_suffix(".lock"), os.O_CREAT | (os.O_RDONLY if shared else os.O_RDWR), 0o666)
    try:
        refused = _lock(handle, path, shared)
        claim = _claim(path, shared=shared, locked=not refused)
        try:
            yield refused
        finally:
            claim.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _lock(handle: int, path: Path, shared: bool) -> str:
    """Take the system's lock; its words if it has none to give."""
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
    except BlockingIOError:
        raise _in_use(path) from None
    except OSError as error:
        if error.errno not in _LOCKLESS:
            raise OSError(error.errno, f"the system's lock failed: {error.strerror}", str(path)) from None
        return str(error.strerror)
    return ""


def _claim(path: Path, *, shared: bool, locked: bool) -> Path:
    """Make a claim and look at those of others; it is withdrawn if one is in its way."""
    own, pid = path.with_name(f"{path.stem}.claim-{uuid.uuid4().hex}"), os.getpid()
    who = {"host": socket.gethostname(), "machine": _machine(), "pid": pid, "started": _started(pid)}
    write_atomically(own, json.dumps(who | {"shared": shared, "locked": locked}))
    try:
        for other in path.parent.glob(f"{path.stem}.claim-*"):
            if other != own:
                _respect(path, other, shared=shared, locked=locked)
    except BaseException:
        own.unlink(missing_ok=True)
        raise
    return own


def _respect(path: Path, other: Path, *, shared: bool, locked: bool) -> None:
    try:
        claim: dict[str, Any] = json.loads(other.read_text())
    except FileNotFoundError:
        return
    except ValueError:
        claim = {}
    decided = locked and claim.get("locked")
    if (decided and not shared) or _gone(claim):
        other.unlink(missing_ok=True)
    elif not decided and not (shared and claim.get("shared")):
        raise _in_use(
            path, f" (process {claim.get('pid')} on {claim.get('host')})", f"; if it has ended, delete {other}"
        )


def _gone(claim: dict[str, Any]) -> bool:
    """Whether the process of a claim is seen not to be there any more."""
    return bool(claim) and claim["machine"] == _machine() != "" and claim["started"] != _started(claim["pid"])


def _machine() -> str:
    """The running system and the process names it knows; "" where that cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks; "" if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _in_use(path: Path, who: str = "", remedy: str = "") -> InputError:
    return InputError(
        f"{path} is being written by another process{who}: let it end, or give another rank or folder{remedy}"
    )
