"""The tokenizer's own rendering of a conversation, and where in it the answer begins and ends.

The prompt is what the chat template writes with a generation prompt; the answer is what it writes after that, to the
end of the turn. The end is the special token that closes the turn, or all that is written after the answer where no
special token is; a newline after the token, and the header of a next turn, are not scored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property
from typing import Any, Self

from vrpo_theory.data.errors import RowError
from vrpo_theory.data.messages import Message, said
from vrpo_theory.data.plain import beginning
from vrpo_theory.data.protocol import Tokenizer
from vrpo_theory.errors import InputError, one_line

CLOCK = datetime(2025, 1, 1)
"""The time at which templates that read the clock are rendered, so that numbers do not change overnight."""

_OWN = {"conversation", "messages", "chat_template", "add_generation_prompt", "tokenize"}
_PROBE, _NEXT = "vrpoanswer", "vrpoquestion"


@dataclass(frozen=True)
class Turn:
    """What the template writes around an answer: header (not in its generation prompt), end of turn, and more."""

    header: str
    end: str
    tail: str


class ChatTemplate:
    """The chat template of a tokenizer, rendered at a fixed time.

    Raises
    ------
    InputError
        If the template draws random numbers, or fails on any conversation.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._turns = tokenizer, dict[tuple[str, ...], Turn]()
        self.where = getattr(tokenizer, "name_or_path", "") or "the tokenizer"
        if re.search(r"\|\s*random\b|\blipsum\b", str(tokenizer.chat_template)):
            raise InputError(f"{self.where}: the chat template draws random numbers: give another (--chat-template)")

    def prompt(self, messages: list[Message], context: dict[str, Any]) -> str:
        """The text before an answer, its header included."""
        return self._render(messages, context, prompt=True) + self.turn(messages, context).header

    def answer(self, messages: list[Message], answer: Message, context: dict[str, Any]) -> str:
        """The text that is scored; RowError if the whole does not begin with the prompt, or the answer is lost."""
        turn, prompt = self.turn(messages, context), self.prompt(messages, context)
        whole = self._render([*messages, without_end(answer, turn.end)], context)
        if not whole.startswith(prompt):
            raise RowError(_difference(prompt, whole))
        text = whole[len(prompt) :].removesuffix(turn.tail)
        if not text.removesuffix(turn.end).strip():
            raise RowError("an answer is empty once the chat template has rendered it: give its content")
        return text

    def turn(self, messages: list[Message], context: dict[str, Any]) -> Turn:
        """What surrounds an answer to these messages; learned once for every order of roles."""
        roles = tuple(message["role"] for message in messages)
        if roles not in self._turns:
            self._turns[roles] = self._learn(messages, context)
        return self._turns[roles]

    @cached_property
    def special(self) -> re.Pattern[str]:
        """Matches the tokenizer's special tokens."""
        return special_tokens(self._tokenizer)

    def _learn(self, messages: list[Message], context: dict[str, Any]) -> Turn:
        asked, plain = (self._render(messages, context, prompt=flag) for flag in (True, False))
        probe = [*messages, said("assistant", _PROBE)]
        before, found, after = self._render(probe, context).rpartition(_PROBE)
        if not found:
            raise InputError(
                f"{self.where}: the chat template does not write the answer: give another (--chat-template)"
            )
        header = before[len(asked) :] if asked == plain and before.startswith(asked) else ""
        end = self._end(after, self._followed(probe, context), asked if asked == plain else None)
        return Turn(header if header.strip() else "", after[:end], after[end:])

    def _end(self, after: str, followed: str, always: str | None) -> int:
        """Length of the end of turn in what is written after an answer.

        Parameters
        ----------
        after, followed : str
            What is written after an answer that is last, and after one that a user's turn follows.
        always : str or None
            The rendered prompt of a template that ignores add_generation_prompt: LLaDA's closes whatever it
            renders with the header of an answer, which is then no part of the turn.
        """
        ends = [token.end() for token in self.special.finditer(after)]
        shared = len(beginning(after, followed))
        first = ends[0] if ends else shared
        if always is not None and after[first:].strip() and always.endswith(after[first:]):
            return first
        return max((end for end in ends if end <= shared), default=ends[-1] if ends else len(after))

    def _followed(self, probe: list[Message], context: dict[str, Any]) -> str:
        try:
            whole = self._render([*probe, said("user", _NEXT)], context)
        except RowError:  # a template for one question alone
            return ""
        return whole.rpartition(_PROBE)[2].partition(_NEXT)[0]

    def _render(self, messages: list[Message], context: dict[str, Any], prompt: bool = False) -> str:
        from jinja2 import TemplateError

        if own := sorted(_OWN & context.keys()):
            raise RowError(f"chat_template_kwargs sets {own[0]}, which is not the row's to set: remove it")
        try:
            with _clock_stopped():
                return self._tokenizer.apply_chat_template(
                    messages, add_generation_prompt=prompt, tokenize=False, **context
                )
        except Exception as error:  # whatever a program in a template can raise
            reason = one_line(error)
            if type(error) is TemplateError:  # raised by the template on purpose
                raise RowError(f"the chat template refuses the prompt ({reason}): change its roles") from None
            if self._sound:
                raise RowError(f"the chat template fails on this row ({type(error).__name__}: {reason})") from None
            raise InputError(
                f"{self.where}: the chat template itself is at fault ({type(error).__name__}: {reason}), not the rows: "
                "correct it, or give another (--chat-template)"
            ) from None

    @cached_property
    def _sound(self) -> bool:
        """Whether the template renders the simplest conversation."""
        try:
            self._tokenizer.apply_chat_template([said("user", _NEXT)], tokenize=False)
        except Exception:
            return False
        return True


