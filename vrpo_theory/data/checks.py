"""What the token ids of a row must satisfy, whether they were given or tokenized."""

from __future__ import annotations

from dataclasses import dataclass

from vrpo_theory.data.errors import RowError
from vrpo_theory.data.tokens import TokenRow


@dataclass(frozen=True)
class Checks:
    """Raise RowError unless a row's ids suit the model; None leaves a check out.

    Parameters
    ----------
    vocabulary : int or None
        Ids must be below it.
    mask_token_id : int or None
        Must not occur: it would look like a masked position.
    max_length : int or None
        Longest prompt and response together, in tokens.
    """

    vocabulary: int | None
    mask_token_id: int | None
    max_length: int | None

    def __call__(self, row: TokenRow) -> None:
        """Check prompt and responses one by one, then the pair."""
        for name in ("prompt", "chosen", "rejected"):
            self._known(getattr(row, name), name)
            self._unmasked(getattr(row, name), name)
        for name in ("chosen", "rejected"):
            self._fits(len(row.prompt), len(getattr(row, name)), name)
        if row.chosen == row.rejected:
            raise RowError("chosen equals rejected: there is no preference in it, drop the row")

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

    def _fits(self, prompt: int, response: int, name: str) -> None:
        if self.max_length is not None and prompt + response > self.max_length:
            lengths = f"prompt of {prompt} and {name} of {response} tokens exceed max_length {self.max_length}"
            raise RowError(f"{lengths}: shorten the row, or allow truncation (--truncate)")
