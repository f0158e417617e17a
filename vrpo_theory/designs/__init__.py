"""Sampling designs: how the masks of one ELBO estimate are drawn. One small file each."""

from vrpo_theory.designs.base import DESIGNS, Block, Design

__all__ = ["DESIGNS", "Block", "Design"]
