"""Elements of a file that is one JSON array, one at a time and in bounded memory."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

from vrpo_theory.data import lines
from vrpo_theory.data.errors import RowError

_SIGNS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|["\[\]{},]', re.DOTALL)
"""Whole strings, and what stands outside of them; a lone quote opens a string that goes on beyond the text."""


def elements(file: BinaryIO) -> Iterator[tuple[int, str | RowError]]:
    """Row numbers from 1 and the text of each element; last a RowError where the array does not end as it should."""
    number, end = 0, ""
    try:
        window = _Window(file)
        while end != "]":
            number += 1
            element, end = window.element()
            if number > 1 or end == "," or element.strip():
                yield number, element
        if window.rest().strip():
            raise RowError("text after the array's closing bracket: write one array, or one object a line")
    except RowError as error:
        yield max(number, 1) + (end == "]"), error


class _Window:
    """The part of the text that is being looked at."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._decoder = file, codecs.getincrementaldecoder("utf-8")()
        self._text, self._at, self._whole = "", 0, False
        while not self._text.lstrip():
            self._read()
        self._at = self._text.index("[") + 1

    def element(self) -> tuple[str, str]:
        """The text before the next comma or closing bracket of the array, and that sign."""
        while (end := self._end()) is None:
            if self._whole:
                raise RowError("the array is not closed: the file is cut short")
            if len(self._text) - self._at > lines.LINE_LIMIT:
                raise RowError(f"element longer than {lines.LINE_LIMIT} characters: write one object a row")
            self._read()
        element, self._at = self._text[self._at : end], end + 1
        return element, self._text[end]

    def rest(self) -> str:
        """Some of the text that is left, blank only if all of it is."""
        while not self._text[self._at :].strip() and not self._whole:
            self._read()
        return self._text[self._at :]

    def _end(self) -> int | None:
        depth = 0
        for sign in _SIGNS.finditer(self._text, self._at):
            first = sign[0]
            if first == '"':
                return None
            if depth == 0 and first in ",]":
                return sign.start()
            depth += (first in "[{") - (first in "]}")
        return None

    def _read(self) -> None:
        """As much again as there is, so that the whole costs no more than twice its length."""
        piece = self._file.read(max(lines.CHUNK, len(self._text) - self._at))
        self._whole = not piece
        try:
            more = self._decoder.decode(piece, final=self._whole)
        except UnicodeDecodeError as error:
            raise RowError(f"not UTF-8 ({error.reason}): save as UTF-8") from None
        self._text, self._at = self._text[self._at :] + more, 0
