"""Exact engines: every mask is enumerated, so nothing is estimated."""

from vrpo_theory.exact.cases import (
    block_profiles,
    cost,
    elbo_of,
    log_likelihood_margin,
    log_likelihood_of,
    mask_count,
    profiles,
    tabulate,
    true_margin,
    within,
)
from vrpo_theory.exact.complete import complete_draws
from vrpo_theory.exact.enumeration import MAX_LENGTH, MaskTable, enumerate_masks, table_of, tables_of
from vrpo_theory.exact.gaps import gap_profile
from vrpo_theory.exact.gradients import GradientMoments, elbo_gradient_moments, score_gradient_moments
from vrpo_theory.exact.grams import GRAM_LENGTH, GradientGram, gradient_grams
from vrpo_theory.exact.joint import estimator_law
from vrpo_theory.exact.laws import LossMoments, ScoreLaw, convolves, loss_moments, score_law
from vrpo_theory.exact.leave_one_out import leave_one_out_moments
from vrpo_theory.exact.loss_estimators import LossEstimatorMoments, loss_estimator
from vrpo_theory.exact.loss_gradients import LossGradientMoments, loss_gradient_moments
from vrpo_theory.exact.mask_profiles import profile
from vrpo_theory.exact.moments import contrast_moments, margin_mean, margin_moments, margin_variance
from vrpo_theory.exact.newly_unmasked import newly_unmasked_gap_profile, newly_unmasked_profile
from vrpo_theory.exact.ratios import LogRatio, RatioMoments, log_ratio, ratio_moments

__all__ = [
    "GRAM_LENGTH",
    "MAX_LENGTH",
    "GradientGram",
    "GradientMoments",
    "LogRatio",
    "LossEstimatorMoments",
    "LossGradientMoments",
    "LossMoments",
    "MaskTable",
    "RatioMoments",
    "ScoreLaw",
    "block_profiles",
    "complete_draws",
    "contrast_moments",
    "convolves",
    "cost",
    "elbo_gradient_moments",
    "elbo_of",
    "enumerate_masks",
    "estimator_law",
    "gap_profile",
    "gradient_grams",
    "leave_one_out_moments",
    "log_likelihood_margin",
    "log_likelihood_of",
    "log_ratio",
    "loss_estimator",
    "loss_gradient_moments",
    "loss_moments",
    "margin_mean",
    "margin_moments",
    "margin_variance",
    "mask_count",
    "newly_unmasked_gap_profile",
    "newly_unmasked_profile",
    "profile",
    "profiles",
    "ratio_moments",
    "score_gradient_moments",
    "score_law",
    "table_of",
    "tables_of",
    "tabulate",
    "true_margin",
    "within",
]
