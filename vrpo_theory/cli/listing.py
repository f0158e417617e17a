"""``vrpo list``: the members of every family, from their registries."""

from __future__ import annotations

import inspect
import textwrap
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vrpo_theory.cli.options import Json
from vrpo_theory.runs.console import exit_codes, print_json, show
from vrpo_theory.tables import terminal_width

if TYPE_CHECKING:
    from vrpo_theory.documents import Document

Family = Literal["designs", "weightings", "losses", "samplers", "models", "exhibits", "statements"]
FAMILIES = {
    "designs": "how masks are drawn, for --design",
    "weightings": "how masks are weighed, for --weighting",
    "losses": "losses of a score, for --loss",
    "samplers": "how answers are written, for `vrpo generate --sampler`",
    "models": "toys, and the kinds of checkpoints that --policy and --reference take",
    "exhibits": "tables and figures, for `vrpo reproduce`",
    "statements": "lemmas and theorems, as printed and in their sharp forms",
}


def members(
    family: Annotated[Family | None, typer.Argument(help="family to list; without it, the families are listed")] = None,
    json: Json = False,
) -> None:
    """List the members of a family, such as designs or models, each with a description and its other names."""
    with exit_codes():
        found = _members(family) if family else [_entry(name, (), text) for name, text in FAMILIES.items()]
        if json:
            print_json({family or "families": found})
        else:
            show(_text(found, terminal_width()))


def listed(family: Family) -> str:
    """Members of a family as text, as wide as the terminal."""
    return _text(_members(family), terminal_width())


def _members(family: Family) -> list[Document]:
    import vrpo_theory

    registry = getattr(vrpo_theory, family.upper())
    return [_entry(name, registry.aliases(name), _description(family, registry, name)) for name in registry.names()]


def _entry(name: str, aliases: tuple[str, ...], description: str) -> Document:
    return {"name": name, "aliases": list(aliases), "description": description}


def _description(family: Family, registry: Any, name: str) -> str:
    if family == "models":
        return str(registry.summary(name))
    member = registry[name]
    if family == "exhibits":
        return f"{member.title} ({member.paper_ref})"
    if family == "statements":
        return f"{member.tex} ({member.ref})"
    return (inspect.getdoc(member) or "").partition("\n")[0]


def _text(entries: list[Document], width: int | None) -> str:
    """A line per member, descriptions below one another; on a terminal they are wrapped."""
    labels = [e["name"] + (f" ({', '.join(e['aliases'])})" if e["aliases"] else "") for e in entries]
    indent = max(map(len, labels)) + 2
    lines: list[str] = []
    for label, entry in zip(labels, entries, strict=True):
        room = None if width is None else max(width - indent, 20)
        text = textwrap.wrap(entry["description"], room) if room else [entry["description"]]
        lines += [f"{label:{indent}}{text[0]}", *(" " * indent + line for line in text[1:])]
    return "\n".join(lines)
