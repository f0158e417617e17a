"""Preference pairs from a JSON Lines file: every row checked, all refusals reported together (layer 1)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from reprlib import repr as brief
from typing import Any

from vrpo_theory.data.chat import Encoder
from vrpo_theory.data.checks import Checks
from vrpo_theory.data.errors import BadRows, RowError
from vrpo_theory.data.lines import decode, raw_lines
from vrpo_theory.data.rows import TextRow, TokenRow, fields, parse, row_id
from vrpo_theory.data.truncation import Truncation
from vrpo_theory.errors import InputError
from vrpo_theory.types import PreferencePair, Response


def read_pairs(
    path: str | Path,
    *,
    tokenizer: Any | Callable[[], Any] | None = None,
    vocabulary: int | None = None,
    mask_token_id: int | None = None,
    max_length: int | None = None,
    limit: int | None = None,
    append_eot: bool = True,
    truncate: bool = False,
) -> list[PreferencePair]:
    """Read preference pairs, one JSON object a line; nothing is skipped, and nothing truncated unless asked for.

    A row holds ``prompt``, ``chosen``, ``rejected`` (text) or ``prompt_ids``, ``chosen_ids``, ``rejected_ids`` (token
    ids, the prompt may be empty), and may hold a unique ``id`` (default: its line number). Other columns are not read.

    Text is a string or a list of ``{"role", "content"}`` messages. With a chat template, a string prompt is one user
    message, and the prompt is rendered once, up to and with the assistant header; without one it is raw text. An
    answer is a string or one assistant message, which may repeat the prompt's messages before it; it is tokenized as
    it is written, without special tokens, and ends with ``<|eot_id|>`` (see ``append_eot``). Ids are taken as they are.

    Parameters
    ----------
    path : path
        UTF-8 without byte order mark; no blank lines; line ends LF or CRLF.
    tokenizer : tokenizer or zero-argument callable that returns one, optional
        A fast tokenizer of transformers (see `load_tokenizer`); the callable is called at the first text row, if any.
    vocabulary : int, optional
        Ids must be below it.
    mask_token_id : int, optional
        Refused in prompts and responses: the model would take it for a masked token.
    max_length : int, optional
        Longest prompt and response together, in tokens.
    limit : int, optional
        Read only the first so many rows.
    append_eot : bool
        End answers to chat prompts with ``<|eot_id|>`` where the vocabulary has it, as LLaDA's template ends turns.
    truncate : bool
        Cut rows above ``max_length`` instead of refusing them: the prompt from its left end down to half of the length,
        then the responses from their right end, their end of turn included; a response keeps a token at least.

    Raises
    ------
    BadRows
        If any row is refused: lines of ``file:line: reason``.
    InputError
        If the file cannot be read or holds no rows, an argument is not a positive integer, or ``truncate`` comes
        without ``max_length``.

    Warns
    -----
    UserWarning
        If joining prompt and answer before tokenization would give other tokens than tokenizing each, as is done
        here and in generation; and of what was cut.
    """
    for name, value in (("vocabulary", vocabulary), ("max_length", max_length), ("limit", limit)):
        _require_positive(value, name)
    if truncate and max_length is None:
        raise InputError("truncate needs max_length: give the longest prompt and response together, in tokens")
    truncation = Truncation(max_length) if truncate and max_length else None
    reader = _Reader(Encoder(tokenizer, append_eot), truncation, Checks(vocabulary, mask_token_id, max_length))
    pairs, bad = [], []
    for number, line in islice(raw_lines(path), limit):
        try:
            pairs.append(reader.pair(number, line))
        except RowError as error:
            bad.append((number, str(error)))
    if bad:
        raise BadRows(path, bad)
    if not pairs:
        raise InputError(f"{path}: the file is empty: give at least one preference pair")
    _warn_merged(path, reader.encoder)
    _warn_cut(path, truncation, len(pairs))
    return pairs


def _require_positive(value: int | None, name: str) -> None:
    if value is not None and (type(value) is not int or value < 1):
        raise InputError(f"{name} must be a positive integer or None, got {value!r}")


def _warn_merged(path: str | Path, encoder: Encoder) -> None:
    if encoder.merged:
        warnings.warn(
            f"{path}: in {encoder.merged} of {encoder.rows} text rows, prompt and answer joined tokenize otherwise "
            "than apart; they are scored apart, as in generation",
            stacklevel=3,
        )


def _warn_cut(path: str | Path, cut: Truncation | None, rows: int) -> None:
    if cut is not None and cut.rows:
        warnings.warn(
            f"{path}: {cut.rows} of {rows} rows cut to {cut.max_length} tokens: prompts lost {cut.prompt_tokens} "
            f"tokens at the left, responses {cut.response_tokens} at the right",
            stacklevel=3,
        )


class _Reader:
    """Lines to pairs, remembering ids and contents so that none comes twice."""

    def __init__(self, encoder: Encoder, truncation: Truncation | None, check: Checks) -> None:
        self.encoder, self._truncate, self._check = encoder, truncation, check
        self._lines: dict[object, int] = {}

    def pair(self, number: int, line: bytes) -> PreferencePair:
        """The pair on a line, or RowError."""
        row = parse(decode(line))
        name = row_id(row, default=str(number))
        self._claim(name, number, f"id {brief(name)}")
        tokens = self._tokens(fields(row))
        chosen, rejected = (Response(tokens.prompt, ids) for ids in (tokens.chosen, tokens.rejected))
        self._claim((chosen.key, rejected.key), number, "same prompt, chosen and rejected")
        return PreferencePair(chosen, rejected, name)

    def _tokens(self, row: TextRow | TokenRow) -> TokenRow:
        tokens = self.encoder(row) if isinstance(row, TextRow) else row
        if self._truncate is not None:
            tokens = self._truncate(tokens)
        self._check(tokens)
        return tokens

    def _claim(self, key: object, number: int, what: str) -> None:
        first = self._lines.setdefault(key, number)
        if first != number:
            raise RowError(f"{what} already on line {first}: keep one")
