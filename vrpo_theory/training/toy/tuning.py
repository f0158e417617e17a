"""Choosing VRPO's rate and steps for the toy, on the validation split."""

from __future__ import annotations

import copy
from dataclasses import replace

from tqdm import tqdm

from vrpo_theory.documents import Document
from vrpo_theory.models.base import fingerprint
from vrpo_theory.models.llada import LLaDA
from vrpo_theory.training.loop import Objective, train
from vrpo_theory.training.supervised import Supervised
from vrpo_theory.training.toy.measure import accuracies
from vrpo_theory.training.toy.recipe import Recipe

RATES, STEPS, PROMPTS = (1e-5, 3e-5, 1e-4), (50, 100, 200), 300
RULE = "the least rate x steps within one standard error of the highest accuracy under low-confidence remasking"
"""The diffusion sampler goes on gaining where this one, LLaDA's own, already loses: there VRPO over-optimises."""


def tune(reference: LLaDA, recipe: Recipe) -> Document:
    """Validation accuracy after every rate and number of steps; the choice; and the control.

    The control is the supervised loss on the same chosen responses, at the chosen rate and steps: what pairs teach
    without their rejected halves.
    """
    cells = []
    for rate, steps in tqdm([(rate, steps) for rate in RATES for steps in STEPS], "rates and steps", disable=None):
        cells.append(_cell(reference, recipe, recipe.prefer(reference), rate, steps))
    best = choose(cells)
    pairs = recipe.prefer(reference).stream
    control = Supervised(lambda index: pairs(index).chosen, recipe.pairs, recipe.seed)
    return {
        "rule": RULE,
        "reference": fingerprint(reference.parameters()),
        "before": accuracies(reference, recipe.seed, "validation", PROMPTS),
        "cells": cells,
        "choice": {"rate": best["rate"], "steps": best["steps"]},
        "control": _cell(reference, recipe, control, best["rate"], best["steps"]),
    }


def choose(cells: list[Document]) -> Document:
    """The cell that the rule chooses."""
    top = max(cells, key=lambda cell: cell["score"])
    close = [cell for cell in cells if cell["score"] >= top["score"] - top["stderr"]]
    return min(close, key=lambda cell: cell["rate"] * cell["steps"])


def _cell(reference: LLaDA, recipe: Recipe, objective: Objective, rate: float, steps: int) -> Document:
    policy = copy.deepcopy(reference).requires_grad_(True)
    train(policy, objective, replace(recipe.preference, rate=rate, steps=steps), label=f"rate {rate}")
    found = accuracies(policy, recipe.seed, "validation", PROMPTS)
    share = found["low_confidence"]["all"]
    return {"rate": rate, "steps": steps, "score": share["value"], "stderr": share["stderr"], "accuracy": found}
