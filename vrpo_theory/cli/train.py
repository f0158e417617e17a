"""``vrpo train``: preference optimisation of a real checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from vrpo_theory.checkpoints.options import LoadOptions
from vrpo_theory.cli.bundles import EMPTY, bundled
from vrpo_theory.cli.options import BatchTokens, Beta, Seed, not_negative, positive
from vrpo_theory.cli.sources import LOADED, NAMED, READ
from vrpo_theory.errors import InputError, one_line
from vrpo_theory.runs.console import exit_codes, show
from vrpo_theory.runs.inputs import Sources
from vrpo_theory.runs.training_options import ADAPTER_RATE, RATE, WARMUP, TrainingOptions


def _share(value: float) -> float:
    if not 0 <= value < 1:
        raise typer.BadParameter(f"{value} is not a share: take at least 0 and less than 1")
    return value


def _every(what: str) -> Any:
    return Annotated[int, typer.Option(min=0, help=f"steps between {what}; 0: never")]


OPTIONS: dict[str, Any] = {
    "out": Annotated[Path, typer.Option(help="folder for the trained weights, checkpoints and log")],
    "adapter_rank": Annotated[
        int | None, typer.Option(min=1, help="train a new LoRA adapter of this rank; the base is the reference")
    ],
    "scheme": Annotated[
        str | None,
        typer.Option(
            help="how scores are sampled, for example 'strata(), plain(), n_t=8', or a file of it, such as what "
            "vrpo plan --json wrote  [default: 'default, n_t=4, groups=2', as many passes as VRPO]"
        ),
    ],
    "loss": Annotated[str, typer.Option(help="loss of a score: vrpo list losses shows them")],
    "estimator": Annotated[
        Literal["plug-in", "jackknife", "leave-one-out"],
        typer.Option(help="how the loss follows from masks: with its bias, or with most of it removed"),
    ],
    "beta": Beta,
    "anchor": Annotated[
        float, typer.Option(callback=not_negative, help="weight of the supervised loss of chosen answers")
    ],
    "seed": Seed,
    "batch_tokens": BatchTokens,
    "batch": Annotated[int, typer.Option(min=1, help="pairs per step, over all processes")],
    "epochs": Annotated[float, typer.Option(callback=positive, help="passes over the pairs")],
    "steps": Annotated[int | None, typer.Option(min=1, help="number of steps, in place of --epochs")],
    "learning_rate": Annotated[
        float | None,
        typer.Option(callback=positive, help=f"highest rate  [default: {RATE:g}; {ADAPTER_RATE:g} for an adapter]"),
    ],
    "warmup": Annotated[
        int | None,
        typer.Option(min=0, help=f"steps to the highest rate  [default: {WARMUP}, or a tenth of all if that is less]"),
    ],
    "weight_decay": Annotated[float, typer.Option(callback=not_negative, help="AdamW's weight decay")],
    "max_grad_norm": Annotated[float, typer.Option(callback=positive, help="longest gradient; a longer one is cut")],
    "mixed_precision": Annotated[
        Literal["no", "bf16", "fp16"], typer.Option(help="type that passes compute in, beside weights of --dtype")
    ],
    "gradient_checkpointing": Annotated[
        bool, typer.Option("--gradient-checkpointing", help="recompute activations: less memory, more time")
    ],
    "precompute_reference": Annotated[
        bool,
        typer.Option(
            "--precompute-reference", help="evaluate the reference first, on all masks to come, then free its memory"
        ),
    ],
    "held_out": Annotated[float, typer.Option(callback=_share, help="share of the prompts that are not trained on")],
    "eval_every": _every("evaluations on held-out pairs"),
    "save_every": _every("checkpoints, besides the last"),
    "noise_every": _every("measurements of the masks' share in the gradient"),
    "trainer": Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="argument of transformers.TrainingArguments, for example report_to=tensorboard"
        ),
    ],
}
READS = {name: (kind, EMPTY if name != "reference" else None) for name, kind in NAMED.items()} | READ
LOADS = {name: option for name, option in LOADED.items() if name != "device_map"}


def _sources(taken: dict[str, Any]) -> Sources:
    loaded = cast(LoadOptions, {name: taken.pop(name) for name in LOADS})
    return Sources(append_eot=taken.pop("end_of_turn"), options=loaded, **taken)


def _asked(taken: dict[str, Any]) -> Callable[[], TrainingOptions]:
    """Made inside the command, where a bad value has its exit code."""
    return lambda: TrainingOptions(**taken | {"trainer": _named(taken["trainer"] or [])})


def _named(words: list[str]) -> dict[str, Any]:
    """Arguments from NAME=VALUE; values are JSON, or else text."""
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise InputError(f"--trainer {word!r}: expected NAME=VALUE")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _from_file(context: typer.Context, path: Path | None) -> Path | None:
    """Let a file give the options that the command line does not."""
    if path is not None and not context.resilient_parsing:
        context.default_map = _read(path, {p.name for p in context.command.params if p.name})
    return path


def _read(path: Path, known: set[str]) -> dict[str, Any]:
    import yaml

    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"{path} cannot be read ({one_line(error)})") from None
    if not isinstance(told, Mapping):
        raise typer.BadParameter(f"{path} holds {type(told).__name__}, expected options by name")
    found = {str(name).replace("-", "_"): value for name, value in told.items()}
    if unknown := sorted(found.keys() - known):
        raise typer.BadParameter(f"{path}: there is no option {', '.join(unknown)}")
    if isinstance(found.get("trainer"), Mapping):
        found["trainer"] = [f"{name}={json.dumps(value)}" for name, value in found["trainer"].items()]
    return found


def _defaults() -> dict[str, tuple[Any, Any]]:
    usual = {f.name: f.default for f in fields(TrainingOptions)} | {"trainer": None}
    return {name: (kind, usual[name]) for name, kind in OPTIONS.items()}


@bundled("sources", {**READS, **LOADS}, _sources)
@bundled("asked", _defaults(), _asked)
def train(
    sources: Sources,
    asked: Callable[[], TrainingOptions],
    config: Annotated[
        Path | None,
        typer.Option(callback=_from_file, is_eager=True, help="YAML or JSON file of options by their long names"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print steps, passes and memory, then stop; no model is loaded")
    ] = False,
) -> None:
    """Train a checkpoint, or an adapter on it, on preference pairs: DPO with VRPO's scores, or others.

    The reference is the policy as it starts unless --reference names another. A repeated command resumes from its last
    checkpoint, to the same weights. Several GPUs: accelerate launch -m vrpo_theory.cli train ...
    """
    with exit_codes():
        options = asked()
        if dry_run:
            from vrpo_theory.runs import training_estimate

            show(training_estimate.describe(sources, options))
            return
        from vrpo_theory.runs import ranks, training

        out = training.train(sources, options)
        if ranks.rank() == 0:
            show(f"{out}: {'an adapter' if (out / 'adapter_config.json').exists() else 'a model'}, log.jsonl")
