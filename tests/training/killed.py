"""A script: runs of ``vrpo train`` that are killed at chosen points, and resumed; prints what they end in, as JSON.

Every run is a fork of this process, which imports once and never computes: torch cannot compute on both sides of one.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from vrpo_theory.cli import app
from vrpo_theory.runs import training
from vrpo_theory.training.full_scale import log, trainer, weights

POINTS = {
    "within a step": (trainer.VrpoTrainer, "_get_grad_norm", 3),
    "before weights are saved": (weights, "save", 1),
    "before the optimizer is saved": (trainer.VrpoTrainer, "_save_optimizer_and_scheduler", 2),
    "before a checkpoint is sealed": (weights, "seal", 2),
    "within a line of the log": (log.Log, "write", 4),
    "before the end is written": (training.Run, "enter", 2),
}
"""Where SIGKILL comes: an attribute of an object, and at which of its calls; or, as in "1.5 s", after how long."""


def forked(arguments, point=None):
    """Exit status of the command in a process of its own."""
    child = os.fork()
    if not child:
        if point in POINTS:
            armed(*POINTS[point])
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        app(arguments, prog_name="vrpo")
    if point is not None and point not in POINTS:
        time.sleep(float(point.split()[0]))
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def armed(owner, name, call):
    kept, calls = getattr(owner, name), []

    def killing(*arguments, **options):
        calls.append(arguments)
        if len(calls) == call:
            if owner is log.Log:
                with arguments[0].path.open("a") as file:
                    file.write('{"step": 4, "lo')
            os.kill(os.getpid(), signal.SIGKILL)
        return kept(*arguments, **options)

    setattr(owner, name, killing)


def ended(out):
    """What a run left: a digest of the weights, and its log without times."""
    (file,) = out.glob("*.safetensors")
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    rows = [{name: value for name, value in row.items() if name != "tokens_per_second"} for row in rows]
    return hashlib.sha256(file.read_bytes()).hexdigest(), rows


def main(folder, options, points):
    found = {}
    for point in [None, *points]:
        out = folder / str(point).replace(" ", "_")
        arguments = ["train", "--out", str(out), *options]
        killed = [] if point is None else [os.WTERMSIG(forked(arguments, point))]
        found[str(point)] = {"killed": killed, "status": forked(arguments), "ended": ended(out)}
    print(json.dumps(found))


if __name__ == "__main__":
    chosen = sys.argv[2].split(",") if sys.argv[2] else []
    main(Path(sys.argv[1]), sys.argv[3:], chosen)
