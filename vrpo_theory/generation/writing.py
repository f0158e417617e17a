"""The loop of a sampler: canvases side by side, pass by pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vrpo_theory import batching
from vrpo_theory.errors import InputError, out_of_memory
from vrpo_theory.generation.steps import Step, schedule
from vrpo_theory.randomness import Address
from vrpo_theory.samplers import SAMPLERS, Sampler
from vrpo_theory.types import Model, Request, Response, block_length, gives_conditionals

Ids = tuple[int, ...]
Canvas = tuple[Sequence[int], int]
"""A prompt's ids, and the number of tokens to write."""


@dataclass(frozen=True)
class Answer:
    """What was written to a prompt.

    Parameters
    ----------
    ids : tuple of int
        All tokens of the canvas, those behind an EOS included.
    passes : int
        Forward passes of one sequence that it took.
    """

    ids: Ids
    passes: int


def generate(
    model: Model,
    canvases: Sequence[Canvas],
    sampler: Sampler | str,
    *,
    steps: int | None = None,
    seed: int = 0,
    repeat: int = 0,
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: Callable[[int], object] | None = None,
) -> list[Answer]:
    """Write an answer to every prompt; the mask token is never written.

    An answer depends on the model, its canvas, the sampler, ``steps``, ``seed`` and ``repeat``: not on its neighbours,
    and on the size of batches only where rounding decides between two tokens. A model of block diffusion writes its
    blocks, which are counted from the start of the prompt, one after the other, each in the way of the sampler.

    Parameters
    ----------
    canvases : sequence of (prompt ids, length)
    sampler : Sampler or str
        A text is a name or a call: ``"semi_autoregressive(block_length=8)"``.
    steps : int, optional
        Passes per answer; see `vrpo_theory.generation.schedule`.
    repeat : int
        Number of the answer to this prompt: each is drawn anew.
    batch_tokens : int
        Most tokens per forward pass, padding included.
    progress : callable, optional
        Told the passes of every batch.

    Raises
    ------
    InputError
        If there are fewer steps than blocks, or the text is of no sampler.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> case = MODELS["tabular"].case(0, 6)
    >>> generate(case.policy, [((), 6)], "low_confidence", steps=3)
    [Answer(ids=(2, 2, 0, 0, 1, 0), passes=3)]
    """
    rule = sampler_of(sampler) if isinstance(sampler, str) else sampler
    rows = [_Row.of(canvas, model, rule, steps, (seed, repeat)) for canvas in canvases]
    found: dict[int, Answer] = {}
    for batch in _batches(rows, batch_tokens):
        written = _written(model, rule, [rows[k] for k in batch])
        found |= {k: Answer(ids, rows[k].passes) for k, ids in zip(batch, written, strict=True)}
        if progress is not None:
            progress(sum(rows[k].passes for k in batch))
    return [found[k] for k in range(len(rows))]


def passes(model: Model, canvas: Canvas, sampler: Sampler, steps: int | None = None) -> int:
    """Forward passes that an answer takes; errors as of `generate`."""
    return _Row.of(canvas, model, sampler, steps, (0, 0)).passes


def sampler_of(text: str) -> Sampler:
    """A sampler from a name or a call; InputError for other text."""
    try:
        found: Sampler = SAMPLERS.build(text)
    except ValueError as error:
        raise InputError(str(error)) from None
    return found


@dataclass(frozen=True)
class _Row:
    """An answer to be written; the tokens of ``blank`` stand for nothing yet."""

    blank: Response
    steps: list[Step]
    draws: Address
    passes: int

    @classmethod
    def of(cls, canvas: Canvas, model: Model, sampler: Sampler, steps: int | None, address: tuple[int, int]) -> _Row:
        blank = Response(tuple(canvas[0]), (0,) * canvas[1])
        blocks = [sampler.blocks(block.length) for block in blank.blocks(block_length(model))]
        (seed, repeat), plan = address, schedule(blocks, steps)
        draws = Address(seed, sampler.spec, len(plan), 1, blank.key, repeat)
        return cls(blank, plan, draws, len(plan) * (1 if gives_conditionals(model) else model.vocabulary))

    @property
    def width(self) -> int:
        return len(self.blank.prompt) + self.blank.length


