"""Which random numbers an estimator uses: the generator it was handed, or those that all code shares."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from vrpo_theory.auditing.estimator import Estimator
from vrpo_theory.auditing.process_settings import changes, settings, settings_kept
from vrpo_theory.auditing.toys import has, toy
from vrpo_theory.randomness import content_key

TRIALS = 8


@dataclass(frozen=True)
class GeneratorUse:
    """What was seen in a few calls on one toy.

    Parameters
    ----------
    repeatable : bool
        Equal generators and equal global states give equal results.
    reads_global : bool
        Equal generators give different results when the global generators are seeded otherwise.
    advances : tuple of str
        Global generators ("torch", "numpy", "random") whose state a call changes.
    uses_generator : bool
        Other seeds of the handed generator change the result.
    settings : tuple of str
        What a call changed of the settings that all code shares, such as torch's default dtype.
    """

    repeatable: bool
    reads_global: bool
    advances: tuple[str, ...]
    uses_generator: bool
    settings: tuple[str, ...] = ()


@contextmanager
def untouched() -> Iterator[None]:
    """Restore the global generators and settings at the end."""
    with states_kept(), settings_kept():
        yield


@contextmanager
def states_kept() -> Iterator[None]:
    """Restore the global generators at the end."""
    states = torch.random.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.random.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


def seed_global(seed: int) -> None:
    """Seed every global generator; only inside `untouched` or `states_kept`."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def derived(seed: int, *address: int | str) -> int:
    """A seed for one address, 56 bits."""
    key = content_key([seed], *([a] if isinstance(a, int) else list(a.encode()) for a in address))
    return int.from_bytes(key[:7], "little")


def probe(estimator: Estimator, length: int, n: int, batch_size: int | None, seed: int) -> GeneratorUse:
    """Call the estimator on a toy that varies under equal and different seeds; the caller guards the global state."""
    subject, before_all = toy("rough" if has("rough", length) else "gaps", length), settings()

    advanced: set[str] = set()

    def call(own: int, shared: int) -> float:
        seed_global(derived(seed, "shared", shared))
        before = _states()
        value, _ = estimator(subject, n, batch_size, torch.Generator().manual_seed(derived(seed, "own", own)))
        advanced.update(name for name, state in _states().items() if state != before[name])
        return value

    first, again = ([call(trial, 0) for trial in range(TRIALS)] for _ in range(2))
    shared = [call(trial, 1) for trial in range(TRIALS)]
    others = [call(TRIALS + trial, 0) for trial in range(TRIALS)]
    subject.predictor.trace.take()
    repeatable = first == again
    return GeneratorUse(
        repeatable,
        repeatable and first != shared,
        tuple(sorted(advanced)),
        len({*first, *others}) > 1,
        changes(before_all),
    )


def _states() -> dict[str, object]:
    """What can be compared of the global states."""
    _, words, *place = np.random.get_state(legacy=True)
    return {
        "torch": torch.random.get_rng_state().numpy().tobytes(),
        "numpy": (np.asarray(words).tobytes(), *place),
        "random": random.getstate(),
    }
