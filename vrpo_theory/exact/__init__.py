"""Exact engines: every mask enumerated, so that nothing is estimated (layer 3)."""

from vrpo_theory.exact.cases import mask_count, profiles, tabulate, true_margin, within
from vrpo_theory.exact.enumeration import MAX_LENGTH, MaskTable, enumerate_masks
from vrpo_theory.exact.gaps import gap_profile
from vrpo_theory.exact.laws import LossMoments, ScoreLaw, loss_moments, score_law
from vrpo_theory.exact.moments import contrast_moments, margin_mean, margin_moments, margin_variance
from vrpo_theory.exact.profiles import profile

__all__ = [
    "MAX_LENGTH",
    "LossMoments",
    "MaskTable",
    "ScoreLaw",
    "contrast_moments",
    "enumerate_masks",
    "gap_profile",
    "loss_moments",
    "margin_mean",
    "margin_moments",
    "margin_variance",
    "mask_count",
    "profile",
    "profiles",
    "score_law",
    "tabulate",
    "true_margin",
    "within",
]
