"""The paper's tables and figures, recomputed: one small file each."""

from vrpo_theory.reproduce.base import EXHIBITS, Cell, Context, Exhibit

__all__ = ["EXHIBITS", "Cell", "Context", "Exhibit"]
