"""Weightings: how masks, before any forward pass, become the weights of the token terms."""

from vrpo_theory.weightings.base import WEIGHTINGS, Separable, Weighting

__all__ = ["WEIGHTINGS", "Separable", "Weighting"]