def _batches(rows: Sequence[_Row], batch_tokens: int) -> Iterator[list[int]]:
    """Rows of like width together, within a number of tokens."""
    left = sorted(range(len(rows)), key=lambda k: -rows[k].width)
    while left:
        room = max(1, batch_tokens // rows[left[0]].width)
        yield left[:room]
        left = left[room:]


def _written(model: Model, sampler: Sampler, rows: Sequence[_Row]) -> list[Ids]:
    """The rows' answers, by halves where the whole does not fit the device's memory."""
    try:
        return _Writing(model, sampler, rows).answers()
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        reason = (str(error) or "out of memory").splitlines()[0]
    if len(rows) == 1:
        raise MemoryError(f"a single sequence of {rows[0].width} tokens does not fit on {model.device} ({reason})")
    half = len(rows) // 2
    return _written(model, sampler, rows[:half]) + _written(model, sampler, rows[half:])


class _Writing:
    """Answers that are written side by side."""

    def __init__(self, model: Model, sampler: Sampler, rows: Sequence[_Row]) -> None:
        self.model, self.sampler, self.rows = model, sampler, rows
        blanks: list[Request] = [(row.blank, np.ones((1, row.blank.length), bool)) for row in rows]
        self.tokens, self.answer, self.masked, self.attention = batching.collate(blanks, model)
        self.place = self.answer.cumsum(1)  # from 1 within the answer, 0 before it
        self.uniforms = [row.draws.uniforms() for row in rows]

    @torch.no_grad()
    def answers(self) -> list[Ids]:
        for number in range(max(len(row.steps) for row in self.rows)):
            self._step([k for k, row in enumerate(self.rows) if number < len(row.steps)], number)
        return [tuple(row[there].tolist()) for row, there in zip(self.tokens, self.answer, strict=True)]

    def _step(self, active: list[int], number: int) -> None:
        """One pass of the rows that are not ready."""
        at = torch.tensor(active, device=self.tokens.device)
        steps = [self.rows[k].steps[number] for k in active]
        kept, end, seen = torch.tensor(steps, device=at.device).T[:, :, None]
        window = self.masked[at] & (self.place[at] <= end)
        tokens, priority = self._proposals(at, window, self.place[at] <= seen, self._drawn(active))
        rank = priority.argsort(stable=True, dim=1, descending=True).argsort(1)
        writes = window & (rank < kept)
        self.tokens[at] = torch.where(writes, tokens, self.tokens[at])
        self.masked[at] &= ~writes

    def _proposals(self, at: Tensor, window: Tensor, there: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens and priorities, (b, T) each, within the window; elsewhere the priority is -inf."""
        # A model of blocks does not see what lies behind a block: it is left out.
        answer, mask, attention = (x[at] & there for x in (self.answer, self.masked, self.attention))
        width = int(attention.sum(1).max())
        parts = conditionals(self.model, *(x[:, :width] for x in (self.tokens[at], answer, mask, attention)))
        found = self._choose(parts, window[mask], uniform[:, window])
        priority = torch.full(window.shape, -math.inf, dtype=torch.float64, device=window.device)
        return self.tokens[at].masked_scatter(window, found[0]), priority.masked_scatter(window, found[1])

    def _choose(self, parts: Iterator[Tensor], wanted: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens and priorities at the wanted ones of the masked places, part by part: few logits exist at one time."""
        tokens, priorities, start, done = [], [], 0, 0
        for part in parts:
            log_prob = part.to(wanted.device)[wanted[start : start + len(part)]].double()
            if (mask_token := getattr(self.model, "mask_token_id", None)) is not None:
                log_prob[:, mask_token] = -math.inf
            choice, place = uniform[:, done : done + len(log_prob)]
            tokens.append(self.sampler.token(log_prob, choice))
            priorities.append(self.sampler.priority(log_prob, tokens[-1], place))
            start, done = start + len(part), done + len(log_prob)
        return torch.cat(tokens), torch.cat(priorities)

    def _drawn(self, active: list[int]) -> Tensor:
        """Uniforms of a pass that choose tokens and order places, (2, b, T)."""
        drawn = np.zeros((2, len(active), self.tokens.shape[1]))
        for row, k in enumerate(active):
            length, stream = self.rows[k].blank.length, self.uniforms[k]
            drawn[:, row, batching.answer_columns(self.rows[k].blank)] = stream.mask(length), stream.level(length)
        return torch.from_numpy(drawn).to(self.tokens.device)


def conditionals(model: Model, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Iterator[Tensor]:
    """As of `vrpo_theory.types.GivesConditionals`; of other models by one pass per token of the vocabulary."""
    if gives_conditionals(model):
        yield from model.conditionals(tokens, answer, mask, attention)
        return
    guesses = (torch.where(mask, token, tokens) for token in range(model.vocabulary))
    yield torch.stack([model.log_prob(guess, answer, mask, attention)[mask] for guess in guesses], -1)
