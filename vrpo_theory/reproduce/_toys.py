"""The toys that exhibits run on when the user brings no models: eight seeds, eight tokens."""

from __future__ import annotations

from functools import partial

from vrpo_theory.models import MODELS
from vrpo_theory.reproduce.base import Cases, Context

SEEDS, LENGTH = range(8), 8


def toys(context: Context, labels: tuple[str, ...]) -> Cases:
    """Cases by label, each toy's first ``context.limit`` seeds."""
    makers = {
        "rough table": lambda: MODELS["tabular"].case,
        "mid table": lambda: partial(MODELS["tabular"].case, common=0.8),
        "markov": lambda: MODELS["markov"].case,
        "tiny LLaDA": lambda: MODELS["llada"].case,
    }
    return {label: [makers[label]()(seed, LENGTH) for seed in SEEDS[: context.limit]] for label in labels}
