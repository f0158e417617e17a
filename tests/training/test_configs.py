"""The configurations of the ablation, as files for ``vrpo train --config``."""

from pathlib import Path

import pytest
import yaml

from vrpo_theory.reproduce.paper import configurations
from vrpo_theory.schemes import Scheme

ROOT = Path(__file__).parents[2]
BASE = ROOT / "tests" / "data" / "cases" / "base"
LAUNCH = ROOT / "configs" / "eight_gpus.yaml"
CONFIGS = sorted(set((ROOT / "configs").glob("*.yaml")) - {LAUNCH})


def test_they_are_the_paper_s_and_differ_in_the_scheme_alone():
    told = [yaml.safe_load(path.read_text()) for path in CONFIGS]
    schemes = [Scheme.parse(one.pop("scheme")) for one in told]
    assert sorted(map(str, schemes)) == sorted(map(str, configurations()))
    assert all(one == told[0] for one in told)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_command_reads_them(vrpo, tmp_path, path):
    sources = ("--policy", BASE / "policy", "--pairs", BASE / "pairs.jsonl", "--out", tmp_path / "out")
    result = vrpo("train", "--config", path, *sources, "--device", "cpu", "--held-out", 0, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert yaml.safe_load(path.read_text())["scheme"] in result.stdout
    assert f"--config configs/{path.name}" in path.read_text()


def test_the_launcher_starts_eight_processes():
    from accelerate.commands.config.config_args import load_config_from_file

    launch = load_config_from_file(str(LAUNCH))
    assert (launch.num_processes, str(launch.distributed_type)) == (8, "DistributedType.MULTI_GPU")
