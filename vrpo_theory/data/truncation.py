"""Rows made shorter, only where that was asked for, and counted."""

from __future__ import annotations

from vrpo_theory.data.errors import RowError
from vrpo_theory.data.tokens import TokenRow


class Truncation:
    """Cut a row to the longest length: the prompt from its left end, then the responses from their right end.

    The prompt gives way first, from the end that is farther from the answer, but keeps up to half of the room; what is
    left goes to the responses, so a response never loses its last token. A response that is cut loses its end of turn
    with the rest: it did not end there.

    Parameters
    ----------
    max_length : int
        Longest prompt and response together, in tokens.

    Attributes
    ----------
    rows, prompt_tokens, response_tokens : int
        Rows cut so far, and tokens that their prompts and their responses lost.
    """

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self.rows = self.prompt_tokens = self.response_tokens = 0

    def __call__(self, row: TokenRow) -> TokenRow:
        """The row, cut where it is too long; RowError if the responses differ only in what is cut."""
        longest = max(len(row.chosen), len(row.rejected))
        kept = max(self.max_length - longest, self.max_length // 2)
        prompt = row.prompt[max(0, len(row.prompt) - kept) :]
        room = self.max_length - len(prompt)
        cut = TokenRow(prompt, row.chosen[:room], row.rejected[:room])
        if cut.chosen == cut.rejected and row.chosen != row.rejected:
            raise RowError(f"chosen and rejected agree in their first {room} tokens, all that is kept: drop the row")
        self.rows += cut != row
        self.prompt_tokens += len(row.prompt) - len(prompt)
        self.response_tokens += sum(max(0, len(ids) - room) for ids in (row.chosen, row.rejected))
        return cut
