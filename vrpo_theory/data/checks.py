"""What the token ids of a row must satisfy, whether they were given or tokenized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, TypedDict

from vrpo_theory.data.errors import RowError
from vrpo_theory.data.tokens import TokenRow
from vrpo_theory.errors import InputError, require_known


class Bounds(TypedDict, total=False):
    """What a model can take; what is None or left out is not checked.

    Parameters
    ----------
    vocabulary : int, optional
        Ids must be below it.
    mask_token_id : int, optional
        Refused in prompts and responses: the model would take it for a masked token.
    max_length : int, optional
        Longest prompt and response together, in tokens.
    """

    vocabulary: int | None
    mask_token_id: int | None
    max_length: int | None


@dataclass(frozen=True)
class Checks:
    """Raise RowError unless a row's ids are within `Bounds`."""

    vocabulary: int | None = None
    mask_token_id: int | None = None
    max_length: int | None = None

    @classmethod
    def within(cls, bounds: Bounds) -> Self:
        """InputError for a bound that is unknown, or no positive integer."""
        require_known("read_pairs", bounds, Bounds)
        for name in ("vocabulary", "max_length"):
            require_positive(name, bounds.get(name))
        return cls(**bounds)

    def __call__(self, row: TokenRow) -> None:
        """Check prompt and responses one by one, then the pair."""
        for name in ("prompt", "chosen", "rejected"):
            self._known(getattr(row, name), name)
            self._unmasked(getattr(row, name), name)
        for name in ("chosen", "rejected"):
            self._fits(
                len(row.prompt), len(getattr(row, name)), name, "shorten the row, or allow truncation (--truncate)"
            )
        if row.chosen == row.rejected:
            raise RowError("chosen equals rejected: there is no preference in it, drop the row")

    def prompt(self, ids: tuple[int, ...], answer: int) -> None:
        """Check a prompt that is to be followed by ``answer`` tokens."""
        self._known(ids, "prompt")
        self._unmasked(ids, "prompt")
        self._fits(len(ids), answer, "answer", "shorten one of them")

    def _known(self, ids: tuple[int, ...], name: str) -> None:
        highest = max(ids, default=0)
        if self.vocabulary is not None and highest >= self.vocabulary:
            raise RowError(
                f"{name} holds token {highest} of a vocabulary of {self.vocabulary}: use the model's tokenizer"
            )

    def _unmasked(self, ids: tuple[int, ...], name: str) -> None:
        if self.mask_token_id in ids:
            where = f"the mask token {self.mask_token_id} at position {ids.index(self.mask_token_id)}"
            raise RowError(f"{name} holds {where}: it would be taken for a masked one, remove it")

    def _fits(self, prompt: int, response: int, name: str, remedy: str) -> None:
        if self.max_length is not None and prompt + response > self.max_length:
            lengths = f"prompt of {prompt} and {name} of {response} tokens exceed max_length {self.max_length}"
            raise RowError(f"{lengths}: {remedy}")


def require_positive(name: str, value: object) -> None:
    """InputError unless a value is a positive integer or None."""
    if value is not None and (type(value) is not int or value < 1):
        raise InputError(f"{name} must be a positive integer or None, got {value!r}")
