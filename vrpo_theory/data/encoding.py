"""Prompt and answers to the tokens that the tokenizer makes of them together."""

from __future__ import annotations

from dataclasses import dataclass

from vrpo_theory.data.errors import RowError
from vrpo_theory.data.plain import Texts
from vrpo_theory.data.protocol import Tokenizer
from vrpo_theory.data.tokens import TokenRow

Ids = tuple[int, ...]
_NAMES = ("prompt", "chosen", "rejected")


@dataclass(frozen=True)
class Encoded:
    """Tokens of a row; whether a token of the joined text would span prompt and answer; words that are unknown."""

    row: TokenRow
    merged: bool
    unknown: list[str]


def tokens(tokenizer: Tokenizer, texts: Texts, framed: bool) -> Encoded:
    """Token ids of a prompt and of two answers that follow it.

    Parameters
    ----------
    framed : bool
        Whether the tokenizer's special tokens are written before the prompt, and between two texts.

    Raises
    ------
    RowError
        If a text has no token, or the prompt begins with the tokens that would be written before it.
    """
    prompt, chosen, rejected = (_encode(tokenizer, text, name) for text, name in zip(texts, _NAMES, strict=True))
    opening, between = _frame(tokenizer, texts, prompt, chosen) if framed else ((), ())
    merged = False
    if not between:
        (chosen, first), (rejected, second) = (
            _continued(tokenizer, texts[0], prompt, answer, ids)
            for answer, ids in ((texts[1], chosen), (texts[2], rejected))
        )
        merged = first or second
    row = TokenRow(opening + prompt + between, chosen, rejected)
    return Encoded(row, merged, [word for text in texts for word in _unknown(tokenizer, text)])


def _encode(tokenizer: Tokenizer, text: str, name: str, second: str | None = None, framed: bool = False) -> Ids:
    ids = tokenizer.encode(text, text_pair=second, add_special_tokens=framed)
    if not ids:
        raise RowError(f"{name} has zero tokens after tokenization: drop the row")
    return tuple(ids)


def _continued(tokenizer: Tokenizer, text: str, prompt: Ids, answer: str, apart: Ids) -> tuple[Ids, bool]:
    """Ids of an answer after its prompt; apart, as in generation, where a token of the joined text would span both."""
    joined = _encode(tokenizer, text + answer, "prompt")
    spans = joined[: len(prompt)] != prompt or len(joined) == len(prompt)
    return (apart, True) if spans else (joined[len(prompt) :], False)


def _frame(tokenizer: Tokenizer, texts: Texts, prompt: Ids, answer: Ids) -> tuple[Ids, Ids]:
    """The special tokens that the tokenizer writes before a text, and between it and a second one.

    Between, there are none for a tokenizer that does not close texts (it only writes BOS), or would open the second
    text as it did the first: there the answer goes on where the prompt ends.
    """
    whole = _encode(tokenizer, texts[0], "prompt", framed=True)
    at = next((i for i in range(len(whole)) if whole[i : i + len(prompt)] == prompt), 0)
    opening, closing = whole[:at], whole[at + len(prompt) :]
    if opening and prompt[: len(opening)] == opening:
        raise RowError(
            "prompt begins with the special tokens that the tokenizer adds: take it as it stands (--rendered, "
            "rendered=True), or leave them out"
        )
    if not closing:
        return opening, ()
    pair = _encode(tokenizer, texts[0], "prompt", second=texts[1], framed=True)[len(opening + prompt) :]
    between = pair[: len(pair) - len(answer + closing)]
    separate = pair == between + answer + closing and not set(opening) & set(between)
    return opening, between if separate else ()


def _unknown(tokenizer: Tokenizer, text: str) -> list[str]:
    """Words of a text that became the unknown token."""
    unknown = getattr(tokenizer, "unk_token_id", None)
    if unknown is None:
        return []
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    spans = zip(found["input_ids"], found["offset_mapping"], strict=True)
    words = [text[start:end] for token, (start, end) in spans if token == unknown]
    return [word for word in words if word != getattr(tokenizer, "unk_token", None)]
