"""Evaluations on disk: append-only, resumable, verified, one file per rank."""

from vrpo_theory.store.recorded import Recorded
from vrpo_theory.store.samples import SampleStore

__all__ = ["Recorded", "SampleStore"]
