"""Three tasks with verifiable answers, each with a mistake that is made systematically.

A prompt is a sign that names the task, digits, blanks and "="; the right answer and the mistake follow from it alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from typing import ClassVar

from vrpo_theory.data.toy.vocabulary import ASCENDING, BLANK, DESCENDING, EQUALS, PLUS, SUMS

Ids = tuple[int, ...]

SLOTS, GROUP = 11, 3


def prompt(sign: int, digits: Sequence[int]) -> Ids:
    """A prompt as ids.

    Fewer than `SLOTS` digits are filled up with blanks, so that a digit is equally far from its place in the response
    whatever their number: a model of two layers finds it.
    """
    return (sign, *digits, *[BLANK] * (SLOTS - len(digits)), EQUALS)


class Task(ABC):
    """Prompts of one kind, and what is right and wrong about them."""

    name: ClassVar[str]
    signs: ClassVar[tuple[int, ...]]
    """Signs that may open a prompt of this task."""

    def digits(self, length: int) -> int | None:
        """Digits of a prompt whose response has ``length`` tokens, EOS included; None if there is no such prompt."""
        return length - 1

    @abstractmethod
    def answer(self, sign: int, digits: Sequence[int]) -> Ids:
        """The right response, without EOS."""

    @abstractmethod
    def mistake(self, sign: int, digits: Sequence[int]) -> Ids:
        """The mistaken response, without EOS: as long as the right one, and for some prompts equal to it."""


class Addition(Task):
    """Columns of two numbers, highest first: ``+142639`` asks for 123 + 469.

    Answer 0 05 09 12: the leading digit, then every column's carry out and digit. The mistake: nothing is carried.
    """

    name = "addition"
    signs = (PLUS,)

    def digits(self, length: int) -> int | None:
        return length - 2 if length % 2 == 0 else None

    def answer(self, sign: int, digits: Sequence[int]) -> Ids:
        carry, backwards = 0, []
        for column in reversed(_columns(digits)):
            carry, digit = divmod(sum(column) + carry, 10)
            backwards += [digit, carry]
        return (carry, *reversed(backwards))

    def mistake(self, sign: int, digits: Sequence[int]) -> Ids:
        return (0, *(token for column in _columns(digits) for token in (0, sum(column) % 10)))


def _columns(digits: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(digits[::2], digits[1::2], strict=True))


class Sorting(Task):
    """Digits to sort: ``<53142`` ascending, ``>53142`` descending. The mistake: the other way round."""

    name = "sorting"
    signs = (ASCENDING, DESCENDING)

    def answer(self, sign: int, digits: Sequence[int]) -> Ids:
        return tuple(sorted(digits, reverse=sign == DESCENDING))

    def mistake(self, sign: int, digits: Sequence[int]) -> Ids:
        return self.answer(sign, digits)[::-1]


class Sums(Task):
    """Sums modulo 10 that run over groups of three: ``s53142`` asks for 5 8 9, 4 6.

    The mistake: the middle of a group is skipped, 5 5 6, 4 4.
    """

    name = "sums"
    signs = (SUMS,)

    def answer(self, sign: int, digits: Sequence[int]) -> Ids:
        groups = (digits[start : start + GROUP] for start in range(0, len(digits), GROUP))
        return tuple(total % 10 for group in groups for total in accumulate(group))

    def mistake(self, sign: int, digits: Sequence[int]) -> Ids:
        return self.answer(sign, [0 if place % GROUP == 1 else digit for place, digit in enumerate(digits)])


TASKS: dict[str, Task] = {task.name: task for task in (Addition(), Sorting(), Sums())}
