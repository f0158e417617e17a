"""``--show``: what would be scored or answered, without the models."""

from __future__ import annotations

from typing import Any

from vrpo_theory.cli.options import Command

SHOWN = 3


class ShowingCommand(Command):
    """A command whose option ``--show`` may stand without its number."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give a bare ``--show`` the default number."""
        for place, word in enumerate(args):
            if word == "--show" and not "".join(args[place + 1 : place + 2]).isdecimal():
                args = [*args[: place + 1], str(SHOWN), *args[place + 1 :]]
        return super().parse_args(ctx, args)
