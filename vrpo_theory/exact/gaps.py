"""Exact profiles in polynomial time, for models whose conditionals see only the nearest visible tokens.

For such a model the masked sum is additive over gaps: S = sum over consecutive visible a < b of g(a, b), ends included.
Under uniform masks of l tokens the visible tokens are a uniform path from the start to the end, and moments of S follow
from a recursion over (number of visible nodes, last visible node): O(L^3) for every l at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.types import Profile, Response

Array = NDArray[np.float64]
BLOCK = 64


def gap_profile(response: Response, policy: Any, reference: Any) -> Profile:
    """Exact profile at any length.

    Parameters
    ----------
    response : Response
    policy, reference : models with ``gap_sums(response) -> (L + 2, L + 2)``
        Entry (a, b), a < b, is the sum of log p(y_i | y_a, y_b visible) over the tokens i strictly between nodes a and
        b, in nats; nodes 1..L are the tokens, 0 and L + 1 the ends.

    Notes
    -----
    A constant per masked token is taken off every gap first and added to the mean afterwards: given l it shifts S by a
    constant, and the variance is no longer a small difference of large squares.
    """
    length = response.length
    gaps = [np.triu(model.gap_sums(response), 1) for model in (policy, reference)]
    between = np.clip(np.arange(length + 2) - np.arange(length + 2)[:, None] - 1, 0, None)
    per_token = np.array([gap[0, -1] / length for gap in gaps])
    moments = path_moments(*(gap - c * between for gap, c in zip(gaps, per_token, strict=True)))
    counts = np.arange(length + 1)
    mean = moments[1:3].T
    second = moments[[3, 4, 4, 5]].T.reshape(-1, 2, 2)
    covariance = second - mean[:, :, None] * mean[:, None, :]
    covariance[[0, -1]] = 0  # one mask only: nothing varies
    return Profile(mean + counts[:, None] * per_token, covariance)


def path_moments(x: Array, y: Array) -> Array:
    """Moments of (S_x, S_y), the sums of edge values along uniform paths from node 0 to node L + 1.

    Returns
    -------
    (6, L + 1) float
        E of 1, S_x, S_y, S_x^2, S_x S_y, S_y^2, by the number l = 0..L of nodes that the path leaves out.

    Notes
    -----
    State [moment, v, b] sums over paths to node b with v nodes after the start: C(b - 1, v - 1) of them, which
    overflows past L = 1000. Dividing by C(L, v - 1) keeps every state at most the size of the moment, and makes the
    sums at the end node expectations.
    """
    nodes = len(x)
    length = nodes - 2
    edges = np.stack([x, y, x * x, x * y, y * y])
    state = np.zeros((6, nodes, nodes))
    state[0, 0, 0] = 1
    ratio = np.array([1.0, *(v / (length - v + 1) for v in range(1, nodes - 1))])[:, None]
    for start in range(1, nodes, BLOCK):
        stop = min(start + BLOCK, nodes)
        arrived = _extend(state[:, :-1, :start], edges[:, :start, start:stop])
        for b in range(start, stop):
            here = arrived[:, :, b - start, None]
            if b > start:
                here = here + _extend(state[:, :-1, start:b], edges[:, start:b, b : b + 1])
            state[:, 1:, b] = (ratio * here)[:, :, 0]
    return state[:, 1:, -1][:, ::-1]


def _extend(state: Array, edges: Array) -> Array:
    """Moments after one more edge, summed over where it starts: (6, v, sources) to (6, v, targets).

    (S + g)^r expands binomially: each new moment takes the old one, and lower ones times powers of g.
    """
    x, y, xx, xy, yy = edges
    one, s_x, s_y, s_xx, s_xy, s_yy = state

    def kept(moment: Array) -> Array:
        found: Array = moment.sum(1, keepdims=True) + np.zeros(x.shape[1])
        return found

    return np.stack(
        [
            kept(one),
            kept(s_x) + one @ x,
            kept(s_y) + one @ y,
            kept(s_xx) + 2 * (s_x @ x) + one @ xx,
            kept(s_xy) + s_x @ y + s_y @ x + one @ xy,
            kept(s_yy) + 2 * (s_y @ y) + one @ yy,
        ]
    )
