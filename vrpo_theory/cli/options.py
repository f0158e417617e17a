"""Options that commands share: one name, one check, one sentence of help each.

A command writes ``beta: Beta = 0.2``; the type says what is accepted, so that a bad value ends the command before
a model is loaded.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

HELP = {"help_option_names": ["-h", "--help"]}


class Command(TyperCommand):
    """A command that names all its missing options, not the first of them alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Any: the class of contexts moves between typers
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            if type(error) is not typer.BadParameter:  # a subclass: nothing is refused, something is missing
                missing = [p.opts[0] for p in self.params if p.required and ctx.params.get(p.name) is None]
                ctx.fail(f"missing {', '.join(missing)}")
            raise


def finite(value: float | None) -> float | None:
    """The value itself; what is not a finite number is bad usage."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def positive(value: float | None) -> float | None:
    """The value itself; what is not finite and above zero is bad usage."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise typer.BadParameter(f"{value} is not a finite number above 0")
    return value


def not_negative(value: float | None) -> float | None:
    """The value itself; what is not finite or is below zero is bad usage."""
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise typer.BadParameter(f"{value} is not a finite number of at least 0")
    return value


def seed_in_range(value: int) -> int:
    """The value itself; what no generator takes is bad usage."""
    if not 0 <= value < 2**62:
        raise typer.BadParameter(f"{value} is not a seed: take an integer from 0 to 2^62 - 1")
    return value


COUNT: dict[str, Any] = {"min": 1, "max": 2**24}
"""Bounds of a number of masks: what an option accepts must also fit into memory."""


BatchTokens = Annotated[int, typer.Option(min=1, help="most tokens per forward pass, padding included")]
Store = Annotated[
    Path | None, typer.Option(help="folder that keeps every evaluation; a repeated command resumes from it")
]
Beta = Annotated[float, typer.Option(callback=not_negative, help="beta of the DPO loss")]
Seed = Annotated[int, typer.Option(callback=seed_in_range, help="seed of all random draws")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON document on standard output")]
Out = Annotated[
    Path | None, typer.Option(help="folder for the result as JSON, CSV and a picture; vrpo report makes a page of it")
]
MaskTokenId = Annotated[
    int | None, typer.Option(min=0, help="id of the mask token, where the checkpoint's files do not say")
]
BlockLength = Annotated[
    int | None, typer.Option(min=1, help="tokens of a block in block diffusion, where config.json does not say")
]

PLACES = (
    "policy", "reference", "pairs", "chat_template", "adapter", "scheme", "store", "json", "shown", "out",
    "one_at_a_time",
)  # fmt: skip
"""Options that say where things are and how results are shown: contents are recorded in their place."""


def told(context: typer.Context) -> dict[str, Any]:
    """All options of a command that a number may depend on, for its provenance."""
    return {name: value for name, value in context.params.items() if name not in PLACES}
