"""Exact engines: every mask enumerated, so that nothing is estimated (layer 3)."""

from vrpo_theory.exact.cases import mask_count, profiles, tabulate, true_margin, within
from vrpo_theory.exact.enumeration import MAX_LENGTH, MaskTable, enumerate_masks
from vrpo_theory.exact.moments import contrast_moments, margin_moments, margin_variance
from vrpo_theory.exact.profiles import profile

__all__ = [
    "MAX_LENGTH",
    "MaskTable",
    "contrast_moments",
    "enumerate_masks",
    "margin_moments",
    "margin_variance",
    "mask_count",
    "profile",
    "profiles",
    "tabulate",
    "true_margin",
    "within",
]
