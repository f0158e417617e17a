"""Whether a second training gives the packaged models again."""

from __future__ import annotations

import json
import math
from pathlib import Path

from vrpo_theory import exact
from vrpo_theory.documents import Document
from vrpo_theory.errors import CheckError
from vrpo_theory.models.llada import load
from vrpo_theory.types import ROLES, SIDES, PreferencePair

NATS, SHARE = 0.1, 0.2
"""How far exact ELBOs per token may lie apart in the mean, and accuracies, all on the same prompts.

About twice what a run showed whose initial weights were moved by one part in a million: 0.04 nats and 0.10.
"""


def compare(made: Path, kept: Path, pairs: list[PreferencePair]) -> str:
    """A sentence on how the models of two folders agree.

    On equal kernels (processor, versions, one thread) the weights agree bit for bit. Elsewhere rounding grows over
    thousands of steps, and what matters is held against a tolerance: exact ELBOs of the pairs, and accuracies.

    Raises
    ------
    CheckError
        If they differ by more than that.
    """
    new, old = (json.loads((folder / "card.json").read_text()) for folder in (made, kept))
    changed = _kernels(new, old) + _changed(new["sources"], old["sources"])
    if new["weights"] == old["weights"]:
        return "the weights agree bit for bit" + changed
    found = [*likelihoods_apart(made, kept, pairs), *accuracies_apart(new, old)]
    if found:
        raise CheckError("; ".join(found) + ": training does not give the packaged models again" + changed)
    return f"the weights differ; exact ELBOs agree to {NATS} nats per token in the mean, accuracies to {SHARE}{changed}"


def _kernels(new: Document, old: Document) -> str:
    """Where both were made, if the kernels' names tell them apart; processors of one name may still differ."""
    there, here = (f"{card['machine']['cpu']}, torch {card['versions']['torch']}" for card in (old, new))
    return "" if there == here else f" (made with {there}; here {here})"


def _changed(new: dict[str, str], old: dict[str, str]) -> str:
    names = sorted(name for name in new.keys() | old.keys() if new.get(name) != old.get(name))
    return f" (sources changed since: {', '.join(names)})" if names else ""


def likelihoods_apart(made: Path, kept: Path, pairs: list[PreferencePair]) -> list[str]:
    """A sentence on each model whose exact ELBOs of the pairs are too far from the packaged one's."""
    found = []
    responses = [pair.side(side) for pair in pairs for side in SIDES]
    for role in ROLES:
        new, old = exact.enumerate_masks(responses, [load(folder / role) for folder in (made, kept)])
        apart = math.fsum(abs(new[r].elbo - old[r].elbo) / r.length for r in responses) / len(responses)
        if apart > NATS:
            found.append(f"exact ELBOs of the {role} are {apart:.3f} nats per token apart, expected at most {NATS}")
    return found


def accuracies_apart(new: Document, old: Document) -> list[str]:
    """A sentence on each accuracy of two cards that differs by too much."""
    return [
        f"{role}, {sampler}, {task}: {other['value']:.3f} instead of {share['value']:.3f}"
        for role in ROLES
        for sampler, tasks in old["accuracy"][role].items()
        for task, share in tasks.items()
        for other in (new["accuracy"][role][sampler][task],)
        if abs(other["value"] - share["value"]) > SHARE
    ]
