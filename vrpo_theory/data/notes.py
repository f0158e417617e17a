"""Warnings about rows that are read: counted by kind, one warning a kind for a file."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

_SENTENCES = {
    "merged": "in {rows}, prompt and answer joined tokenize otherwise than apart; they are scored apart, as in "
    "generation",
    "rewritten": "in {rows}, the chat template does not write an answer as it stands (it trims or rewrites it); "
    "what it writes is scored",
    "special": "in {rows}, the text itself holds special tokens ({words}): they act as such, not as text",
    "unused": "fields that the chat template does not use change nothing: {words}; found in {rows}",
    "untemplated": "the tokenizer has no chat template that could use the fields {words}; found in {rows}",
    "unknown": "in {rows}, words that the tokenizer does not know became its unknown token: {words}",
    "columns": "columns that are not read: {words}",
    "endless": "in {rows}, the chat template writes no end of turn after an answer: none is scored",
}
_OF_ANSWERS = ("merged", "rewritten", "endless")
_SHOWN = 5


class Notes:
    """Counts of rows, by what was noticed in them.

    Attributes
    ----------
    rows : int
        Rows of text so far.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._rows: Counter[str] = Counter()
        self._words = {kind: Counter[str]() for kind in _SENTENCES}

    def add(self, kind: str, noticed: bool, words: list[str] | None = None) -> None:
        """Count a row where something was noticed, and the words that show it."""
        self._rows[kind] += noticed
        self._words[kind].update(words or [])

    def warn(self, path: str | Path, *, of_prompts: bool = False) -> None:
        """One UserWarning for each kind that occurred; of prompts, but for what concerns answers."""
        for kind, sentence in _SENTENCES.items():
            if self._rows[kind] and not (of_prompts and kind in _OF_ANSWERS):
                rows = f"{self._rows[kind]} of {self.rows} text rows"
                warnings.warn(f"{path}: {sentence.format(rows=rows, words=self._list(kind))}", stacklevel=3)

    def _list(self, kind: str) -> str:
        counts = self._words[kind]
        shown = [f"{' '.join(word.split())} ({count})" for word, count in list(counts.items())[:_SHOWN]]
        return ", ".join(shown) + (f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else "")
