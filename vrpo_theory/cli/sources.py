"""The options that say where cases come from: written once, the same in every command that reads cases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from vrpo_theory.checkpoints.options import LoadOptions
from vrpo_theory.cli.bundles import EMPTY, Command, bundled
from vrpo_theory.cli.options import BlockLength, MaskTokenId
from vrpo_theory.runs.inputs import Sources

CHECKPOINT = "a checkpoint's folder, or hub id org/name@COMMIT"
PAIRS = "preference pairs: JSON Lines or a JSON array, - for standard input, Parquet, or a saved dataset's folder"

NAMED = {
    "policy": Annotated[str | None, typer.Option(help=f"policy: {CHECKPOINT}")],
    "reference": Annotated[str | None, typer.Option(help=f"reference: {CHECKPOINT}")],
    "pairs": Annotated[Path | None, typer.Option(help=PAIRS)],
}
"""The three that go together; a command may require them."""
READ = {
    "limit": (Annotated[int | None, typer.Option(min=1, max=10**9, help="only the first N pairs")], None),
    "truncate": (
        Annotated[bool, typer.Option("--truncate", help="shorten prompts and answers that are too long for the model")],
        False,
    ),
    "rendered": (
        Annotated[bool, typer.Option("--rendered", help="prompts are already rendered by the chat template")],
        False,
    ),
    "end_of_turn": (
        Annotated[bool, typer.Option(help="score the end of turn that the chat template writes after an answer")],
        True,
    ),
    "chat_template": (
        Annotated[
            str | None, typer.Option(help="file with a chat template, or name of one of the tokenizer's templates")
        ],
        None,
    ),
    "adapter": (Annotated[Path | None, typer.Option(help="folder of a LoRA adapter of the policy")], None),
}
LOADED = {
    "device": (Annotated[str, typer.Option(help="device of the checkpoints, for example cuda")], "cpu"),
    "device_map": (
        Annotated[str | None, typer.Option(help="how accelerate spreads layers over devices, for example auto")],
        None,
    ),
    "dtype": (
        Annotated[str, typer.Option(help="type of the weights in memory: float32, bfloat16, float16 or float64")],
        "float32",
    ),
    "mask_token_id": (MaskTokenId, None),
    "block_length": (BlockLength, None),
}
"""What both models are loaded with."""
TURNS = {
    "one_at_a_time": (
        Annotated[
            bool,
            typer.Option("--one-at-a-time", help="have one model on the device at a time (unasked if both do not fit)"),
        ],
        False,
    ),
}


def reads_cases(*, required: bool = True) -> Callable[[Command], Command]:
    """A command whose parameter ``sources`` is put together from these options.

    Parameters
    ----------
    required : bool
        Whether the command ends without models and pairs.
    """
    named = {name: (kind, EMPTY if required else None) for name, kind in NAMED.items()}
    return bundled("sources", {**named, **READ, **LOADED, **TURNS}, _sources)


def _sources(taken: dict[str, Any]) -> Sources:
    loaded = cast(LoadOptions, {name: taken.pop(name) for name in LOADED})
    return Sources(append_eot=taken.pop("end_of_turn"), options=loaded, **taken)
