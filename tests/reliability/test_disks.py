"""Disks that are full, fail or take half of a write: the old file stays, nothing lies about, one line says so."""

import errno
import os
import resource
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from vrpo_theory.files import write_atomically

BASE = Path(__file__).parents[1] / "data/cases/base"
SOURCES = (
    "--policy",
    BASE / "policy",
    "--reference",
    BASE / "reference",
    "--pairs",
    BASE / "pairs.jsonl",
    "--limit",
    1,
)
CALLS = ("tempfile.mkstemp", "os.fdopen", "os.fsync", "os.chmod", "os.replace")


def failing(number):
    def call(*given, **options):
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("call", CALLS)
def test_a_write_that_fails_anywhere_leaves_the_old_file_alone(tmp_path, monkeypatch, call, number):
    path = tmp_path / "file.json"
    path.write_text("old")
    monkeypatch.setattr(f"vrpo_theory.files.{call}", failing(number))
    with pytest.raises(OSError) as caught:
        write_atomically(path, "new")
    monkeypatch.undo()
    assert caught.value.errno == number
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.json"]


@contextmanager
def largest_file(size):
    """Beyond it the system writes a part, and then no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 1, 4096, 99_999])
def test_half_a_write_is_none(tmp_path, size):
    path = tmp_path / "file.json"
    path.write_text("old")
    with largest_file(size), pytest.raises(OSError, match="too large"):
        write_atomically(path, "x" * 100_000)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.json"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("command", [("score", "--n-t", 2), ("plan", "--pilot", 8, "--budget", 8)], ids=lambda c: c[0])
def test_commands_say_so_in_one_line_and_go_on_later(vrpo, tmp_path, monkeypatch, command, number):
    arguments = (*command, *SOURCES, "--json", "--store", tmp_path / "store")
    monkeypatch.setattr("vrpo_theory.files.os.fsync", failing(number))
    result = vrpo(*arguments)
    monkeypatch.undo()
    (line,) = [line for line in result.stderr.splitlines() if "Error" in line]
    assert (result.exit_code, result.stdout) == (1, "")
    assert os.strerror(number) in line
    assert "to resume" in line
    again = vrpo(*arguments)
    assert again.exit_code == 0
    assert again.stdout == vrpo(*arguments).stdout


def test_a_clock_that_is_set_back_moves_nothing(vrpo, tmp_path, monkeypatch):
    arguments = ("score", "--n-t", 2, *SOURCES, "--json", "--store", tmp_path / "store")
    first = vrpo(*arguments)
    for path in (tmp_path / "store").iterdir():
        os.utime(path, (time.time() + 10**6,) * 2)
    monkeypatch.setattr("time.time", lambda: 10**8)
    again = vrpo(*arguments)
    assert (again.exit_code, again.stdout) == (0, first.stdout)
