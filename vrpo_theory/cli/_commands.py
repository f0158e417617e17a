"""Commands whose files are imported when they are asked for, so that each starts in the time that it needs itself."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from vrpo_theory.cli._show import ShowingCommand
from vrpo_theory.cli.options import HELP, Command


class Home(NamedTuple):
    """Where a command is, and its line in the list of commands."""

    module: str
    function: str
    summary: str
    kind: type[Command] = Command


COMMANDS = {
    "reproduce": Home("reproduce", "reproduce", "Recompute the paper's tables and figures."),
    "score": Home("score", "score", "Score preference pairs under two checkpoints.", ShowingCommand),
    "generate": Home("generate", "generate", "Write answers to prompts with a checkpoint.", ShowingCommand),
    "plan": Home("plan", "plan", "Choose how to spend a sampling budget."),
    "train": Home("train", "train", "Train a checkpoint on preference pairs."),
    "audit": Home("audit", "audit", "Compare an ELBO estimator with exact values."),
    "report": Home("reporting", "report", "Make one page of all results."),
    "inspect": Home("inspecting", "inspect", "Show what a checkpoint is."),
    "list": Home("listing", "members", "List designs, models, exhibits and more."),
}


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands.update(dict.fromkeys(COMMANDS))  # type: ignore[arg-type]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, imported if it was not; None if there is none."""
        if cmd_name in COMMANDS and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _made(cmd_name, COMMANDS[cmd_name])
        return super().get_command(ctx, cmd_name)


def _made(name: str, home: Home) -> Any:
    function = getattr(importlib.import_module(f"vrpo_theory.cli.{home.module}"), home.function)
    alone = typer.Typer(rich_markup_mode=None, add_completion=False, context_settings=HELP)
    alone.command(name, cls=home.kind, short_help=home.summary, context_settings=HELP)(function)
    return typer.main.get_command(alone)
