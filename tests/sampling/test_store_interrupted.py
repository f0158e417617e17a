"""Kills, locks and full disks: what was recorded stays, the rest is made again, bit for bit."""

import errno
import os
import resource
import signal
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from vrpo_theory import MODELS, elbo
from vrpo_theory.errors import InputError
from vrpo_theory.randomness import Address
from vrpo_theory.store import Recorded, SampleStore

MANIFEST = {"batch_tokens": 160}
CASE = MODELS["markov"].case(1, 16)
REQUESTS = [
    (response, np.random.default_rng(k).random((rows, 16)) < 0.5)
    for k, (response, rows) in enumerate([(CASE.pair.chosen, 84), (CASE.pair.rejected, 76), (CASE.pair.chosen, 80)])
]
"""The chosen's 164 masks come first, so that one batch of ten holds four of them and six of the rejected's."""
BATCH, BATCHES = 10, 48


class Sensitive:
    """A model that a row's company in its batch moves in the last digits, as it does float32 kernels."""

    def __init__(self, model, after_batch=lambda: None):
        self.model, self.device, self.fingerprint = model, model.device, model.fingerprint
        self.after_batch = after_batch

    def log_prob(self, tokens, answer, mask, attention):
        self.after_batch()
        company = float((mask * torch.arange(1, mask.shape[1] + 1)).sum() % 101)
        return self.model.log_prob(tokens, answer, mask, attention) * (1 + 1e-13 * company)


def job(folder, after_batch=lambda: None):
    """Two models, 24 batches each; the hook runs between batches."""
    with SampleStore.open(folder, MANIFEST) as store:
        models = [Recorded(Sensitive(model, after_batch), store) for model in (CASE.policy, CASE.reference)]
        swept = elbo.sweep(REQUESTS, models, batch_tokens=MANIFEST["batch_tokens"])
    return b"".join(x.tobytes() for values in swept for x in values)


def batches_in(folder):
    """How many batches a store holds, none of them in part."""
    if not list(folder.glob("store-*.sqlite")):
        return 0
    with SampleStore.read(folder, MANIFEST) as store:
        assert store.count() % BATCH == 0
        return store.count() // BATCH


def child(work):
    """A process that does some work and ends there, whatever happens; its id, and what it says."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reader)
            work(lambda text: os.write(writer, text))
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    return pid, os.fdopen(reader, "rb", buffering=0)


def ended(pid):
    """The signal that ended a child, 0 if none did."""
    _, status = os.waitpid(pid, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


@contextmanager
def calls(act):
    """Do something at every call of a function, Python's or C's, with its number."""
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        if event in ("call", "c_call", "c_return"):
            count += 1
            act(count)

    sys.setprofile(profile)
    try:
        yield lambda: count
    finally:
        sys.setprofile(None)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return job(tmp_path_factory.mktemp("unbroken"))


@pytest.fixture(scope="module")
def length(tmp_path_factory, unbroken):
    """How many calls an unbroken job makes."""

    def work(say):
        with calls(lambda count: None) as total:
            job(folder)
        say(str(total()).encode())

    folder = tmp_path_factory.mktemp("counted")
    pid, reader = child(work)
    with reader:
        found = int(reader.read())
    assert ended(pid) == 0
    return found


MOMENTS = Address(0, "kill", 1, 1, b"").uniforms().level(20)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_job_killed_at_any_call_resumes_bit_for_bit(tmp_path, unbroken, length, moment):
    fatal = int(moment * length) + 1

    def work(say):
        with calls(lambda count: count == fatal and os.kill(os.getpid(), signal.SIGKILL)):
            job(tmp_path)

    pid, reader = child(work)
    reader.close()
    assert ended(pid) == signal.SIGKILL
    done, evaluated = batches_in(tmp_path), []
    assert job(tmp_path, lambda: evaluated.append(1)) == unbroken
    assert len(evaluated) == BATCHES - done


@pytest.mark.parametrize("batches", [1, 2, 7, 19, 30, 44])
def test_a_job_killed_from_outside_keeps_every_batch(tmp_path, unbroken, batches):
    """The kill lands where it lands: in the model, in SQLite, in the system. A batch is said to begin only when the
    one before is committed."""
    pid, reader = child(lambda say: job(tmp_path, lambda: say(b".")))
    with reader:
        begun = 0
        while begun <= batches:
            begun += len(reader.read(1))
        os.kill(pid, signal.SIGKILL)
        begun += len(reader.read())
    assert ended(pid) == signal.SIGKILL
    assert begun - 1 <= batches_in(tmp_path) <= begun
    assert job(tmp_path) == unbroken


def test_a_second_writer_is_refused_until_the_first_is_dead(tmp_path):
    def work(say):
        with SampleStore.open(tmp_path, MANIFEST):
            say(b"open")
            signal.pause()

    pid, reader = child(work)
    try:
        assert reader.read(4) == b"open"
        with pytest.raises(
            InputError, match=r"store-0.sqlite is being written by another process: let it end"
        ) as error:
            SampleStore.open(tmp_path, MANIFEST)
        assert "\n" not in str(error.value)
        SampleStore.open(tmp_path, MANIFEST, rank=1).close()
        SampleStore.read(tmp_path, MANIFEST).close()
    finally:
        reader.close()
        os.kill(pid, signal.SIGKILL)
        assert ended(pid) == signal.SIGKILL
    with SampleStore.open(tmp_path, MANIFEST), pytest.raises(InputError, match="is being written"):
        SampleStore.open(tmp_path, MANIFEST)
    SampleStore.open(tmp_path, MANIFEST).close()


def record(folder, request=0, before=lambda store: None):
    (response, masks) = REQUESTS[request]
    with SampleStore.open(folder, MANIFEST) as store:
        before(store)
        store.record("m", [(response, masks)], [np.where(masks, -1 / 3, 0)])


def holds(folder, *requests):
    with SampleStore.read(folder, MANIFEST) as store:
        return store.count() == sum(len(REQUESTS[r][1]) for r in requests) and all(
            np.array_equal(store.recall("m", *REQUESTS[r])[0], np.where(REQUESTS[r][1], -1 / 3, 0)) for r in requests
        )


def test_a_full_disk_keeps_what_is_there(tmp_path):
    record(tmp_path)

    def fill_up(store):
        (pages,) = store._own._db.execute("PRAGMA page_count").fetchone()
        store._own._db.execute(f"PRAGMA max_page_count={pages + 1}")

    with pytest.raises(OSError, match="full; every batch recorded before is safe") as error:
        record(tmp_path, 1, fill_up)
    assert error.value.errno == errno.ENOSPC
    assert "\n" not in str(error.value)
    assert holds(tmp_path, 0)
    record(tmp_path, 1)
    assert holds(tmp_path, 0, 1)


def test_a_short_write_keeps_what_is_there(tmp_path):
    """The system refuses to let a file grow, in the middle of the log."""
    record(tmp_path)

    def limited(store):
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

    def work(say):
        try:
            record(tmp_path, 1, limited)
        except OSError as error:
            say(str(error).encode())

    pid, reader = child(work)
    with reader:
        message = reader.read().decode()
    assert ended(pid) == 0
    assert "every batch recorded before is safe" in message
    assert "\n" not in message
    assert holds(tmp_path, 0)
    record(tmp_path, 1)
    assert holds(tmp_path, 0, 1)


def test_a_disk_too_full_to_begin_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("vrpo_theory.files.os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            SampleStore.open(tmp_path, MANIFEST)
    assert [path.name for path in tmp_path.iterdir()] == ["store-0.lock"]
    record(tmp_path)
    assert holds(tmp_path, 0)
