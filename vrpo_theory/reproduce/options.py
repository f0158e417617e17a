"""What one exhibit can be told that others cannot: its own options, which the command line and the record find."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, get_type_hints

import typer

from vrpo_theory.documents import Fields
from vrpo_theory.errors import InputError
from vrpo_theory.runs.parsing import numbers
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class Options:
    """Base of an exhibit's own options: a field each, annotated as typer takes it, with its default.

    Two exhibits may share an option: the same name, the same annotation.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Mine(Options):
    ...     width: Annotated[int, typer.Option(help="points per line")] = 5
    >>> list(declared([Mine]))
    ['width']
    """

    @property
    def budgeted(self) -> bool:
        """Whether a budget was given, and so Monte Carlo is asked for."""
        return False

    def document(self) -> dict[str, Any]:
        """What a number may depend on, as it is recorded."""
        return asdict(self)


def declared(kinds: list[type[Options]]) -> dict[str, tuple[Any, Any]]:
    """Annotation and default of every option, by name.

    Raises
    ------
    ValueError
        If two exhibits mean different things by one name.
    """
    found: dict[str, tuple[Any, Any]] = {}
    for kind in kinds:
        hints = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            option = hints[field.name], field.default
            if found.setdefault(field.name, option) != option:
                raise ValueError(f"option {field.name!r} of {kind.__name__} differs from another exhibit's: rename it")
    return found


def given(kind: type[Options], values: Fields) -> Options:
    """An exhibit's options from those of the command line."""
    return kind(**{field.name: values[field.name] for field in fields(kind)})


def _pool(text: str) -> Budget:
    """Timesteps and masks of a pool whose variance components and their errors can be estimated."""
    try:
        steps, masks = numbers(text, int, "pool", count=2, example="12,4")
    except InputError as error:
        raise typer.BadParameter(str(error)) from None
    if steps < 3 or masks < 2:
        raise typer.BadParameter(f"{text!r} is too small: take at least 3 timesteps of 2 masks, as in 12,4")
    return Budget(steps, masks)


POOL = Budget(12, 4)
Pool = Annotated[
    Budget | None,
    typer.Option(
        parser=_pool,
        metavar="N_T,N_YT",
        help="size of a pool: timesteps, and masks per timestep  [default: 12,4]",
    ),
]
Repeats = Annotated[int | None, typer.Option(min=3, help="independent repeats per sampled number")]


@dataclass(frozen=True)
class Pooled(Options):
    """Options of exhibits that draw pools of long responses."""

    pool: Pool = None

    @property
    def budgeted(self) -> bool:
        return self.pool is not None


@dataclass(frozen=True)
class Repeated(Options):
    """Options of exhibits that repeat draws."""

    repeats: Repeats = None

    @property
    def budgeted(self) -> bool:
        return self.repeats is not None
