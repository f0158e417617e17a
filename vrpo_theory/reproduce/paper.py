"""The paper's printed numbers (2505.19223v2), as data: shown beside ours, never as ours."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from vrpo_theory.couplings import Coupling
from vrpo_theory.documents import Document
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import Budget


@cache
def tables() -> Document:
    """All printed tables; keys as in ``paper_tables.json``."""
    text = resources.files("vrpo_theory.reproduce").joinpath("paper_tables.json").read_text()
    found: Document = json.loads(text)
    return found


def configurations() -> list[Scheme]:
    """The columns of the ablation, the base first: VRPO's design and weights, other budgets and sharing."""
    columns = tables()["table2_ablation"]["configurations"]
    return [Scheme(budget=Budget(c["n_t"], c["n_yt"]), coupling=Coupling(c["shared"])) for c in columns]
