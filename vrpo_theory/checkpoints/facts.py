"""Facts that a checkpoint's files state more than once: all sources agree, or the fact is refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vrpo_theory.checkpoints.folder import listing, read_json
from vrpo_theory.errors import InputError

SYNONYMS = (
    ("rope_theta", "rope_parameters.rope_theta", "rope_scaling.rope_theta"),
    ("rope_parameters.rope_type", "rope_parameters.type", "rope_scaling.rope_type", "rope_scaling.type"),
    ("rope_parameters.factor", "rope_scaling.factor"),
    ("global_rope_theta", "rope_parameters.full_attention.rope_theta"),
    ("local_rope_theta", "rope_parameters.sliding_attention.rope_theta"),
)
"""Dotted names of one fact in config.json, in addition to the aliases that a configuration's class declares."""
TOKENIZER = ("tokenizer_config.json", "special_tokens_map.json")


class Source(NamedTuple):
    """Where a fact is stated, and what is said there; None says nothing."""

    where: str
    value: Any


NOWHERE = Source("nowhere", None)


def stated(fact: str, sources: Iterable[Source]) -> Source:
    """The first source that states a fact, with which all others agree; `NOWHERE` if none does.

    Raises
    ------
    InputError
        If two sources differ: which ones, and both values.
    """
    known = [source for source in sources if source.value is not None]
    for source in known[1:]:
        if source.value != known[0].value:
            raise InputError(
                f"{fact} is {known[0].value!r} by {known[0].where} and {source.value!r} by {source.where}: correct one"
            )
    return known[0] if known else NOWHERE


def agreed(fact: str, sources: Iterable[Source]) -> Any:
    """The value that all sources state, None if none does; InputError as `stated`."""
    return stated(fact, sources).value


def require_only(options: Mapping[str, Any], only: Mapping[str, Any]) -> None:
    """InputError, which names it, for an option that differs from the single value that is supported."""
    for name, value in only.items():
        found = options.get(name, value)
        if found != value or isinstance(found, bool) != isinstance(value, bool):
            raise InputError(f"{name}={found!r} is not supported: use a checkpoint with {name}={value!r}")


def plain_rotations(options: Mapping[str, Any]) -> dict[str, Any]:
    """Without tables that say no more than the base of ordinary rotations, as transformers 5 writes it."""
    options = dict(options)
    for name in ("rope_parameters", "rope_scaling"):
        table: Any = options.get(name)
        plain = isinstance(table, dict) and table.keys() <= {"rope_theta", "rope_type", "type"}
        if plain and {table.get("rope_type"), table.get("type")} <= {None, "default"}:
            theta = {"rope_theta": table["rope_theta"]} if "rope_theta" in table else {}
            options = theta | {key: value for key, value in options.items() if key != name}
    return options


def settled(path: Path, options: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    """The options of a config.json, each under its own name alone.

    Parameters
    ----------
    aliases : mapping
        Other names of an option to its own, as ``attribute_map`` of a configuration's class.

    Raises
    ------
    InputError
        If two names of one option have different values.
    """
    for names in SYNONYMS:
        agreed(names[0], (Source(f"{name} in {path}", _nested(options, name)) for name in names))
    own = {name: value for name, value in options.items() if name not in aliases}
    for name in {aliases[alias] for alias in options if alias in aliases}:
        keys = (name, *(alias for alias, meant in aliases.items() if meant == name))
        own[name] = agreed(name, (Source(f"{key} in {path}", options.get(key)) for key in keys))
    return own


def mask_token(folder: Path, options: Mapping[str, Any], usual: tuple[str, ...]) -> Source:
    """Id of the mask token by the configurations and the tokenizer; `NOWHERE` if none of them states it.

    Parameters
    ----------
    options : mapping
        The content of config.json.
    usual : tuple of str
        Names that are taken for the mask token's where no file declares one.

    Raises
    ------
    InputError
        If two of them differ.
    """
    there = {name: read_json(folder / name) for name in JSON if name in listing(folder)}
    known = [
        *(Source(f"mask_token_id in {folder / name}", _token(content.get("mask_token_id")))
          for name, content in (("config.json", options), ("generation_config.json", there.get(JSON[0], {})))),
    ]  # fmt: skip
    ids = {source.value for source in known} - {None}
    declared = [Source(str(folder / name), _named(there.get(name, {}))) for name in TOKENIZER]
    if not ids:  # where an id is stated, it may have two names, as in SDAR's release
        agreed("mask_token", declared)
    named = {source.value for source in declared} - {None}
    spelt = [
        Source(f"{name} in {folder / place}", i) for name in sorted(named) or usual for place, i in _ids(there, name)
    ]
    if not named and ids & {source.value for source in spelt}:
        spelt = []  # one of the usual names is meant, and which one is stated
    return stated("mask_token_id", [*known, *spelt])


JSON = ("generation_config.json", "tokenizer.json", *TOKENIZER)


def _ids(there: Mapping[str, Any], name: str) -> Iterator[tuple[str, int]]:
    """Ids of a token by the files that list it."""
    tokenizer, settings = (there.get(file, {}) for file in ("tokenizer.json", "tokenizer_config.json"))
    for entry in tokenizer.get("added_tokens") or ():
        if _nested(entry, "content") == name:
            yield "tokenizer.json", entry["id"]
    words = _nested(tokenizer, "model.vocab")
    if isinstance(words, dict) and name in words:
        yield "tokenizer.json (vocab)", words[name]
    for number, entry in (settings.get("added_tokens_decoder") or {}).items():
        if _nested(entry, "content") == name:
            yield "tokenizer_config.json", int(number)


def _named(settings: Mapping[str, Any]) -> str | None:
    named = settings.get("mask_token")
    return named.get("content") if isinstance(named, dict) else named


def _token(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _nested(options: Any, name: str) -> Any:
    for part in name.split("."):
        options = options.get(part) if isinstance(options, dict) else None
    return options
