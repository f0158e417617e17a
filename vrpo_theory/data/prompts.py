"""Prompts from a file, tokenized as those of preference pairs are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from reprlib import repr as brief
from typing import Unpack

from vrpo_theory.data.chat import Encoder, Source
from vrpo_theory.data.checks import Bounds, Checks
from vrpo_theory.data.conversations import COLUMNS, text_row
from vrpo_theory.data.errors import BadRows, RowError
from vrpo_theory.data.messages import TEXT_KEYS
from vrpo_theory.data.records import Records, as_row
from vrpo_theory.data.rows import row_id
from vrpo_theory.data.tokens import ID_KEYS, token_ids
from vrpo_theory.errors import InputError

_ANSWERS = {"chosen": "a", "rejected": "b"}
"""Stand where a pair has its answers: the prompt's tokens do not depend on what follows it."""
_READ = {"id", "prompt", "prompt_ids", *COLUMNS, *TEXT_KEYS, *ID_KEYS}


@dataclass(frozen=True)
class Prompt:
    """A prompt as token ids, and its name in the file."""

    id: str
    ids: tuple[int, ...]


def read_prompts(
    path: str | Path,
    *,
    answer_length: int,
    tokenizer: Source | None = None,
    limit: int | None = None,
    rendered: bool = False,
    **bounds: Unpack[Bounds],
) -> list[Prompt]:
    """Read prompts; nothing is skipped.

    A row holds ``prompt``, a string or messages that end with the user's, or ``prompt_ids``, and may hold a unique
    ``id``; a file of pairs will do, if its prompts have a column of their own. The tokens are those that
    `vrpo_theory.read_pairs` gives the prompt of a pair, generation prompt included.

    Parameters
    ----------
    answer_length : int
        Tokens that are to follow.
    path, tokenizer, limit, rendered, **bounds
        As of `vrpo_theory.read_pairs`.

    Raises
    ------
    BadRows
        If any row is refused.
    InputError
        If the file cannot be read, holds no rows, or the chat template itself is at fault.
    """
    reader = _Reader(Encoder(tokenizer, append_eot=False, rendered=rendered), Checks.within(bounds), answer_length)
    records, found, bad = Records(path), list[Prompt](), []
    for number, record in islice(records, limit):
        try:
            found.append(reader.prompt(number, as_row(record)))
        except RowError as error:
            bad.append((number, str(error)))
    if bad:
        raise BadRows(path, bad, records.unit)
    if not found:
        raise InputError(f"{path}: it holds no rows: give at least one prompt")
    reader.encoder.notes.warn(path, of_prompts=True)
    return found


class _Reader:
    """Rows to prompts, remembering ids so that none comes twice."""

    def __init__(self, encoder: Encoder, check: Checks, answer_length: int) -> None:
        self.encoder, self._check, self._answer_length = encoder, check, answer_length
        self._names: set[str] = set()

    def prompt(self, number: int, row: dict[str, object]) -> Prompt:
        """The prompt in a row, or RowError."""
        name = row_id(row, default=str(number))
        if name in self._names:
            raise RowError(f"id {brief(name)} occurs twice: keep one")
        self._names.add(name)
        more = [name for name in row if name not in _READ]
        self.encoder.notes.add("columns", bool(more), more)
        ids = self._ids(row)
        self._check.prompt(ids, self._answer_length)
        return Prompt(name, ids)

    def _ids(self, row: dict[str, object]) -> tuple[int, ...]:
        given = {"prompt", "prompt_ids"} & row.keys()
        if len(given) != 1:
            raise RowError("holds both prompt and prompt_ids: keep one" if given else "missing prompt or prompt_ids")
        if "prompt_ids" in given:
            return token_ids(row["prompt_ids"], "prompt_ids")
        kept = {name: value for name, value in row.items() if name in ("prompt", *COLUMNS)}
        return self.encoder(text_row(kept | _ANSWERS)).prompt
