"""Monte Carlo with standard errors, from addressed draws."""

from vrpo_theory.sampling.gradients import gradient_variance
from vrpo_theory.sampling.pool import Pool, draw_pools
from vrpo_theory.sampling.precision import Deviation, precision_deviations
from vrpo_theory.sampling.scores import ScoreEstimate, estimate_scores, nested_moments, replicate
from vrpo_theory.sampling.sketches import GradientPool, draw_gradient_pool, sketch

__all__ = [
    "Deviation",
    "GradientPool",
    "Pool",
    "ScoreEstimate",
    "draw_gradient_pool",
    "draw_pools",
    "estimate_scores",
    "gradient_variance",
    "nested_moments",
    "precision_deviations",
    "replicate",
    "sketch",
]
