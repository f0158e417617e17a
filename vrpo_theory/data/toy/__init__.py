"""The toy language: addition, sorting and sums over digits, with answers that can be verified.

>>> from vrpo_theory.data import toy
>>> q = toy.question(0, "test", 0, task="sorting", length=8)
>>> toy.verify(q.prompt, q.answer), toy.verify(q.prompt, q.mistake)
(True, False)
"""

from vrpo_theory.data.toy.streams import (
    ALL_LENGTHS,
    LENGTHS,
    SPLITS,
    Question,
    pair,
    question,
    read,
    split_of,
    supervised,
    verify,
)
from vrpo_theory.data.toy.tasks import TASKS
from vrpo_theory.data.toy.vocabulary import EOS, MASK, SIGNS, text

__all__ = [
    "ALL_LENGTHS",
    "EOS",
    "LENGTHS",
    "MASK",
    "SIGNS",
    "SPLITS",
    "TASKS",
    "Question",
    "pair",
    "question",
    "read",
    "split_of",
    "supervised",
    "text",
    "verify",
]
