"""The error model behind every tolerance: how far apart two right evaluations of a number may lie.

Kernels of other processors, thread counts, batches and paddings sum in another order, so numbers of neural models agree
to rounding, never bit for bit. A network is a chain of sums. With unit roundoff u, a sum of k addends errs by at most
k u and, with independent roundings, by about sqrt(k) u, relative to its addends' size and in any order (Higham, Mary:
SIAM J. Sci. Comput. 41, 2019). Errors in series add as variances, and norms carry a relative error from block to block
as it is; so logits err by sqrt(K) u of their size, K the addends of all sums on the way. Half precision sums in float32
and rounds results: sqrt(R) u more, R the products on the way. The size of logits shows in the largest |log p| scored,
for log p is a logit less the log-sum-exp of all. Hence, for a token,

    |difference of log p| <= SPREAD (u sqrt(R) + u_sum sqrt(K)) max |log p|,

and all else follows: a weighted sum errs by sum |weights| times that, a score by beta times its margin, a variance V of
terms that err by d by 2 d sqrt(V) + d^2, and a gradient, which passes the chain three times (once forwards,
twice backwards), by sqrt(3) times as much of its largest entry.

What no sum order can move (masks, draws, tables of toys) is bit-identical; paper_repro.md lists it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numpy.typing import NDArray

from vrpo_theory.types import Model

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Unit roundoff: half the distance from 1 to the next number."""
SPREAD = 6.0
"""Two evaluations, each off by up to three times what independent roundings give on average."""
CONDITION = 8
"""What variances, biases and gaps make of relative errors in log p: a variance, 2 rms / sd of its terms."""


def relative(dtype: str, addends: int, results: int) -> float:
    """Tolerance of a chain of sums, relative to the size of what it ends in.

    Parameters
    ----------
    dtype : str
        What results are kept in; half precision is summed in float32.
    addends, results : int
        Of all sums in series, and how many these are.
    """
    of_result = UNIT[dtype]
    of_sum = min(of_result, UNIT["float32"])
    return SPREAD * (of_result * math.sqrt(results) + of_sum * math.sqrt(addends))


def of_model(model: Model, length: int = 1) -> float:
    """Tolerance of a model's log-probabilities, relative to the largest |log p| among them.

    Every matrix sums over its columns; attention, at most once per matrix, over the sequence; the softmax over the
    words.

    Parameters
    ----------
    model : Model
        Of `vrpo_theory.models.base`; without ``parameters()`` it counts as one table.
    length : int
        Tokens of a sequence, prompt included.
    """
    matrices = [p for p in getattr(model, "parameters", tuple)() if p.ndim == 2]
    addends = model.vocabulary + sum(p.shape[1] + length for p in matrices)
    return relative(str(model.dtype).removeprefix("torch."), addends, len(matrices))


def of_tokens(model: Model, log_prob: Tensor | NDArray[np.float64]) -> float:
    """Tolerance of a token's log-probability in nats, from those scored, (..., T), in its batch."""
    return of_model(model, log_prob.shape[-1]) * max(1.0, -float(log_prob.min()))


def of_sum(model: Model, terms: int, length: int = 1) -> float:
    """Tolerance in nats of a sum of ``terms`` log-probabilities, signs included: a difference of sums may be near 0.

    Its terms are taken to be of the size of a uniform guess's, log V, and to be rounded independently.
    """
    return of_model(model, length) * max(1.0, math.log(model.vocabulary)) * math.sqrt(terms)


def of_gradient(model: Model, length: int = 1) -> float:
    """Tolerance of a gradient's entries, relative to the largest of all its entries."""
    return math.sqrt(3) * of_model(model, length)


def of_functional(model: Model, length: int = 1) -> float:
    """Tolerance of variances, biases and gaps of log-probabilities, relative to themselves."""
    return CONDITION * of_model(model, length)


def of_variance(variance: float, term: float) -> float:
    """Tolerance of a variance whose terms have the tolerance ``term``: of its size, squared."""
    return 2 * term * math.sqrt(variance) + term**2
