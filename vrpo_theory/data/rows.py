"""One row of a preference file: from JSON text to checked fields, before any tokenizer (layer 1)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from reprlib import repr as brief
from typing import Any, NoReturn

from vrpo_theory.data.errors import RowError

Message = dict[str, str]

TEXT_KEYS = ("prompt", "chosen", "rejected")
ID_KEYS = ("prompt_ids", "chosen_ids", "rejected_ids")
ROLES = ("system", "user", "assistant")
_ID_LIMIT = 2**63


@dataclass(frozen=True)
class TokenRow:
    """Token ids of a prompt, which may be empty, and of its two responses."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


@dataclass(frozen=True)
class TextRow:
    """A prompt and its two answers as text; ``chat`` says whether the row was written in messages.

    ``messages`` is the prompt as chat turns: a string prompt is one user turn.
    """

    messages: list[Message]
    chosen: str
    rejected: str
    chat: bool


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
    return _text(value, "id")


def fields(row: dict[str, Any]) -> TextRow | TokenRow:
    """The checked prompt and responses of a row; columns other than these are allowed and not read.

    Raises
    ------
    RowError
        If keys are missing, text and ids are mixed, or a value has the wrong type or is empty.
    """
    text, ids = ([key for key in keys if key in row] for keys in (TEXT_KEYS, ID_KEYS))
    if text and ids:
        raise RowError(f"holds both text ({', '.join(text)}) and ids ({', '.join(ids)}): keep one form")
    wanted = ID_KEYS if ids else TEXT_KEYS
    if missing := [key for key in wanted if key not in row]:
        raise RowError(f"missing {', '.join(missing)}: give {', '.join(TEXT_KEYS)} or {', '.join(ID_KEYS)}")
    return _token_row(row) if ids else _text_row(row)


def _token_row(row: dict[str, Any]) -> TokenRow:
    prompt, chosen, rejected = (_ids(row[key], key) for key in ID_KEYS)
    for name, ids in (("chosen_ids", chosen), ("rejected_ids", rejected)):
        if not ids:
            raise RowError(f"{name} is empty: a response needs at least one token")
    return TokenRow(prompt, chosen, rejected)


def _ids(value: Any, name: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise RowError(f"{name} must be a list of token ids, got {brief(value)}")
    for position, token in enumerate(value):
        if type(token) is not int or not 0 <= token < _ID_LIMIT:
            raise RowError(f"{name}[{position}] must be a token id, an integer in [0, 2^63), got {brief(token)}")
    return tuple(value)


def _text_row(row: dict[str, Any]) -> TextRow:
    messages = _prompt(row["prompt"])
    chosen, rejected = (_answer(row[key], key, messages) for key in TEXT_KEYS[1:])
    return TextRow(messages, chosen, rejected, chat=any(isinstance(row[key], list) for key in TEXT_KEYS))


def _prompt(value: Any) -> list[Message]:
    if not isinstance(value, list):
        return [{"role": "user", "content": _text(value, "prompt")}]
    messages = _messages(value, "prompt")
    if messages[-1]["role"] != "user":
        raise RowError(f"prompt must end with a user message, got {messages[-1]['role']}: move it to the answers")
    return messages


def _answer(value: Any, name: str, prompt: list[Message]) -> str:
    if not isinstance(value, list):
        return _text(value, name)
    messages = _messages(value, name)
    if messages[: len(prompt)] == prompt:
        messages = messages[len(prompt) :]
    roles = [message["role"] for message in messages]
    if roles != ["assistant"]:
        got = ", ".join(roles) or "nothing"
        raise RowError(f"{name} must hold one assistant message, alone or after the prompt's messages, got {got}")
    return messages[0]["content"]


def _messages(value: list[Any], name: str) -> list[Message]:
    if not value:
        raise RowError(f"{name} is an empty list: give at least one message")
    return [_message(message, f"{name}[{position}]") for position, message in enumerate(value)]


def _message(value: Any, name: str) -> Message:
    if not isinstance(value, dict):
        raise RowError(f"{name} must be a message with role and content, got {brief(value)}")
    if missing := [key for key in ("role", "content") if key not in value]:
        raise RowError(f"{name} has no {' and no '.join(missing)}: a message needs role and content")
    if value["role"] not in ROLES:
        raise RowError(f"{name} has the role {brief(value['role'])}, expected one of {', '.join(ROLES)}")
    return {"role": value["role"], "content": _text(value["content"], f"{name}.content")}


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise RowError(f"{name} must be text, got {brief(value)}")
    if not value.strip():
        raise RowError(f"{name} is {'whitespace only' if value else 'empty'}: fill it or drop the row")
    if "\0" in value:
        raise RowError(f"{name} holds a NUL character: remove it")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise RowError(f"{name} holds half of a surrogate pair: write whole characters") from None
    return value
