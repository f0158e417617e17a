"""Little memory and little time, so that what would take much of either fails at once."""

import resource
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

STATM = Path("/proc/self/statm")
needs_proc = pytest.mark.skipif(not STATM.exists(), reason="reads the size of the process from /proc")


@contextmanager
def little_memory(megabytes=256):
    """What the process may take beyond what it has."""
    now = int(STATM.read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + megabytes * 2**20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def little_time(seconds=30):
    """TimeoutError in what waits or computes for longer; of processor time, so that a busy machine is no fault."""

    def late(number, frame):
        raise TimeoutError(f"more than {seconds} s")

    before = [signal.signal(number, late) for number in (signal.SIGVTALRM, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 5 * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip((signal.SIGVTALRM, signal.SIGALRM), before, strict=True):
            signal.signal(number, handler)
