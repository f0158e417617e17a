"""What is scored, as readable text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from vrpo_theory.data.prompts import Prompt
from vrpo_theory.data.protocol import Tokenizer
from vrpo_theory.types import SIDES, PreferencePair, Response

OPEN, CLOSE = "[[", "]]"


def show(pairs: Sequence[PreferencePair], tokenizer: Tokenizer | None = None) -> str:
    """Every sequence of some pairs as the model sees it, with what is scored between [[ and ]].

    Parameters
    ----------
    pairs : sequence of PreferencePair
        As `vrpo_theory.read_pairs` gives them.
    tokenizer : tokenizer, optional
        Decodes the ids; without it they are shown alone.

    Returns
    -------
    str
        For both sides of a pair a line of text, line breaks written as ``\\n``, and a line of ids.
    """
    return "\n".join(line for pair in pairs for line in _pair(pair, tokenizer))


def show_prompts(prompts: Sequence[Prompt], length: int, tokenizer: Tokenizer | None = None) -> str:
    """Prompts as the model sees them, with what is to be written between [[ and ]]; parameters as of `show`."""
    return "\n".join(line for prompt in prompts for line in _prompt(prompt, length, tokenizer))


def _prompt(prompt: Prompt, length: int, tokenizer: Tokenizer | None) -> list[str]:
    written = f"{OPEN} {length} tokens {CLOSE}"
    text = [] if tokenizer is None else [f"  text: {_text(tokenizer, prompt.ids)}{written}"]
    ids = " ".join(map(str, prompt.ids))
    return [f"prompt {prompt.id}: {len(prompt.ids)} tokens", *text, f"  ids:  {ids} {written}"]


def _pair(pair: PreferencePair, tokenizer: Tokenizer | None) -> list[str]:
    lines = [f"pair {pair.id}"]
    for side in SIDES:
        response = pair.side(side)
        lines.append(f"  {side}: {len(response.prompt)} tokens of prompt, {len(response.ids)} scored")
        if tokenizer is not None:
            lines.append(f"    text: {_marked(response, lambda ids: _text(tokenizer, ids), '')}")
        lines.append(f"    ids:  {_marked(response, lambda ids: ' '.join(map(str, ids)), ' ')}")
    return lines


def _marked(response: Response, write: Callable[[Sequence[int]], str], space: str) -> str:
    prompt = write(response.prompt)
    return f"{prompt}{space if prompt else ''}{OPEN}{space}{write(response.ids)}{space}{CLOSE}"


def _text(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """The text of ids on one line: control characters are escaped."""
    words = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return json.dumps(words, ensure_ascii=False)[1:-1].replace('\\"', '"')
