"""Answers to a file of prompts: in its order, as JSON Lines, gone on with where an interruption left them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrpo_theory.batching import BATCH_TOKENS
from vrpo_theory.errors import InputError, one_line
from vrpo_theory.files import require_writable
from vrpo_theory.locks import hold
from vrpo_theory.runs.console import show

if TYPE_CHECKING:
    from vrpo_theory.data import Prompt
    from vrpo_theory.data.protocol import Tokenizer
    from vrpo_theory.samplers import Sampler
    from vrpo_theory.types import Model


@dataclass(frozen=True)
class GenerationOptions:
    """How answers are written; parameters as of `vrpo_theory.generate`.

    Parameters
    ----------
    answer_length : int
        Tokens of an answer, those behind its end included.
    """

    sampler: Sampler
    answer_length: int
    steps: int | None = None
    seed: int = 0
    batch_tokens: int = BATCH_TOKENS

    def key(self, model: Model, prompt: Prompt) -> str:
        """What an answer follows from, as one word; the size of batches is not in it."""
        told = asdict(self) | {"sampler": self.sampler.spec, "batch_tokens": None, "ids": prompt.ids}
        return hashlib.sha256(json.dumps(told | {"model": model.fingerprint}).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Words:
    """What makes text of an answer: a tokenizer, and the tokens that end an answer."""

    tokenizer: Tokenizer
    ends: tuple[int, ...]

    def text(self, ids: Sequence[int]) -> str:
        """The answer up to its end."""
        stop = next((k for k, token in enumerate(ids) if token in self.ends), len(ids))
        return self.tokenizer.decode(list(ids[:stop]), skip_special_tokens=False, clean_up_tokenization_spaces=False)


def write(
    model: Model,
    prompts: Sequence[Prompt],
    options: GenerationOptions,
    words: Words | None,
    out: Path | None,
    progress: Callable[[int], object],
) -> int:
    """Write a line for each prompt that has none yet; returns the passes of the others.

    A line is kept as soon as its batch is done. A torn one, as a kill leaves it, is written again.

    Parameters
    ----------
    words : Words, optional
        Without it a line's ``text`` is null.
    out : path, optional
        Standard output if it is left out.

    Raises
    ------
    InputError
        If the file holds other answers, or another process writes it.
    """
    from vrpo_theory.generation import generate

    keys = [options.key(model, prompt) for prompt in prompts]
    passes = 0
    with _opened(out, keys) as (done, keep):
        for batch in _batches(prompts, options, done):
            canvases = [(prompts[k].ids, options.answer_length) for k in batch]
            answers = generate(
                model, canvases, options.sampler, steps=options.steps, seed=options.seed,
                batch_tokens=options.batch_tokens, progress=progress,
            )  # fmt: skip
            passes += sum(answer.passes for answer in answers)
            rows = zip(batch, answers, strict=True)
            keep([_line(prompts[k].id, answer.ids, answer.passes, keys[k], words) for k, answer in rows])
    return passes


def _line(name: str, ids: Sequence[int], passes: int, key: str, words: Words | None) -> str:
    text = None if words is None else words.text(ids)
    return json.dumps({"id": name, "text": text, "ids": ids, "passes": passes, "key": key}, ensure_ascii=False)


def _batches(prompts: Sequence[Prompt], options: GenerationOptions, start: int) -> Iterator[list[int]]:
    """Prompts that follow one another, as many as fit a forward pass."""
    batch: list[int] = []
    widest = 0
    for k in range(start, len(prompts)):
        widest = max(widest, len(prompts[k].ids) + options.answer_length)
        if batch and widest * (len(batch) + 1) > options.batch_tokens:
            yield batch
            batch, widest = [], len(prompts[k].ids) + options.answer_length
        batch.append(k)
    if batch:
        yield batch


Keep = Callable[[list[str]], None]


@contextmanager
def _opened(out: Path | None, keys: Sequence[str]) -> Iterator[tuple[int, Keep]]:
    """How many lines are there, and what appends more."""
    if out is None:
        yield 0, lambda lines: show("\n".join(lines))
        return
    require_writable(out.parent, out.name)
    out.parent.mkdir(parents=True, exist_ok=True)
    with hold(out), open(out, "ab+") as file:
        file.seek(0)
        whole = _whole(file.read())
        done = _done(out, whole.decode(errors="replace").splitlines(), keys)
        file.truncate(len(whole))
        yield done, partial(_append, file)


def _append(file: Any, lines: list[str]) -> None:
    file.write("".join(f"{line}\n" for line in lines).encode())
    file.flush()
    os.fsync(file.fileno())


def _whole(content: bytes) -> bytes:
    """Without a last line that is torn."""
    return content[: content.rfind(b"\n") + 1]


def _done(out: Path, lines: Sequence[str], keys: Sequence[str]) -> int:
    """Number of answers that are there; InputError if one is not what would be written now."""
    for number, line in enumerate(lines):
        try:
            kept = json.loads(line)["key"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{out}:{number + 1} is no answer ({one_line(error)}): give another --out") from None
        if number >= len(keys) or kept != keys[number]:
            raise InputError(
                f"{out}:{number + 1} answers another prompt, or was written with another checkpoint or other options: "
                "give another --out, or the same again"
            )
    return len(lines)
