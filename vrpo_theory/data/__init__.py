"""Preference pairs: reading, validation, chat templates."""

from vrpo_theory.data.display import show
from vrpo_theory.data.errors import BadRows
from vrpo_theory.data.pairs import read_pairs
from vrpo_theory.data.tokenizer import load_tokenizer

__all__ = ["BadRows", "load_tokenizer", "read_pairs", "show"]
