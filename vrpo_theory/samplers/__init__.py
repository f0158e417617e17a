"""Samplers, which say how a masked model writes an answer; one file each, found by name."""

from vrpo_theory.samplers.base import SAMPLERS, Sampler

__all__ = ["SAMPLERS", "Sampler"]
