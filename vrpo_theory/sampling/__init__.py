"""Monte Carlo with standard errors, from addressed draws (layer 3)."""

from vrpo_theory.sampling.gradients import gradient_variance
from vrpo_theory.sampling.scores import ScoreEstimate, estimate_scores, nested_moments, replicate

__all__ = ["ScoreEstimate", "estimate_scores", "gradient_variance", "nested_moments", "replicate"]
