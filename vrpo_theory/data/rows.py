"""One row of a preference file: from JSON text to checked fields, before any tokenizer."""

from __future__ import annotations

import json
from reprlib import repr as brief
from typing import Any, NoReturn

from vrpo_theory.data.conversations import COLUMNS, TextRow, text_row
from vrpo_theory.data.errors import RowError
from vrpo_theory.data.messages import TEXT_KEYS, holds, text
from vrpo_theory.data.tokens import ID_KEYS, TokenRow, token_row

_OTHER_KINDS = {
    "completion": "an unpaired row (completion)",
    "completions": "a row of steps (completions)",
    "conversations": "ShareGPT's columns (conversations)",
    "messages": "one conversation (messages)",
    "responses": "a list of responses",
}


def parse(text: str) -> dict[str, Any]:
    """The JSON object on one line, its keys unique and its numbers finite; RowError otherwise."""
    try:
        row = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise RowError(f"not JSON (column {error.colno}: {error.msg}): write one object a line") from None
    except RecursionError:
        raise RowError("nested too deeply: write prompt, chosen and rejected at the top level") from None
    except ValueError:  # Python's limit on the digits of an integer
        raise RowError("holds an integer of thousands of digits: token ids are below 2^63") from None
    if not isinstance(row, dict):
        raise RowError(f"expected an object with the keys {', '.join(TEXT_KEYS)}, got {brief(row)}")
    return row


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in items:
        if key in row:
            raise RowError(f"key {brief(key)} occurs twice: keep one")
        row[key] = value
    return row


def _refuse_constant(name: str) -> NoReturn:
    raise RowError(f"{name} is not JSON: write a finite number or null")


def row_id(row: dict[str, Any], default: str) -> str:
    """The row's ``id`` as a string, or the default if it has none; RowError unless a string or an integer."""
    value = row.get("id", default)
    if type(value) is int:
        return str(value)
    return text(value, "id")


def fields(row: dict[str, Any]) -> TextRow | TokenRow:
    """The checked prompt and responses of a row, as text or as ids.

    Raises
    ------
    RowError
        If keys are missing, text and ids are mixed, or a value has the wrong type or is empty.
    """
    as_text, as_ids = ([key for key in keys if key in row] for keys in (TEXT_KEYS, ID_KEYS))
    if as_text and as_ids:
        raise RowError(f"holds both text ({', '.join(as_text)}) and ids ({', '.join(as_ids)}): keep one form")
    wanted = ID_KEYS if as_ids else TEXT_KEYS
    missing = [key for key in wanted if key not in row]
    if missing and not (as_text and missing == ["prompt"]):  # the prompt may be the answers' common beginning
        raise RowError(f"{_other_kind(row)}missing {', '.join(missing)}: give {', '.join(TEXT_KEYS)} "
                       f"or {', '.join(ID_KEYS)}")  # fmt: skip
    return token_row(row) if as_ids else text_row(row)


def unread(row: dict[str, Any]) -> list[str]:
    """Columns that hold something but are not read; rows of ids do not use what a chat template takes."""
    read = {"id", *ID_KEYS} if ID_KEYS[0] in row else {"id", *TEXT_KEYS, *COLUMNS}
    return [name for name, value in row.items() if name not in read and holds(value)]


def _other_kind(row: dict[str, Any]) -> str:
    found = [what for key, what in _OTHER_KINDS.items() if key in row]
    return f"{found[0]}, not a pair of answers to one prompt; " if found else ""