class _Stopped(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """The fixed time, whatever the clock says."""
        return cls(CLOCK.year, CLOCK.month, CLOCK.day)


@contextmanager
def _clock_stopped() -> Iterator[None]:
    """Templates ask for the time through this module of transformers, and none can be handed to them."""
    from transformers.utils import chat_template_utils

    module: Any = chat_template_utils
    running, module.datetime = module.datetime, _Stopped
    try:
        yield
    finally:
        module.datetime = running


def without_end(answer: Message, end: str) -> Message:
    """The answer without an end of turn that it already holds: the template writes it."""
    content = answer.get("content")
    return {**answer, "content": opened(content, end)} if isinstance(content, str) else answer


def opened(text: str, end: str) -> str:
    """A text without an end of turn that it holds, whatever line breaks follow either."""
    mark = end.rstrip()
    return text.rstrip().removesuffix(mark) if mark.strip() and text.rstrip().endswith(mark) else text


def special_tokens(tokenizer: Tokenizer) -> re.Pattern[str]:
    """Matches the special tokens of a tokenizer, and nothing where it has none."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    words = sorted((token.content for token in added if token.special and token.content.strip()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words)) or "(?!)")


def end_tokens(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Tokens that end an answer: EOS, and the one that the chat template closes a turn with."""
    eos: int | None = getattr(tokenizer, "eos_token_id", None)
    found = set() if eos is None else {eos}
    if tokenizer.chat_template:
        end = ChatTemplate(tokenizer).turn([said("user", _NEXT)], {}).end.strip()
        ids = tokenizer.encode(end, add_special_tokens=False) if end else []
        found |= set(ids) if len(ids) == 1 else set()
    return tuple(sorted(found))


def _difference(prompt: str, whole: str) -> str:
    at = len(beginning(prompt, whole))
    ours, theirs = (repr(text[max(0, at - 10) : at + 20]) for text in (prompt, whole))
    return (
        f"the chat template writes the prompt otherwise once an answer follows: {ours} against {theirs} at character "
        f"{at}: give the row as rendered text (--rendered), or another template (--chat-template)"
    )
