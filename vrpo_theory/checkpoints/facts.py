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


def agreed(fact: str, sources: Iterable[Source]) -> Any:
    """The value that all sources state, None if none does.

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
    return known[0].value if known else None


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


def mask_token(folder: Path, options: Mapping[str, Any], usual: tuple[str, ...]) -> int | None:
    """Id of the mask token by the configurations and the tokenizer; None if none of them states it.

    Parameters
    ----------
    options : mapping
        The content of config.json.
    usual : tuple of str
        Names that are taken for the mask token's where no file declares one.

    Raises
    ------
    InputError
        If two of the files differ.
    """
    there = {name: read_json(folder / name) for name in JSON if name in listing(folder)}
    declared = agreed("mask_token", (Source(str(folder / name), _named(there.get(name, {}))) for name in TOKENIZER))
    stated = [
        Source(f"mask_token_id in {folder / name}", _token(content.get("mask_token_id")))
        for name, content in (("config.json", options), ("generation_config.json", there.get(JSON[0], {})))
    ]
    names = usual if declared is None else (declared,)
    spelt = [Source(f"{name} in {folder / place}", found) for name in names for place, found in _ids(there, name)]
    if declared is None and {source.value for source in stated} & {source.value for source in spelt}:
        spelt = []  # one of the usual names is meant, and which one is stated
    found: int | None = agreed("mask_token_id", [*stated, *spelt])
    return found


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
