"""What known mistakes do to the mean of the plain estimator and to the law of its mask counts, exactly.

A mistake predicts the mean on a toy, (toy, n, batch) to nats, and the law of the counts l = 0..L of the rows it
evaluates. Where a mistake has a free parameter (a floor, a padded length) there is one member for each value tried.
"""

from functools import cache

from vrpo_theory.auditing.mistakes import counts, means, scales, times, tokens
from vrpo_theory.auditing.mistakes.base import Mistake
from vrpo_theory.auditing.toys import Toy

__all__ = ["Mistake", "known", "mean_of"]


@cache
def known() -> tuple[Mistake, ...]:
    """Every mistake with a predicted mean."""
    return tuple(member for kind in (scales, tokens, counts, means, times) for member in kind.members())


@cache
def mean_of(mistake: Mistake, toy: Toy, n: int, batch: int) -> float:
    """The predicted mean, computed once."""
    return mistake.mean(toy, n, batch)
