"""Preference pairs: reading, validation, chat templates (layer 1)."""

from vrpo_theory.data.chat import load_tokenizer
from vrpo_theory.data.errors import BadRows
from vrpo_theory.data.pairs import read_pairs

__all__ = ["BadRows", "load_tokenizer", "read_pairs"]
