"""A training run: from folders and pairs to trained weights, resumed where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrpo_theory.errors import InputError, one_line
from vrpo_theory.files import require_writable, write_atomically
from vrpo_theory.locks import hold
from vrpo_theory.runs import inputs, ranks
from vrpo_theory.runs.console import say
from vrpo_theory.runs.recording import CONDITIONS
from vrpo_theory.runs.training_models import load
from vrpo_theory.runs.training_options import TrainingOptions, require_libraries
from vrpo_theory.types import Case, PreferencePair

if TYPE_CHECKING:
    from vrpo_theory.training.full_scale.trainer import TrainingTask

RUN, LOG, REFERENCE = "run.json", "log.jsonl", "reference"
WEIGHTS = ("config.json", "model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")


def train(sources: inputs.Sources, options: TrainingOptions) -> Path:
    """Train, or go on with a run of the same options, models and pairs; returns the folder of the trained weights.

    Raises
    ------
    InputError
        If anything asked for does not exist or go together, or the folder holds another run, or one that goes on.
    FloatingPointError
        If a log-probability or gradient is not finite; the weights of the last checkpoint stay.
    """
    require_libraries(adapter=options.adapter_rank is not None or sources.adapter is not None)
    require_writable(options.out, RUN, LOG)
    objective = options.objective()
    models = load(sources, options)
    pairs, held_out = models.read(sources, options.held_out)
    asked = {**options.weighing(), **models.described(), "pairs": _digest(pairs + held_out)}
    from vrpo_theory.training.full_scale.stream import PairStream
    from vrpo_theory.training.full_scale.trainer import TrainingTask

    stream = PairStream(tuple(pairs), options.seed, options.steps_over(len(pairs)) * options.batch)
    task = TrainingTask(models.policy, models.reference, objective, stream, held_out, options.noise_every)
    cpu = sources.options.get("device", "cpu") == "cpu"
    arguments = options.arguments(len(pairs), cpu=cpu, evaluates=bool(held_out), adapted=models.adapted)
    del models  # so that a reference can leave memory
    with _only_writer(options.out):
        run = Run(options.out, asked)
        if run.finished():
            say(f"{options.out}: trained already; another --out, or remove it, to train again")
            return options.out
        with _remembered(task, sources, options) as task:
            _train(task, options, arguments)
        if ranks.rank() == 0:
            run.enter(finished=True)
    return options.out


def _only_writer(folder: Path) -> AbstractContextManager[object]:
    """Refuses a folder that another run writes; of several processes, the first one holds it for all."""
    if ranks.rank() > 0:
        return nullcontext()
    folder.mkdir(parents=True, exist_ok=True)
    return hold(folder / RUN)


def _remembered(
    task: TrainingTask, sources: inputs.Sources, options: TrainingOptions
) -> AbstractContextManager[TrainingTask]:
    """The task, if it is asked for with its reference evaluated beforehand, on the device where it would have been."""
    if not options.precompute_reference:
        return nullcontext(task)
    from vrpo_theory.runs.provenance import record_fields
    from vrpo_theory.training.full_scale.remembered import remembered

    task.reference.to(ranks.own_device(str(sources.options.get("device", "cpu"))))  # type: ignore[union-attr]
    case = Case(task.reference, task.reference, task.stream.pairs[0])
    fields = record_fields({"batch_tokens": options.batch_tokens, "seed": options.seed}, sources, [case])
    manifest = {name: fields[name] for name in CONDITIONS}
    numbers = options.own_numbers(len(task.stream) // options.batch)
    return remembered(task, options.out / REFERENCE / str(ranks.rank()), manifest, numbers)


def _train(task: TrainingTask, options: TrainingOptions, arguments: dict[str, Any]) -> None:
    from transformers import TrainingArguments

    from vrpo_theory.checkpoints.placement import quiet
    from vrpo_theory.training.full_scale import weights
    from vrpo_theory.training.full_scale.log import Log
    from vrpo_theory.training.full_scale.trainer import VrpoTrainer

    try:
        args = TrainingArguments(**arguments)
    except (ImportError, OSError, TypeError, ValueError) as error:
        raise InputError(f"transformers refuses a training argument: {one_line(error)}") from None
    args._n_gpu = min(args.n_gpu, 1)  # one process a GPU: rows are batched here, not scattered
    checkpoint = weights.last_whole(options.out)
    if ranks.rank() == 0:
        weights.remove_torn(options.out)
    log = Log(options.out / LOG, weights.step_of(checkpoint)) if ranks.rank() == 0 else None
    with quiet():
        trainer = VrpoTrainer(task, args, log)
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        trainer.save_model()


class Run:
    """What a folder's run was asked, and whether it has ended."""

    def __init__(self, folder: Path, asked: dict[str, Any]) -> None:
        self.path, self.asked = folder / RUN, json.loads(json.dumps(asked, default=str))
        kept = self._read()
        if kept is not None:
            self._require_same(kept["asked"])
            return
        if ranks.rank() == 0:
            taken = [name for name in (*WEIGHTS, LOG) if (folder / name).exists()]
            if taken:
                raise InputError(f"{folder} holds {taken[0]}, which no run has left there: give another --out")
            self.enter(finished=False)

    def finished(self) -> bool:
        """Whether the trained weights are there."""
        kept = self._read()
        return kept is not None and bool(kept["finished"])

    def enter(self, *, finished: bool) -> None:
        """Write it down."""
        write_atomically(self.path, json.dumps({"asked": self.asked, "finished": finished}, indent=1) + "\n")

    def _read(self) -> dict[str, Any] | None:
        try:
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            return {"asked": dict(kept["asked"]), "finished": kept["finished"]}
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.path} is not what was written ({one_line(error)}): give another --out") from None

    def _require_same(self, kept: dict[str, Any]) -> None:
        names = [name for name in self.asked.keys() | kept.keys() if self.asked.get(name) != kept.get(name)]
        if names:
            told = "; ".join(f"{n} was {kept.get(n)!r}, is {self.asked.get(n)!r}" for n in sorted(names))
            raise InputError(f"{self.path.parent} holds another run ({told}): give another --out, or the same again")


def _digest(pairs: Sequence[PreferencePair]) -> str:
    return hashlib.sha256(b"".join(pair.chosen.key + pair.rejected.key for pair in pairs)).hexdigest()
