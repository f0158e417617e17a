"""Preference pairs from a file: every row checked, all refusals reported together."""

from __future__ import annotations

import warnings
from itertools import islice
from pathlib import Path
from reprlib import repr as brief
from typing import Unpack

from vrpo_theory.data.chat import Encoder, Source
from vrpo_theory.data.checks import Bounds, Checks, require_positive
from vrpo_theory.data.conversations import TextRow
from vrpo_theory.data.errors import BadRows, RowError
from vrpo_theory.data.records import Record, Records, as_row
from vrpo_theory.data.rows import fields, row_id, unread
from vrpo_theory.data.tokens import TokenRow
from vrpo_theory.data.truncation import Truncation
from vrpo_theory.errors import InputError
from vrpo_theory.types import PreferencePair, Response


def read_pairs(
    path: str | Path,
    *,
    tokenizer: Source | None = None,
    limit: int | None = None,
    append_eot: bool = True,
    truncate: bool = False,
    rendered: bool = False,
    **bounds: Unpack[Bounds],
) -> list[PreferencePair]:
    """Read preference pairs; nothing is skipped, and nothing truncated unless asked for.

    A row holds ``prompt``, ``chosen``, ``rejected`` (text) or ``prompt_ids``, ``chosen_ids``, ``rejected_ids`` (token
    ids, taken as they are; the prompt may be empty), and may hold a unique ``id`` (default: its line number; no other
    column is taken for one). Columns that are not read are named once, with their counts. Text comes in the preference
    formats of TRL: a string or a list of messages; without ``prompt``, it is what both answers begin with; an answer
    may be a whole conversation, whose last turn is scored if both share the rest; conversations may be written as
    "\\n\\nHuman: ... \\n\\nAssistant: ...", and words before the first turn are then a system message.

    *What is scored.* With a chat template the sequence is the tokenizer's own rendering: the prompt is what the
    template writes with a generation prompt (a string is one user turn), the answer what it writes after that, with
    its end of turn and without what may follow it (a newline, the header of a next turn). All fields of messages and
    the columns ``tools``, ``documents``, ``system`` (a first message) and ``chat_template_kwargs`` reach the template;
    the arguments of tool calls as they are written. Its clock stands at `vrpo_theory.data.template.CLOCK`. Without a
    chat template, strings are raw text between the tokenizer's own special tokens: BOS, or [CLS] prompt [SEP] answer
    as BERT's tokenizer joins two texts; a last [SEP] is neither scored nor seen. Tokens are those of the joined text,
    or of prompt and answer apart, as in generation, where one token would span both. `vrpo_theory.data.show`
    prints it.

    Parameters
    ----------
    path : path
        JSON Lines (UTF-8, no blank lines) or a JSON array, as a file, a pipe, or "-" for standard input, in gzip, bz2,
        xz or zst if need be; with the extra ``datasets`` also Parquet, or a folder that ``save_to_disk`` wrote.
    tokenizer : tokenizer or zero-argument callable that returns one, optional
        A fast tokenizer of transformers (see `load_tokenizer`); the callable is called at the first text row, if any.
    limit : int, optional
        Read only the first ``limit`` rows.
    append_eot : bool
        Score the end of turn that the chat template writes after an answer; an answer that holds it keeps one.
    truncate : bool
        Cut rows above ``max_length`` instead of refusing them: the prompt from its left end down to half of the length,
        then the responses from their right end, their end of turn included; a response keeps a token at least.
    rendered : bool
        Prompts are strings that the chat template has rendered already: they and the answers are taken as they stand,
        with the template's end of turn after an answer.
    **bounds
        ``vocabulary``, ``mask_token_id`` and ``max_length``, as in `vrpo_theory.data.checks.Bounds`.

    Raises
    ------
    BadRows
        If any row is refused: lines of ``file:line: reason``, of arrays and tables ``file:row 3: reason``.
    InputError
        If the file cannot be read or holds no rows, a number is not a positive integer, ``truncate`` comes without
        ``max_length``, or the chat template itself is at fault.

    Warns
    -----
    UserWarning
        With counts of rows: columns that are not read, fields that the chat template does not use, answers that it does
        not write as they stand, special tokens inside texts, unknown words, tokens that would span prompt and answer, a
        template without end of turn; and of what was cut.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w+", suffix=".jsonl") as file:
    ...     _ = file.write('{"prompt_ids": [5], "chosen_ids": [1, 2], "rejected_ids": [3]}')
    ...     file.flush()
    ...     read_pairs(file.name, vocabulary=8)
    [PreferencePair(chosen=Response(prompt=(5,), ids=(1, 2)), rejected=Response(prompt=(5,), ids=(3,)), id='1')]
    """
    checks, max_length = Checks.within(bounds), bounds.get("max_length")
    require_positive("limit", limit)
    if truncate and max_length is None:
        raise InputError("truncate needs max_length: give the longest prompt and response together, in tokens")
    truncation = Truncation(max_length) if truncate and max_length else None
    reader = _Reader(Encoder(tokenizer, append_eot, rendered), truncation, checks)
    records, pairs, bad = Records(path), [], []
    for number, record in islice(records, limit):
        try:
            pairs.append(reader.pair(number, record, records.unit))
        except RowError as error:
            bad.append((number, str(error)))
    if bad:
        raise BadRows(path, bad, records.unit)
    if not pairs:
        raise InputError(f"{path}: it holds no rows: give at least one preference pair")
    reader.encoder.notes.warn(path)
    _warn_cut(path, truncation, len(pairs))
    return pairs


def _warn_cut(path: str | Path, cut: Truncation | None, rows: int) -> None:
    if cut is not None and cut.rows:
        warnings.warn(
            f"{path}: {cut.rows} of {rows} rows cut to {cut.max_length} tokens: prompts lost {cut.prompt_tokens} "
            f"tokens at the left, responses {cut.response_tokens} at the right",
            stacklevel=3,
        )


class _Reader:
    """Rows to pairs, remembering ids and contents so that none comes twice."""

    def __init__(self, encoder: Encoder, truncation: Truncation | None, check: Checks) -> None:
        self.encoder, self._truncate, self._check = encoder, truncation, check
        self._lines: dict[object, int] = {}

    def pair(self, number: int, record: Record, unit: str) -> PreferencePair:
        """The pair in a row, or RowError."""
        row = as_row(record)
        name = row_id(row, default=str(number))
        self._claim(name, number, f"id {brief(name)} already on {unit}")
        tokens = self._tokens(fields(row))
        more = unread(row)
        self.encoder.notes.add("columns", bool(more), more)
        chosen, rejected = (Response(tokens.prompt, ids) for ids in (tokens.chosen, tokens.rejected))
        self._claim((chosen.key, rejected.key), number, f"same prompt, chosen and rejected already on {unit}")
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
            raise RowError(f"{what} {first}: keep one")
