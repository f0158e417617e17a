"""Evaluations on disk: append-only, resumable, verified, one file a rank."""

from vrpo_theory.sampling.store.recorded import Recorded
from vrpo_theory.sampling.store.samples import SampleStore

__all__ = ["Recorded", "SampleStore"]
