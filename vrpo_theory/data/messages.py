"""Texts and chat messages, checked."""

from __future__ import annotations

from reprlib import repr as brief
from typing import Any

from vrpo_theory.data.errors import RowError

Message = dict[str, Any]

TEXT_KEYS = ("prompt", "chosen", "rejected")
ROLES = ("system", "developer", "user", "assistant", "tool")
CORE = ("role", "content")


def said(role: str, content: str) -> Message:
    """A message of plain text."""
    return {"role": role, "content": content}


def holds(value: object) -> bool:
    """Whether a field of a message or a column says something."""
    return value not in (None, "", [], {})


def messages(value: list[Any], name: str) -> list[Message]:
    """Checked messages, with every field that is not null; RowError for anything else."""
    if not value:
        raise RowError(f"{name} is an empty list: give at least one message")
    return [_message(message, f"{name}[{position}]") for position, message in enumerate(value)]


def _message(value: object, name: str) -> Message:
    if not isinstance(value, dict):
        raise RowError(f"{name} must be a message with role and content, got {brief(value)}")
    silent = value.get("role") == "assistant" and bool(value.get("tool_calls"))
    if missing := [key for key in CORE if key not in value and not (silent and key == "content")]:
        hint = "; from and value are ShareGPT's words for them" if "from" in value else ""
        raise RowError(f"{name} has no {' and no '.join(missing)}: a message needs role and content{hint}")
    if value["role"] not in ROLES:
        raise RowError(f"{name} has the role {brief(value['role'])}, expected one of {', '.join(ROLES)}")
    if not (silent and not value.get("content")):
        value = {**value, "content": _content(value["content"], f"{name}.content", value["role"])}
    return {key: item for key, item in value.items() if item is not None}


def _content(value: object, name: str, role: str) -> str:
    """Text; a list with one part of text is that text, and a tool may return nothing."""
    if role == "tool" and value == "":
        return ""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and value[0].get("type") == "text":
        value = value[0].get("text", value)
    return text(value, name)


def text(value: object, name: str) -> str:
    """The text itself; RowError if it is blank, or holds what no tokenizer can take."""
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
