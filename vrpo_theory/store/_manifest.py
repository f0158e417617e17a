"""What a store's numbers depend on, and whether two runs agree on it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping

from vrpo_theory.documents import Fields

SHOWN = 80
"""Characters of a value in an error."""


def encode(manifest: Fields) -> dict[str, str]:
    """Every field as JSON text."""
    return {name: json.dumps(value, sort_keys=True, allow_nan=False) for name, value in manifest.items()}


def differences(stored: Mapping[str, str], given: Mapping[str, str], free: Collection[str]) -> list[str]:
    """Where two encoded manifests differ, with both values; nested fields by their dotted names."""
    ours, theirs = ({k: json.loads(v) for k, v in m.items() if k not in free} for m in (stored, given))
    a, b = dict(_leaves(ours)), dict(_leaves(theirs))
    return [
        f"{name}: {_shown(a, name)} there, {_shown(b, name)} here"
        for name in sorted(a.keys() | b.keys())
        if a.get(name) != b.get(name)
    ]


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(part, f"{name}.{key}" if name else key)
    else:
        yield name, json.dumps(value)


def _shown(leaves: Mapping[str, str], name: str) -> str:
    text = leaves.get(name, "missing")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
