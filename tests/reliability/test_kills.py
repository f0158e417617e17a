"""kill -9 at random points of every command that writes, some within a write: repeated, it ends in the same bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.soak
def test_fifty_kills_leave_no_trace(tmp_path):
    command = [sys.executable, "-m", "tests.reliability.kills", str(tmp_path), "50", "16"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    points = json.loads(run.stdout)["points"]
    assert len(points) == 50
    assert [point for point in points if not point["same"]] == []
    assert sum(point["killed"] and point["point"].startswith("write") for point in points) >= 10
