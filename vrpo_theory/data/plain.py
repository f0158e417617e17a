"""Rows of strings: an implicit prompt, and conversations written as text."""

from __future__ import annotations

import os.path
import re
from collections.abc import Sequence

from vrpo_theory.data.errors import RowError
from vrpo_theory.data.messages import Message, said, text

Texts = tuple[str, str, str]
HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"
_HUMAN = re.compile(r"(?:\A\s*|\n\n)Human:")
_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def split(strings: Sequence[str]) -> Texts:
    """Prompt and answers as text, from these or from the answers alone; RowError where they share no beginning."""
    first, last = _preface(strings[0]), _preface(strings[-1])
    if None not in (first, last) and (len(strings) == 2 or first == last):
        return _last_turns(strings)
    if len(strings) == 3:
        return (strings[0], strings[1], strings[2])
    return _common_beginning(strings[0], strings[1])


def beginning(first: str, second: str) -> str:
    """The longest text that both begin with."""
    return os.path.commonprefix([first, second])  # noqa: RUF071


def turns(prompt: str) -> list[Message] | None:
    """The messages of a prompt written as "\\n\\nHuman: ... \\n\\nAssistant:"; None for other text.

    Words before the first turn are a system message.
    """
    if _preface(prompt) is None or not prompt.rstrip().endswith(ASSISTANT.strip()):
        return None
    preface, *parts = _TURN.split(prompt)[:-2]  # without the open turn of the assistant
    system = [said("system", preface.strip())] if preface.strip() else []
    return system + [
        said(_ROLES[role], text(words.strip(), "prompt")) for role, words in zip(parts[::2], parts[1::2], strict=True)
    ]


def _preface(conversation: str) -> str | None:
    """What stands before the first turn of Human; None for text that is no conversation of Human and Assistant."""
    mark = _HUMAN.search(conversation)
    if mark is None or not (conversation.startswith(HUMAN) or ASSISTANT in conversation[mark.end() :]):
        return None
    return conversation[: mark.start()].strip()


def _last_turns(strings: Sequence[str]) -> Texts:
    (prompt, chosen), (other, rejected) = (_last_turn(answer) for answer in strings[-2:])
    if prompt != other or (len(strings) == 3 and prompt.rstrip() != strings[0].rstrip()):
        raise RowError(
            "the conversations of chosen and rejected differ before their last turn: give one prompt to both"
        )
    return prompt, text(chosen, "chosen"), text(rejected, "rejected")


def _last_turn(conversation: str) -> tuple[str, str]:
    before, sign, answer = conversation.rpartition(ASSISTANT)
    if not sign or HUMAN in answer:
        raise RowError("a conversation of Human and Assistant must end with the Assistant: cut it there")
    return before + sign, answer


def _common_beginning(chosen: str, rejected: str) -> Texts:
    """The prompt is what both begin with, in whole words; the space after it belongs to the answers."""
    common = beginning(chosen, rejected)
    if not (chosen[len(common) :][:1].isspace() and rejected[len(common) :][:1].isspace()):
        common = common[: len(common) - len(re.split(r"\s", common)[-1])]
    common = common.rstrip()
    answers = chosen[len(common) :], rejected[len(common) :]
    if not common or not all(answer.strip() for answer in answers):
        raise RowError("missing prompt, and chosen and rejected do not begin with one: give prompt, chosen, rejected")
    return (common, *answers)
