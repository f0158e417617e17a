"""A toy with exact conditionals: a Markov chain seen through gaps, so its ELBO is tight and known at any length."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vrpo_theory.checkpoints.torch_model import ConditionalModel
from vrpo_theory.models.base import fingerprint
from vrpo_theory.types import Case, PreferencePair, Response

VOCABULARY, DRIFT, TEMPER = 5, 0.3, 1 / 0.9


class Markov(ConditionalModel):
    """Conditionals of a stationary chain given the nearest visible tokens, raised to a power and normalised.

    Parameters
    ----------
    transition : (V, V) array
        Row-stochastic, all entries positive. The prompt is ignored: the first token is stationary.
    power : float
        1 gives the exact conditionals, for which the ELBO equals the log-likelihood.
    """

    def __init__(self, transition: NDArray[np.float64], power: float = 1.0) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(np.log(transition), dtype=torch.float64))
        self.power, self.vocabulary = power, len(transition)

    @property
    def fingerprint(self) -> str:
        """Hash of the chain and the power."""
        return fingerprint([self.logits, torch.tensor(self.power, dtype=torch.float64)])

    def conditionals(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Iterator[Tensor]:
        """See `vrpo_theory.types.GivesConditionals.conditionals`."""
        left, right = self._context(answer, mask, attention)
        row, column = mask.nonzero(as_tuple=True)
        left, right = left[row, column], right[row, column]
        forward, start = self._log_powers(mask.shape[1])
        has_left, has_right = left >= 0, right < mask.shape[1]
        before, after = tokens[row, left.clamp_min(0)], tokens[row, right.clamp_max(mask.shape[1] - 1)]
        # log P^d to every value from the visible token before; the stationary law where there is none (d unused).
        apart = torch.where(has_left, column - left, 0)
        from_left = torch.where(has_left[:, None], forward[apart, before], start)
        # log P^d from every value to the visible token behind; 0, which forward[0] holds, where there is none.
        to_right = forward[torch.where(has_right, right - column, 0), :, after]
        yield torch.log_softmax(self.power * (from_left + to_right), -1)

    def _context(self, answer: Tensor, mask: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
        """Columns of the tokens that a masked one is seen between, as of `neighbours`."""
        return neighbours(answer & ~mask)

    @torch.no_grad()
    def gap_sums(self, response: Response) -> NDArray[np.float64]:
        """Sum of log p(y_i | y_a, y_b visible) over the tokens between nodes a < b, (L + 2, L + 2), in nats.

        Nodes 1..L are the tokens; 0 and L + 1 stand for no visible token on that side. O(L^2 V^3): the sum of a gap's
        normalisers depends on its width and ends only, the rest are cumulative sums.
        """
        length, ids = response.length, np.array(response.ids)
        forward, start = (x.cpu().numpy() for x in self._log_powers(length + 1))
        node = np.arange(length + 2)
        apart = np.clip(node - node[:, None], 0, None)
        step = np.zeros((length + 2, length + 2))
        step[1:-1, 1:-1] = forward[apart[1:-1, 1:-1], ids[:, None], ids]
        from_left, to_right = np.triu(step, 1), np.triu(step, 1)
        from_left[0, 1:-1] = start[ids]
        reached = np.cumsum(from_left, 1) - from_left
        left = np.cumsum(to_right[::-1], 0)[::-1] - to_right
        sums: NDArray[np.float64] = self.power * (reached + left)
        return sums - _normalisers(forward, start, self.power, ids, apart)

    def _log_powers(self, longest: int) -> tuple[Tensor, Tensor]:
        """log P^d for d = 0..longest (d = 0 is a placeholder of zeros), and the log stationary law."""
        transition = torch.softmax(self.logits, -1)
        powers = [transition]
        for _ in range(longest - 1):
            powers.append(powers[-1] @ transition)
        ones = torch.ones_like(transition)
        stationary = torch.linalg.solve(torch.eye(len(ones)).to(ones) - transition.T + ones, ones[0])
        return torch.stack([ones, *powers]).log(), stationary.log()


def neighbours(visible: Tensor) -> tuple[Tensor, Tensor]:
    """Columns of the nearest visible token to the left (-1: none) and to the right (T: none), each (B, T)."""
    width = visible.shape[1]
    column = torch.arange(width, device=visible.device).expand_as(visible)
    left = torch.where(visible, column, -1).cummax(1).values
    right = torch.where(visible, column, width).flip(1).cummin(1).values.flip(1)
    return left, right


def _normalisers(
    forward: NDArray[np.float64],
    start: NDArray[np.float64],
    power: float,
    ids: NDArray[np.int64],
    apart: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Sum over the tokens of every gap of the log normaliser of their tempered conditional, (L + 2, L + 2)."""

    def log_sum(logits: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.logaddexp.reduce(power * logits, axis=-1))

    length = len(ids)
    # inner[d, a, b]: a gap between tokens of values a and b, d apart; its d - 1 tokens are at distances (k, d - k).
    inner = np.zeros((length + 1, len(start), len(start)))
    for d in range(2, length + 1):
        k = np.arange(1, d)
        inner[d] = log_sum(forward[k][:, :, None, :] + forward[d - k].transpose(0, 2, 1)[:, None, :, :]).sum(0)
    # Gaps at an end: as many tokens as the distance to the visible one, less one.
    before = np.cumsum(log_sum(start + forward[1:].transpose(0, 2, 1)), 0)
    after = np.cumsum(log_sum(forward[1:]), 0)
    out = np.zeros(apart.shape)
    out[1:-1, 1:-1] = inner[apart[1:-1, 1:-1], ids[:, None], ids]
    out[0, 2:-1] = before[np.arange(length - 1), ids[1:]]
    # Behind token a, and before the end, there are L - a tokens: after[L - a - 1], for a = 1..L - 1.
    token = np.arange(length - 1)
    out[1:-2, -1] = after[length - 2 - token, ids[token]]
    out[0, -1] = length * log_sum(start)
    return out


