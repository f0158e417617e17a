"""What a run of these tests has tried, by name; written as JSON where VRPO_TRIED names a file."""

import atexit
import json
import os
from collections import Counter
from pathlib import Path

TRIED = Counter()


def count(name, number=1):
    """Add to what was tried."""
    TRIED[name] += number


@atexit.register
def _written():
    if os.environ.get("VRPO_TRIED"):
        Path(os.environ["VRPO_TRIED"]).write_text(json.dumps(dict(sorted(TRIED.items())), indent=1) + "\n")
