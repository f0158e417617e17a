"""Options that several commands share, or that come from elsewhere, gathered into one parameter of a command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

EMPTY = inspect.Parameter.empty
"""Default of an option that must be given."""

Command = Callable[..., None]


def bundled(
    parameter: str, options: Mapping[str, tuple[Any, Any]], bundle: Callable[[dict[str, Any]], Any]
) -> Callable[[Command], Command]:
    """A decorator: the command line shows the options, the command gets ``bundle`` of their values.

    Parameters
    ----------
    parameter : str
        The command's parameter that they become.
    options : mapping of str to (annotation, default)
    bundle : callable
        What is made of the values by name.

    Examples
    --------
    >>> @bundled("point", {"x": (float, 0.0), "y": (float, 0.0)}, lambda taken: (taken["x"], taken["y"]))
    ... def command(point: tuple[float, float], name: str = "") -> None:
    ...     print(name, point)
    >>> command(x=1.0, y=2.0, name="a")
    a (1.0, 2.0)
    """

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            taken = {name: given.pop(name) for name in options}
            command(**{parameter: bundle(taken)}, **given)

        own = inspect.signature(command, eval_str=True).parameters
        shown = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for name, (kind, default) in options.items()
        ]
        kept = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, p in own.items() if name != parameter]
        _set_signature(run, [*shown, *kept])
        return run

    return decorated


def _set_signature(function: Command, parameters: list[inspect.Parameter]) -> None:
    """What typer reads: the signature, and the annotations of the same names."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters}
