"""Rows of text to token ids.

The scored sequence is the tokenizer's own rendering of the conversation. With a chat template that is the template's
text; without one it is the tokenizer's rendering of a text (BOS) or, where it closes texts with a special token as BERT
does, of two texts: [CLS] prompt [SEP] answer. What would close the answer there is not scored, and the model does not
see it: a sequence ends with its response.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TypeAlias, cast

from vrpo_theory.data.conversations import TextRow
from vrpo_theory.data.encoding import tokens
from vrpo_theory.data.errors import RowError
from vrpo_theory.data.messages import CORE, Message, holds, said
from vrpo_theory.data.notes import Notes
from vrpo_theory.data.plain import Texts
from vrpo_theory.data.protocol import Tokenizer
from vrpo_theory.data.template import ChatTemplate, Turn, opened, special_tokens, without_end
from vrpo_theory.data.tokens import TokenRow

Source: TypeAlias = Tokenizer | Callable[[], Tokenizer]
"""A tokenizer, or a function that loads it when the first text is read."""


class Encoder:
    """Text rows to token rows, by a tokenizer that is loaded at the first one.

    Parameters
    ----------
    source : tokenizer, zero-argument callable that returns one, or None
        None refuses every text row.
    append_eot : bool
        Whether the end of turn that the chat template writes after an answer is scored with it.
    rendered : bool
        Whether prompts are rendered already, and answers written as they follow them.

    Attributes
    ----------
    notes : Notes
        What was noticed in the rows so far.
    """

    def __init__(self, source: Source | None, append_eot: bool, rendered: bool = False) -> None:
        self._source, self._append_eot, self._rendered = source, append_eot, rendered
        self.notes = Notes()

    def __call__(self, row: TextRow) -> TokenRow:
        """Token ids of a row; RowError without a tokenizer, or where a text has no token."""
        read = self._verbatim if self._rendered else self._by_template if self._template else self._raw
        texts = read(row)
        found = tokens(self.tokenizer, texts, framed=not (self._rendered or self._template))
        self.notes.rows += 1
        self.notes.add("merged", found.merged)
        self.notes.add("unknown", bool(found.unknown), found.unknown)
        return found.row

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer itself."""
        if self._source is None:
            raise RowError("text without a tokenizer: give *_ids or a model folder that has a tokenizer")
        if hasattr(self._source, "encode"):
            return cast(Tokenizer, self._source)
        return self._source()

    @cached_property
    def _template(self) -> ChatTemplate | None:
        return ChatTemplate(self.tokenizer) if self.tokenizer.chat_template else None

    @cached_property
    def _special(self) -> re.Pattern[str]:
        return special_tokens(self.tokenizer)

    def _by_template(self, row: TextRow) -> Texts:
        texts = self._render(row)
        self._refuse_rendered(row, texts[0])
        unused = [name for name in _more(row) if self._changes_nothing(row, name, texts)]
        self.notes.add("unused", bool(unused), unused)
        end = self._turn(row).end
        answers = [without_end(answer, end).get("content") or "" for answer in (row.chosen, row.rejected)]
        self.notes.add("rewritten", any(a not in text for a, text in zip(answers, texts[1:], strict=True)))
        self.notes.add("endless", self._append_eot and not end)
        self._count_special([*(message.get("content") or "" for message in row.messages), *answers])
        chosen, rejected = (text if self._append_eot else text.removesuffix(end) for text in texts[1:])
        return texts[0], chosen, rejected

    def _render(self, row: TextRow) -> Texts:
        template = self._template
        assert template is not None
        answers = [template.answer(row.messages, answer, row.context) for answer in (row.chosen, row.rejected)]
        return template.prompt(row.messages, row.context), answers[0], answers[1]

    def _turn(self, row: TextRow) -> Turn:
        assert self._template is not None
        return self._template.turn(row.messages, row.context)

    def _changes_nothing(self, row: TextRow, name: str, texts: Texts) -> bool:
        try:
            return self._render(_without(row, name)) == texts
        except RowError:
            return False

    def _refuse_rendered(self, row: TextRow, text: str) -> None:
        """A string that is a rendered prompt already would be rendered twice."""
        if not row.verbatim:
            return
        prompt = row.messages[-1]["content"].strip()
        header = text.rpartition(prompt)[2].strip()
        if self._special.match(prompt) or (header and prompt.endswith(header)):
            raise RowError(
                "prompt is rendered already (it holds the chat template's own tokens), and would be rendered twice: "
                "take it as it stands (--rendered, rendered=True), or give the question alone"
            )

    def _verbatim(self, row: TextRow) -> Texts:
        if row.raw is None or not row.verbatim:
            raise RowError("rendered rows hold prompt, chosen and rejected as strings: give these")
        unused = _more(row)
        self.notes.add("columns", bool(unused), unused)
        prompt, *answers = row.raw
        end = ""
        if self._append_eot and self._template:
            end = self._template.turn([said("user", "?")], {}).end
        chosen, rejected = (a if a.endswith(end) else opened(a, end) + end for a in answers)
        return prompt, chosen, rejected

    def _raw(self, row: TextRow) -> Texts:
        if row.raw is None:
            raise RowError("chat messages, but the tokenizer has no chat template: give strings or ids")
        unused = _more(row)
        self.notes.add("untemplated", bool(unused), unused)
        self._count_special(list(row.raw))
        return row.raw

    def _count_special(self, texts: list[str]) -> None:
        found = [token for text in texts for token in self._special.findall(text)]
        self.notes.add("special", bool(found), found)


def _more(row: TextRow) -> list[str]:
    """Names of what a row holds other than roles and contents."""
    said_by = [*row.messages, row.chosen, row.rejected]
    fields = [name for message in said_by for name, value in message.items() if name not in CORE and holds(value)]
    return list(dict.fromkeys([*fields, *row.context, *(["system"] if row.system else [])]))


def _without(row: TextRow, name: str) -> TextRow:
    """The row without a field of that name in messages and columns."""

    def stripped(message: Message) -> Message:
        return {key: value for key, value in message.items() if key != name or key in CORE}

    messages = row.messages[1:] if name == "system" and row.system else row.messages
    context = {key: value for key, value in row.context.items() if key != name}
    return replace(
        row, messages=[stripped(m) for m in messages], chosen=stripped(row.chosen), rejected=stripped(row.rejected),
        context=context,
    )  # fmt: skip