def chain(seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The reference's and the policy's transition matrices, (V, V) each."""
    rng = np.random.default_rng(1000 + seed)
    p = 0.97 * rng.dirichlet(np.full(VOCABULARY, 0.4), size=VOCABULARY) + 0.03 / VOCABULARY
    q = p * np.exp(DRIFT * rng.standard_normal((VOCABULARY, VOCABULARY)))
    return p, q / q.sum(1, keepdims=True)


def case(seed: int, length: int = 8) -> Case:
    """Reference: exact conditionals of P; policy: a drifted Q's, tempered. Chosen ~ P, rejected ~ (P + 1/V) / 2."""
    p, q = chain(seed)
    chosen = _walk(np.random.default_rng(5000 + 10 * seed), p, p, length)
    rng, loose = np.random.default_rng(5001 + 10 * seed), 0.5 * p + 0.5 / VOCABULARY
    rejected = _walk(rng, p, loose, length)
    while rejected == chosen:  # short chains collide; those of eight tokens and more, seeds 0..7, do not
        rejected = _walk(rng, p, loose, length)
    pair = PreferencePair(Response((), chosen), Response((), rejected), f"markov-{seed}")
    return Case(Markov(q, TEMPER), Markov(p), pair)


def _walk(
    rng: np.random.Generator, start: NDArray[np.float64], transition: NDArray[np.float64], length: int
) -> tuple[int, ...]:
    """A path that starts from the stationary law of ``start`` and moves by ``transition``."""
    states = len(start)
    stationary = np.linalg.solve(np.eye(states) - start.T + 1, np.ones(states))
    path = [int(rng.choice(states, p=stationary / math.fsum(stationary)))]
    while len(path) < length:
        path.append(int(rng.choice(states, p=transition[path[-1]])))
    return tuple(path)
