"""The least budget for a target."""

from __future__ import annotations

import math

from vrpo_theory.numerics import total
from vrpo_theory.planning.planner import Planner
from vrpo_theory.statements import loss

STEP = 64.0
"""Largest factor by which the search raises the budget in one step."""


def least_budget(planner: Planner, *, stderr: float | None = None, bias: float | None = None) -> float:
    """The least whole cost that reaches a target; from one timestep of one mask on, as variances fall.

    Parameters
    ----------
    stderr, bias : float
        One of them: root mean variance of the score over pairs; mean sharp bound of the loss's bias, in nats.

    Raises
    ------
    ValueError
        If the largest budget that can be planned does not reach the target; the message extrapolates the budget needed.
    """
    price, most = planner.cost.timestep + planner.cost.mask, math.floor(planner.cost.most)
    low, high = 0, math.ceil(price)
    while (excess := _excess(planner, high, stderr, bias)) > 1:
        if high >= most:
            raise ValueError(_out_of_reach(high, excess, stderr, bias))
        low, high = high, min(math.ceil(high * min(max(excess, 2.0), STEP)), most)
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        reached = middle >= price and _excess(planner, middle, stderr, bias) <= 1
        low, high = (low, middle) if reached else (middle, high)
    return float(high)


def _excess(planner: Planner, limit: float, stderr: float | None, bias: float | None) -> float:
    """Predicted over wanted variance, or bound on the bias, of the recommendation; both fall like 1/n."""
    variances = planner.variances(planner.recommend(limit))
    if stderr is not None:
        return float(variances.mean()) / stderr**2
    return total(loss.bias_bound(planner.scores, variances)) / len(variances) / float(bias or 0.0)


def _out_of_reach(limit: float, excess: float, stderr: float | None, bias: float | None) -> str:
    name, wanted, reached = (
        ("standard error", stderr, math.sqrt(excess) * stderr) if stderr is not None
        else ("bound on the bias", bias, excess * float(bias or 0.0))
    )  # fmt: skip
    return (
        f"no budget up to {limit:g} forward passes per response and model, the most in a plan, reaches a {name} "
        f"of {wanted:g}: that budget gives {reached:.2g}, and about {limit * excess:.2g} would be needed if the "
        "variance goes on falling like 1/n (an extrapolation); give a larger target"
    )
