"""Preference pairs and prompts: reading, validation, chat templates."""

from vrpo_theory.data.display import show
from vrpo_theory.data.errors import BadRows
from vrpo_theory.data.pairs import read_pairs
from vrpo_theory.data.prompts import Prompt, read_prompts
from vrpo_theory.data.tokenizer import load_tokenizer

__all__ = ["BadRows", "Prompt", "load_tokenizer", "read_pairs", "read_prompts", "show"]
