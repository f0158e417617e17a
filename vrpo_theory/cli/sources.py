"""The options that say where cases come from: written once, the same in every command that reads cases."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from vrpo_theory.runs.inputs import Sources

CHECKPOINT = "a checkpoint's folder, or hub id org/name@COMMIT"
PAIRS = "preference pairs: JSON Lines or a JSON array, - for standard input, Parquet, or a saved dataset's folder"

EMPTY = inspect.Parameter.empty

NAMED = {
    "policy": Annotated[str | None, typer.Option(help=f"policy: {CHECKPOINT}")],
    "reference": Annotated[str | None, typer.Option(help=f"reference: {CHECKPOINT}")],
    "pairs": Annotated[Path | None, typer.Option(help=PAIRS)],
}
"""The three that go together; a command may require them."""
READ = {
    "limit": (Annotated[int | None, typer.Option(min=1, max=2**62, help="only the first N pairs")], None),
    "truncate": (
        Annotated[bool, typer.Option("--truncate", help="shorten prompts and answers that are too long")],
        False,
    ),
    "rendered": (
        Annotated[bool, typer.Option("--rendered", help="prompts are text as the chat template renders it")],
        False,
    ),
    "end_of_turn": (
        Annotated[bool, typer.Option(help="score the end of turn that the chat template writes after an answer")],
        True,
    ),
    "chat_template": (
        Annotated[str | None, typer.Option(help="file with a chat template, or name of one of the tokenizer's")],
        None,
    ),
    "adapter": (Annotated[Path | None, typer.Option(help="folder of a LoRA adapter of the policy")], None),
}
LOADED = {
    "device": (Annotated[str, typer.Option(help="device of the checkpoints, for example cuda")], "cpu"),
    "device_map": (
        Annotated[str | None, typer.Option(help="spread layers over devices as accelerate does: auto")],
        None,
    ),
    "dtype": (Annotated[str, typer.Option(help="float32, bfloat16, float16 or float64")], "float32"),
}
"""What both models are loaded with."""


def reads_cases(*, required: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose parameter ``sources`` is put together from these options.

    Parameters
    ----------
    required : bool
        Whether the command ends without models and pairs.
    """
    shared = {**NAMED, **{name: kind for name, (kind, _) in (READ | LOADED).items()}}
    defaults = {name: default for name, (_, default) in (READ | LOADED).items()}
    if not required:
        defaults |= dict.fromkeys(NAMED)

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            taken = {name: given.pop(name) for name in shared}
            command(sources=_sources(taken), **given)

        own = inspect.signature(command, eval_str=True).parameters
        options = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name, EMPTY), annotation=kind)
            for name, kind in shared.items()
        ]
        kept = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, p in own.items() if name != "sources"]
        _set_signature(run, [*options, *kept])
        return run

    return decorated


def _sources(taken: dict[str, Any]) -> Sources:
    loaded = {name: taken.pop(name) for name in LOADED}
    return Sources(append_eot=taken.pop("end_of_turn"), options=loaded, **taken)


def _set_signature(function: Callable[..., None], parameters: list[inspect.Parameter]) -> None:
    """What typer reads: the signature, and the annotations of the same names."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters}
