"""Text and chat messages to token ids (layer 1).

What the model sees is ``encode(prompt) + encode(answer)``, as in generation; the prompt is rendered by the chat
template once, and no special token is added beyond those that the template writes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from vrpo_theory.data.errors import RowError
from vrpo_theory.data.rows import TextRow, TokenRow
from vrpo_theory.errors import InputError

END_OF_TURN = "<|eot_id|>"
_FILES = ("tokenizer.json", "tokenizer_config.json")


def load_tokenizer(folder: str | Path) -> Any:
    """The fast tokenizer of a model folder, from local files and without the folder's own code.

    Parameters
    ----------
    folder : path
        Holds tokenizer.json and tokenizer_config.json.

    Returns
    -------
    transformers.PreTrainedTokenizerFast

    Raises
    ------
    InputError
        If a file is missing or cannot be read.
    """
    if missing := [name for name in _FILES if not (Path(folder) / name).is_file()]:
        raise InputError(f"{folder}: no {' and no '.join(missing)}: give a model folder with its tokenizer")
    # Not AutoTokenizer: it would also consult config.json, which may point at the folder's own code.
    from transformers import PreTrainedTokenizerFast

    try:
        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exception on a damaged file
        reason = " ".join(str(error).split())
        raise InputError(f"{folder}: the tokenizer cannot be read ({reason}): copy its files again") from error


class Encoder:
    """Text rows to token rows, by a tokenizer that is loaded at the first one.

    Parameters
    ----------
    source : tokenizer, zero-argument callable that returns one, or None
        None refuses every text row.
    append_eot : bool
        Whether an answer to a chat prompt ends with ``<|eot_id|>`` where the vocabulary has it, as in the template.

    Attributes
    ----------
    rows, merged : int
        Rows encoded so far, and those where the joined text has other tokens than prompt and answer apart.
    """

    def __init__(self, source: Any | Callable[[], Any] | None, append_eot: bool) -> None:
        self._source, self._append_eot = source, append_eot
        self.rows = self.merged = 0

    def __call__(self, row: TextRow) -> TokenRow:
        """Token ids of a row; RowError without a tokenizer, or where a text has no token."""
        text = self._render(row)
        prompt = self._encode(text, "prompt")
        chosen, rejected = (self._encode(getattr(row, side), side) for side in ("chosen", "rejected"))
        self.rows += 1
        self.merged += any(
            self._encode(text + answer, "prompt") != prompt + ids
            for answer, ids in ((row.chosen, chosen), (row.rejected, rejected))
        )
        return TokenRow(prompt, self._ended(chosen), self._ended(rejected))

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer itself."""
        if self._source is None:
            raise RowError("text without a tokenizer: give *_ids or a model folder that has a tokenizer")
        return self._source if hasattr(self._source, "encode") else self._source()

    @cached_property
    def _end_of_turn(self) -> tuple[int, ...]:
        wanted = self._append_eot and self.tokenizer.chat_template
        token = self.tokenizer.get_vocab().get(END_OF_TURN) if wanted else None
        return () if token is None else (token,)

    def _render(self, row: TextRow) -> str:
        if self.tokenizer.chat_template:
            return self._apply_template(row)
        if row.chat:
            raise RowError("chat messages, but the tokenizer has no chat template: give strings or ids")
        return row.messages[0]["content"]

    def _apply_template(self, row: TextRow) -> str:
        from jinja2 import TemplateError

        # The prompt alone: LLaDA's template closes whatever it renders with an assistant header, answers too.
        try:
            return self.tokenizer.apply_chat_template(row.messages, add_generation_prompt=True, tokenize=False)
        except TemplateError as error:
            reason = " ".join(str(error).split())
            raise RowError(f"the chat template refuses the prompt ({reason}): change its roles") from None

    def _encode(self, text: str, name: str) -> tuple[int, ...]:
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        if not ids:
            raise RowError(f"{name} has zero tokens after tokenization: drop the row")
        return tuple(ids)

    def _ended(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        return ids if ids[-1:] == self._end_of_turn else ids + self._end_of_turn
