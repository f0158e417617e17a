"""Answers written by a masked model: all tokens masked at first, some kept after every pass, as a sampler says."""

from vrpo_theory.generation.steps import Step, schedule
from vrpo_theory.generation.writing import Answer, Canvas, generate, passes, sampler_of

__all__ = ["Answer", "Canvas", "Step", "generate", "passes", "sampler_of", "schedule"]
