"""Errors of stores need evidence: "damaged" and "another process" are said only of what was seen.

Public reports of the kind: charmbracelet/crush#3461 ("locking protocol" on NFS), AISecurityLab/hackagent#407 (GPFS and
Lustre).
"""

import errno
import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from vrpo_theory import Response, locks
from vrpo_theory.errors import InputError
from vrpo_theory.store import SampleStore, _access, _errors

DATA = Path(__file__).parents[1] / "data"
FIELDS, MODEL, RESPONSE = {"dtype": "float32"}, "1" * 64, Response((), tuple(range(9)))
MASKS = np.tri(9, dtype=bool)
VALUES = np.where(MASKS, -1 / 3, 0)


def record(folder, rows=9, rank=0):
    with SampleStore.open(folder, FIELDS, rank=rank) as store:
        store.record(MODEL, [(RESPONSE, MASKS[:rows])], [VALUES[:rows]])
        return store.remarks


def holds(folder):
    with SampleStore.read(folder, FIELDS) as store:
        values, known = store.recall(MODEL, RESPONSE, MASKS)
        return bool(known.all() and (values == VALUES).all())


@pytest.fixture
def refuse(monkeypatch):
    """Makes the system refuse locks, those of whole files and those of bytes in files of some ending."""

    def patch(number, *, whole=True, ending=""):
        def lockf(file, *arguments):
            if file.name.endswith(ending):
                raise OSError(number, os.strerror(number))

        def flock(*arguments):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "lockf", lockf)
        if whole:
            monkeypatch.setattr(fcntl, "flock", flock)

    return patch


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_without_any_lock_a_store_is_recorded_resumed_and_read(tmp_path, refuse, number):
    record(tmp_path, rows=4)  # where locks are granted: a folder may be moved
    refuse(number)
    remarks = record(tmp_path)
    assert len(remarks) == 2
    assert all(os.strerror(number) in remark for remark in remarks)
    assert holds(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"store-0.lock", "store-0.sqlite"}


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES, errno.ENOLCK])
def test_without_shared_memory_ranks_still_record_side_by_side(tmp_path, refuse, number):
    refuse(number, whole=False, ending="-shm")
    with SampleStore.open(tmp_path, FIELDS) as one, SampleStore.open(tmp_path, FIELDS, rank=1) as two:
        one.record(MODEL, [(RESPONSE, MASKS[:4])], [VALUES[:4]])
        two.record(MODEL, [(RESPONSE, MASKS[4:])], [VALUES[4:]])
        assert "rollback journal" in one.remarks[0]
    assert holds(tmp_path)


def test_a_log_that_a_killed_run_left_is_played_in_without_shared_memory(tmp_path, refuse):
    record(tmp_path)
    saved, path = tmp_path / "saved", tmp_path / "store-0.sqlite"
    with SampleStore.open(tmp_path, FIELDS) as store:
        store.record(MODEL, [(Response((1,), (2, 3)), MASKS[:2, :2])], [VALUES[:2, :2]])
        shutil.copytree(tmp_path, saved)  # as a kill would leave it
    assert (saved / f"{path.name}-wal").stat().st_size > 0
    for claim in saved.glob("*.claim-*"):
        claim.unlink()
    refuse(errno.EAGAIN, whole=False, ending="-shm")
    with SampleStore.read(saved, FIELDS) as store:
        assert store.count() == 11


def test_shared_memory_that_fails_in_use_is_done_without(tmp_path, monkeypatch):
    record(tmp_path, rows=4)
    connect, tried = _access._writer, []

    def fail_once(path, access):
        tried.append(access.memory)
        if not access.memory:
            raise sqlite_error("locking protocol", sqlite3.SQLITE_PROTOCOL, "SQLITE_PROTOCOL")
        return connect(path, access)

    monkeypatch.setattr(_access, "_writer", fail_once)
    (remark,) = record(tmp_path)
    assert tried == ["", "locking protocol, SQLITE_PROTOCOL"]
    assert "locking protocol" in remark
    monkeypatch.undo()
    assert holds(tmp_path)


def test_without_locks_there_is_one_writer_or_readers(tmp_path, refuse):
    refuse(errno.ENOLCK)
    record(tmp_path)
    with SampleStore.open(tmp_path, FIELDS):
        for use in (record, holds):
            with pytest.raises(InputError, match=rf"being written .*process {os.getpid()} on .* delete .*claim-"):
                use(tmp_path)
    with SampleStore.read(tmp_path):
        assert holds(tmp_path)
        with pytest.raises(InputError, match=r"another process"):
            record(tmp_path)
    record(tmp_path)


