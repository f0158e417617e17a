"""Notes on what the pilot leaves open, and how large a pilot would settle it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from vrpo_theory.exact import MAX_LENGTH
from vrpo_theory.planning.planner import Forecast, Planner
from vrpo_theory.planning.search_space import follows_from_profiles
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import Estimate
from vrpo_theory.uncertainty import plus_minus


def notes(planner: Planner, best: Forecast, vrpo: Forecast) -> Iterator[str]:
    """One sentence for each thing that the user should know about the plan.

    Parameters
    ----------
    best, vrpo : Forecast
        The recommendation, and VRPO's choice at the same cost.
    """
    if best.variance.value == 0:
        yield f"the variance of the score is 0 ({_why_still(planner)}), so one mask is enough"
        return
    if not planner.parts:
        yield (
            "the pilot has only two groups, so its predictions have no standard errors, and coupled masks and weights "
            "are judged by what they gain elsewhere: raise --pilot"
        )
    if best.scheme != vrpo.scheme:
        ratio = planner.ratio(best.scheme, vrpo.scheme)
        within = planner.interval(ratio)
        if within is not None and within[1] >= 1:
            yield (
                "the pilot cannot tell the recommendation from VRPO's choice: the ratio of their variances is "
                f"{plus_minus(ratio)}{_deciding(planner, best.scheme, ratio)}"
            )
    if planner.pilot.longest <= MAX_LENGTH and 2**planner.pilot.longest - 1 <= best.scheme.budget.n:
        yield (
            f"responses have at most {planner.pilot.longest} tokens: `vrpo score --method exact` takes "
            f"at most {2**planner.pilot.longest - 1} forward passes per response and model, and has no sampling error"
        )


def _why_still(planner: Planner) -> str:
    if planner.beta == 0:
        return "beta is 0"
    if planner.pilot.longest == 1:
        return "a response of one token has one mask"
    return "policy and reference differ by the same amount under every mask of the pilot"


def _deciding(planner: Planner, best: Scheme, ratio: Estimate) -> str:
    """Size of the pilot whose interval would exclude 1 if the ratio stayed the same; empty if none is worth naming.

    None is for what is modelled: the model's own error stays.
    """
    within = planner.interval(ratio)
    if within is None or ratio.value >= 0.98 or not follows_from_profiles(best):
        return ""
    times = (math.log(within[1] / ratio.value) / math.log(1 / ratio.value)) ** 2
    needed = math.ceil(times * planner.pilot.groups) * planner.pilot.size
    return f"; --pilot {needed} would decide, if the ratio stays the same"
