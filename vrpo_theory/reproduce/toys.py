"""The toys that exhibits run on when the user brings no models: eight seeds each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from vrpo_theory.models import MODELS
from vrpo_theory.reproduce.base import Cases, Context
from vrpo_theory.types import Case

SEEDS, LENGTH = range(8), 8

Maker = Callable[[int, int], Case]

MAKERS: dict[str, Callable[[], Maker]] = {
    "rough table": lambda: MODELS["tabular"].case,
    "mid table": lambda: partial(MODELS["tabular"].case, common=0.8),
    "markov": lambda: MODELS["markov"].case,
    "shock": lambda: MODELS["shock"].case,
    "toy LLaDA": lambda: MODELS["toy_llada"].case,
}


def toys(context: Context, labels: tuple[str, ...]) -> Cases:
    """Cases by label, each toy's first ``context.limit`` seeds; "markov, L = 64" is a toy at another length."""
    return {label: [_maker(label)(seed, _length(label)) for seed in SEEDS[: context.limit]] for label in labels}


def _maker(label: str) -> Maker:
    return MAKERS[label.partition(",")[0]]()


def _length(label: str) -> int:
    return int(label.partition("L = ")[2] or LENGTH)