def claim(folder, **fields):
    own = {"host": "here", "machine": locks._machine(), "pid": os.getpid(), "started": locks._started(os.getpid())}
    path = folder / "store-0.claim-0"
    path.write_text(json.dumps(own | {"shared": False, "locked": False} | fields))
    return path


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="a process is seen to be gone through /proc")
@pytest.mark.parametrize("gone", [{"pid": 2**22 + 1}, {"started": "0"}])
def test_the_claim_of_a_dead_process_is_in_nobody_s_way(tmp_path, refuse, gone):
    refuse(errno.ENOLCK)
    path = claim(tmp_path, **gone)
    record(tmp_path)
    assert not path.exists()


@pytest.mark.parametrize("alive", [{"host": "node7", "machine": "other"}, {}])
def test_a_claim_is_respected_with_and_without_the_system_s_lock(tmp_path, refuse, alive):
    path = claim(tmp_path, **alive)
    for _ in range(2):
        with pytest.raises(InputError, match=rf"on {alive.get('host', 'here')}.*if it has ended, delete {path}"):
            record(tmp_path)
        refuse(errno.ENOLCK)
    path.unlink()
    record(tmp_path)


def sqlite_error(text, code, name):
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("SQLITE_CORRUPT", InputError, "is damaged"),
        ("SQLITE_NOTADB", InputError, "is damaged"),
        ("SQLITE_BUSY", InputError, "in use by another process"),
        ("SQLITE_PROTOCOL", InputError, "cannot be locked"),
        ("SQLITE_IOERR_LOCK", InputError, "cannot be locked"),
        ("SQLITE_IOERR_SHMMAP", InputError, "cannot be locked"),
        ("SQLITE_IOERR_SHMOPEN", InputError, "cannot be locked"),
        ("SQLITE_CANTOPEN", InputError, "cannot be opened"),
        ("SQLITE_READONLY_RECOVERY", InputError, "cannot be opened"),
        ("SQLITE_IOERR_READ", OSError, "SQLITE_IOERR_READ; every batch recorded before is safe"),
        ("SQLITE_INTERRUPT", OSError, "SQLITE_INTERRUPT; every batch recorded before is safe"),
    ],
)
def test_what_sqlite_says_is_passed_on_in_its_words(name, kind, words):
    with pytest.raises(kind, match=words) as found, _errors.plainly(Path("store")):
        raise sqlite_error("its own words", getattr(sqlite3, name), name)
    message = str(found.value)
    assert "its own words" in message
    assert "\n" not in message
    assert ("damaged" in message) == ("damaged" in words)


def test_somebody_who_does_hold_the_database_is_said_to(tmp_path, monkeypatch):
    monkeypatch.setattr(_access, "PATIENCE", 0)
    record(tmp_path)
    with closing(sqlite3.connect(tmp_path / "store-0.sqlite", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match=r"in use by another process \(database is locked\)"):
            record(tmp_path)
    assert holds(tmp_path)


@pytest.fixture(scope="module")
def nolock(tmp_path_factory):
    """A library that makes the system refuse byte-range locks on files of one ending."""
    if not shutil.which("gcc") or not sys.platform.startswith("linux"):
        pytest.skip("needs gcc and Linux; the refusals are simulated above")
    library = tmp_path_factory.mktemp("nolock") / "nolock.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, DATA / "nolock.c", "-ldl"], check=True)
    return library


@pytest.mark.parametrize(
    ("ending", "number", "words"),
    [("-shm", errno.EAGAIN, "rollback journal"), (".sqlite", errno.ENOLCK, "No locks available"), (".lock", 37, "[]")],
)
def test_where_the_system_does_refuse_locks_the_store_goes_on(tmp_path, nolock, ending, number, words):
    record(tmp_path, rows=4)
    code = (
        "import sys; import numpy as np; from vrpo_theory import Response, SampleStore\n"
        "mask = np.tri(9, dtype=bool)\n"
        "with SampleStore.open(sys.argv[1], {'dtype': 'float32'}) as store:\n"
        "    store.record('1' * 64, [(Response((), tuple(range(9))), mask)], [np.where(mask, -1 / 3, 0)])\n"
        "    print(store.remarks)"
    )
    shim = {"LD_PRELOAD": str(nolock), "SHIM_SUFFIX": ending, "SHIM_ERRNO": str(number)}
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], env={**os.environ, **shim}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert words in done.stdout
    assert holds(tmp_path)
