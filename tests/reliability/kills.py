"""A script: commands killed by SIGKILL at random points, some within a write, and repeated; prints how they ended.

``python -m tests.reliability.kills FOLDER POINTS WRITES``: POINTS points in all, at least WRITES of them within writes.
Every run is a fork of this process, which imports once and never computes: torch cannot compute on both sides of one.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import resource
import signal
import sys
from pathlib import Path

from vrpo_theory import files
from vrpo_theory.cli import app

DATA = Path(__file__).parents[1] / "data/cases/base"
POLICY, PAIRS = ["--policy", str(DATA / "policy")], ["--pairs", str(DATA / "pairs.jsonl")]
SOURCES = [*POLICY, "--reference", str(DATA / "reference"), *PAIRS]
COMMANDS = {
    "table3": ["reproduce", "table3", *SOURCES, "--limit", "2", "--gradient", "none", "--pool", "3,2"],
    "score": ["score", *SOURCES, "--n-t", "16", "--groups", "8", "--json"],
    "plan": ["plan", *SOURCES, "--pilot", "8", "--budget", "8", "--json"],
    "train": ["train", *POLICY, *PAIRS, "--batch", "2", "--steps", "3", "--held-out", "0", "--save-every", "1",
              "--adapter-rank", "2", "--learning-rate", "1e-2"],
}  # fmt: skip
PLACES = {"table3": ["--out", "out", "--store", "store"], "train": ["--out", "out"]}
USED = (
    "matplotlib", "peft", "scipy.stats", "transformers.models.llama.modeling_llama", "transformers.trainer",
    *(
        f"vrpo_theory.{name}"
        for name in (
            "models.llada.checkpoint", "planning.planner", "plotting.saving", "reproduce.runner", "runs.training",
            "training.full_scale.trainer",
        )
    ),
)  # fmt: skip
"""Imported once, for all runs."""
MOMENTS = ("half written", "before it is kept", "before it replaces", "after it replaces")


def arguments(name: str, folder: Path) -> list[str]:
    options = PLACES.get(name, ["--store", "store"])
    return [*COMMANDS[name], *(word if word.startswith("--") else str(folder / word) for word in options)]


def forked(name: str, folder: Path, arm=lambda: None) -> tuple[int, float]:
    """Status of a command in a process of its own, and its processor time."""
    folder.mkdir(exist_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    child = os.fork()
    if not child:
        os.dup2(os.open(folder / "stdout", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(os.open(folder / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        arm()
        app(arguments(name, folder), prog_name="vrpo")
    status = os.waitpid(child, 0)[1]
    return status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def after(seconds: float):
    """Kill once so much processor time is spent."""

    def arm():
        signal.signal(signal.SIGPROF, lambda number, frame: os.kill(os.getpid(), signal.SIGKILL))
        signal.setitimer(signal.ITIMER_PROF, max(seconds, 1e-3))

    return arm


def within(write: int, moment: str):
    """Kill at a moment of a write to the disk, counted from 0."""

    def arm():
        def killing(call, fatal, then):
            seen = []

            def wrapped(*given):
                seen.append(given)
                if len(seen) == write + 1:
                    then(*given)
                    if moment == fatal:
                        os.kill(os.getpid(), signal.SIGKILL)
                return call(*given)

            return wrapped

        def halved(handle, mode):
            file = os.fdopen(handle, mode)
            whole = file.write
            if moment == MOMENTS[0] and next(number) == write:
                file.write = lambda data: (whole(data[: len(data) // 2]), file.flush(), os.kill(os.getpid(), 9))
            return file

        number = iter(range(10**6))
        seam = _Seam(os)
        if moment == MOMENTS[0]:
            seam.fdopen = halved
        elif moment == MOMENTS[1]:
            seam.fsync = killing(os.fsync, moment, lambda *given: None)
        elif moment == MOMENTS[2]:
            seam.replace = killing(os.replace, moment, lambda *given: None)
        else:
            seam.replace = killing(os.replace, moment, os.replace)
        files.os = seam

    return arm


class _Seam:
    """The system as the writer of files sees it."""

    def __init__(self, system) -> None:
        self._system = system

    def __getattr__(self, name):
        return getattr(self._system, name)


def counted(counter: Path):
    """Count the writes of a run, in a file."""

    def arm():
        seam = _Seam(os)

        def replace(*given):
            with counter.open("a") as file:
                file.write(".")
            os.replace(*given)

        seam.replace = replace
        files.os = seam

    return arm


def left(name: str, folder: Path) -> str:
    """A digest of what a run left: its table or document, or its weights and its log but for times."""
    if name == "table3":
        return _digest((folder / "out/table3.json").read_bytes())
    if name != "train":
        return _digest((folder / "stdout").read_bytes())
    (weights,) = (folder / "out").glob("*.safetensors")
    rows = [json.loads(line) for line in (folder / "out/log.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("tokens_per_second", None)
    return _digest(weights.read_bytes() + json.dumps(rows).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def points(rng: random.Random, number: int, writes: int, seconds: float, written: int):
    """Where to kill: within writes first, then anywhere."""
    for k in range(number):
        if k < writes and written:
            yield f"write {(at := rng.randrange(written))}, {(moment := rng.choice(MOMENTS))}", within(at, moment)
        else:
            at = rng.uniform(0, seconds)
            yield f"{at:.2f} s", after(at)


def main(folder: Path, number: int, writes: int) -> None:
    for module in USED:
        importlib.import_module(module)
    rng, rows = random.Random(0), []
    for k, name in enumerate(COMMANDS):
        counter = folder / f"{name}.writes"
        counter.touch()
        status, seconds = forked(name, folder / f"{name}-whole", counted(counter))
        assert status == 0, (folder / f"{name}-whole/stderr").read_text()
        whole = left(name, folder / f"{name}-whole")
        share = [(total + len(COMMANDS) - 1 - k) // len(COMMANDS) for total in (number, writes)]
        for at, arm in points(rng, *share, seconds, len(counter.read_text())):
            place = folder / f"{name}-{len(rows)}"
            killed = forked(name, place, arm)[0] == signal.SIGKILL
            status = forked(name, place)[0]
            same = status == 0 and left(name, place) == whole
            rows.append({"command": name, "point": at, "killed": killed, "status": status, "same": same})
            print(rows[-1], file=sys.stderr, flush=True)
    print(json.dumps({"points": rows}, indent=1), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
