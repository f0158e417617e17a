"""A script: how many tests can fail by chance, and how often in all.

``python -m tests.reliability.ledger OUT.json``
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest


class Counted:
    def pytest_collection_finish(self, session):
        rates = [mark.kwargs["rate"] for item in session.items if (mark := item.get_closest_marker("statistical"))]
        self.found = {"tests": len(session.items), "statistical": len(rates), "rate": sum(rates)}


if __name__ == "__main__":
    counted = Counted()
    pytest.main(["--collect-only", "-qq", "tests"], plugins=[counted])
    Path(sys.argv[1]).write_text(json.dumps(counted.found, indent=1) + "\n")
