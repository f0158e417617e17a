"""The paper's printed numbers (2505.19223v2), as data: shown beside ours, never as ours."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def tables() -> dict[str, Any]:
    """All printed tables; keys as in ``paper_tables.json``."""
    return json.loads(resources.files("vrpo_theory.reproduce").joinpath("paper_tables.json").read_text())
