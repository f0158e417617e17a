"""Draws that hold every mask, each with its probability: what is estimated from them is exact."""

from __future__ import annotations

import numpy as np
from scipy.special import comb

from vrpo_theory.couplings import Coupling, Draw
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.types import Case, Masks, Response


def complete_draws(case: Case) -> tuple[Draw, ...]:
    """Every non-empty mask of every part of both responses, for `vrpo_theory.preference.backward` and its like.

    With plain weights these give the exact score, and two passes over them its exact gradient: there is no sampling
    error, and memory does not grow with the number of masks. Worth it for the short blocks of block diffusion.

    Parameters
    ----------
    case : Case

    Raises
    ------
    InputError
        If a part is too long to enumerate.

    Examples
    --------
    >>> from vrpo_theory import MODELS, backward, exact
    >>> from vrpo_theory.weightings.plain import PLAIN
    >>> case = MODELS["block_tabular"].case(0)
    >>> score = backward(case, complete_draws(case), PLAIN, beta=0.2)
    >>> (answers,) = exact.tabulate([case])
    >>> abs(score - 0.2 * exact.true_margin(answers)) < 1e-12
    True
    """
    return tuple(Draw(c, part, _every_mask(part)) for c in Coupling().contrasts for part in case.parts(c.side))


def _every_mask(part: Response) -> Masks:
    """A mask of l tokens has probability 1/(L C(L, l)) under the count form (2505.19223v2, Eq. 14-15)."""
    mask = all_masks(part.length)[1:]
    level = mask.sum(1)
    share = 1 / (part.length * comb(part.length, level))
    return Masks(mask, "count", level, np.zeros(len(mask), np.int64), share)
