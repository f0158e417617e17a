"""Choosing a design, weights, timesteps, masks and sharing from a pilot, under a cost model (layer 4)."""

from vrpo_theory.planning.candidates import Candidate, Cost, candidates
from vrpo_theory.planning.pilot import Pilot, run_pilot
from vrpo_theory.planning.plan import Plan, make_plan, plan

__all__ = ["Candidate", "Cost", "Pilot", "Plan", "candidates", "make_plan", "plan", "run_pilot"]
