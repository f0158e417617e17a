"""The public formats of preference rows, as one: a conversation and two last turns.

The prompt is a string, a list of messages, or is not written: then it is what both answers begin with. An answer is a
string, one assistant message, or a conversation whose last turn it is.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from reprlib import repr as brief
from typing import Any

from vrpo_theory.data import plain
from vrpo_theory.data.errors import RowError
from vrpo_theory.data.messages import TEXT_KEYS, Message, holds, messages, said, text

_ASKING = ("user", "tool")
"""Roles that an assistant answers."""
COLUMNS = ("system", "tools", "documents", "chat_template_kwargs")
"""Columns that reach the chat template."""


@dataclass(frozen=True)
class TextRow:
    """A prompt and its two answers as text.

    Parameters
    ----------
    messages : list of messages
        The conversation before the answers; a string prompt is one user turn.
    chosen, rejected : message
        Turns of the assistant.
    raw : (str, str, str) or None
        Prompt and answers for a tokenizer without chat template; None where the row was written in messages.
    context : mapping
        What a chat template may read in addition to the messages: tools, documents, and the row's chat_template_kwargs.
    verbatim : bool
        Whether the prompt is a string of its own, which may have been rendered already.
    system : bool
        Whether the first message comes from a column ``system``.
    """

    messages: list[Message]
    chosen: Message
    rejected: Message
    raw: plain.Texts | None
    context: dict[str, Any] = field(default_factory=dict)
    verbatim: bool = False
    system: bool = False


def text_row(row: dict[str, Any]) -> TextRow:
    """The conversation of a row of ``chosen``, ``rejected`` and perhaps ``prompt``; RowError for other forms."""
    values = {key: _value(row[key], key) for key in TEXT_KEYS if key in row}
    strings = [value for value in values.values() if isinstance(value, str)]
    raw = plain.split(strings) if len(strings) == len(values) else None
    if raw is None:
        sides = [_conversation(values.get("prompt"), values[key], key) for key in TEXT_KEYS[1:]]
    else:
        asked = plain.turns(raw[0])
        answers = raw[1:] if asked is None else [answer.strip() for answer in raw[1:]]
        sides = [[*(asked or [said("user", raw[0])]), said("assistant", answer)] for answer in answers]
    before, system = _shared(*sides), row.get("system")
    if holds(system):
        before = _with_system(before, text(system, "system"))
    verbatim = isinstance(values.get("prompt"), str)
    return TextRow(before, sides[0][-1], sides[1][-1], raw, _context(row), verbatim, holds(system))


def _value(value: object, name: str) -> str | list[Message]:
    if not isinstance(value, list):
        return text(value, name)
    if value and all(isinstance(item, str) for item in value):
        raise RowError(
            f"{name} is a list of texts, as in a table of columns: write one object a row, each with its own"
        )
    found = messages(value, name)
    if name == "prompt" and found[-1]["role"] not in _ASKING:
        raise RowError(f"prompt must end with a user message, got {found[-1]['role']}: move it to the answers")
    return found


def _conversation(prompt: str | list[Message] | None, answer: str | list[Message], name: str) -> list[Message]:
    """All messages of one side, the answer last."""
    before = [said("user", prompt)] if isinstance(prompt, str) else prompt or []
    after = [said("assistant", answer)] if isinstance(answer, str) else answer
    if prompt is None and len(after) == 1:
        raise RowError(f"missing prompt, and {name} is one answer, not a conversation: give the prompt")
    if after[: len(before)] == before:
        after = after[len(before) :]
    elif isinstance(prompt, str) and _asks(after, prompt):
        before = []
    whole, roles = before + after, [message["role"] for message in after]
    fits = bool(roles) and roles[-1] == "assistant" and (not before or roles[0] == "assistant")
    if not fits or whole[-2]["role"] not in _ASKING:
        if before and [m["role"] for m in before] == roles[: len(before)]:  # the prompt again, but not the same
            _require_same(before, after[: len(before)], f"prompt and {name}")
        got = ", ".join(roles) or "nothing"
        raise RowError(f"{name} must hold one assistant message, alone or after the prompt's messages, got {got}")
    return whole


def _asks(conversation: list[Message], prompt: str) -> bool:
    """Whether a string prompt is one of the user's turns in a conversation."""
    return any(m["role"] == "user" and m["content"].strip() == prompt.strip() for m in conversation)


def _shared(chosen: list[Message], rejected: list[Message]) -> list[Message]:
    _require_same(chosen[:-1], rejected[:-1], "the conversations of chosen and rejected")
    return chosen[:-1]


def _require_same(first: list[Message], second: list[Message], names: str) -> None:
    """RowError that names the message, and its fields, where two histories differ."""
    if first == second:
        return
    same = [a == b for a, b in zip(first, second, strict=False)]
    position = same.index(False) if False in same else len(same)
    raise RowError(
        f"{names} differ at message {position}, before their last turn"
        f"{_differing(first[position:], second[position:])}: give one prompt to both"
    )


def _differing(first: list[Message], second: list[Message]) -> str:
    """The fields in which the first messages of both differ; nothing where one side has none."""
    if not (first and second):
        return ""
    names = [name for name in first[0] | second[0] if first[0].get(name) != second[0].get(name)]
    return f" (in {', '.join(names)})"


def _with_system(conversation: list[Message], system: str) -> list[Message]:
    if conversation[0]["role"] not in ("system", "developer"):
        return [said("system", system), *conversation]
    if conversation[0]["content"] != system:
        raise RowError("the column system and the first message hold two system prompts: keep one")
    return conversation


def _context(row: dict[str, Any]) -> dict[str, Any]:
    """Tools and documents, which tables often keep as JSON text, and the variables for the chat template."""
    more = _decoded(row, "chat_template_kwargs", dict) or {}
    lists = {name: _decoded(row, name, list) for name in ("tools", "documents")}
    return {name: value for name, value in lists.items() if value} | more


def _decoded(row: dict[str, Any], name: str, kind: type) -> Any:
    value = row.get(name)
    if isinstance(value, str) and value:
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if value and not isinstance(value, kind):
        raise RowError(f"{name} must be a {'list' if kind is list else 'JSON object'}, got {brief(value)}")
    return value
