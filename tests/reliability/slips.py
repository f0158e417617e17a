"""A script: every slip of `failures`, every plant of `plants` is made, and the tests that should fail are seen to.

``python -m tests.reliability.slips OUT.json``
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from .failures import FAILURES, SURVIVED, Slip
from .inplace import InPlace, Outcome
from .plants import PLANTS

EVERY = FAILURES | SURVIVED | PLANTS
CPU_SECONDS = 120


def named_tests(slip: Slip, items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests that are to fail."""
    names = {test for failure in EVERY.values() if failure.slip is slip for test in failure.tests}
    return [item for item in items if item.nodeid.partition("[")[0] in names]


def main(out: Path) -> None:
    rows = []

    def tell(slip: Slip, outcome: Outcome) -> None:
        name = next(name for name, failure in EVERY.items() if failure.slip is slip)
        rows.append({"slip": name, "planted": name in PLANTS, "killed_by": outcome.failed})
        out.write_text(json.dumps(rows, indent=1) + "\n")

    files = sorted({test.partition("::")[0] for failure in EVERY.values() for test in failure.tests})
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib", "--tb=no", "-m", "not soak"]
    slips = [failure.slip for failure in EVERY.values()]
    pytest.main([*options, *files], plugins=[InPlace(slips, named_tests, CPU_SECONDS, tell)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
