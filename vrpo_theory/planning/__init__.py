"""Choosing a design, weights, timesteps, masks and sharing from a pilot, under a cost model."""

from vrpo_theory.planning.pilot import Group, Pilot, Sample, forward_passes, run_pilot
from vrpo_theory.planning.planner import Forecast, Planner
from vrpo_theory.planning.recommend import Plan, make_plan, plan, with_gradient
from vrpo_theory.planning.search_space import Cost, candidates, predicted

__all__ = [
    "Cost",
    "Forecast",
    "Group",
    "Pilot",
    "Plan",
    "Planner",
    "Sample",
    "candidates",
    "forward_passes",
    "make_plan",
    "plan",
    "predicted",
    "run_pilot",
    "with_gradient",
]
