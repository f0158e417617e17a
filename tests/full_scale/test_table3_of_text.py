"""The ablation from checkpoints and text: exact, repeated and pooled agree, and so do one and two processes."""

import json
import math
import os
import subprocess
import sys

import pytest
import torch

from vrpo_theory import rounding
from vrpo_theory.models.llada import LLaDAConfig, LLaDAModelLM, load

PAIRS = 32


@pytest.fixture(scope="module")
def folders(tmp_path_factory, llada_folder, byte_level):
    """Two small checkpoints with a tokenizer, and 32 pairs of text."""
    root = tmp_path_factory.mktemp("text")
    words = byte_level()
    config = LLaDAConfig(
        d_model=32, n_heads=2, n_layers=2, mlp_hidden_size=48, vocab_size=words.get_vocab_size(),
        embedding_size=words.get_vocab_size(), mask_token_id=words.token_to_id("<|mdm_mask|>"),
        eos_token_id=words.token_to_id("<|endoftext|>"), pad_token_id=words.token_to_id("<|endoftext|>"),
        max_sequence_length=128, init_std=0.2,
    )  # fmt: skip
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        module = LLaDAModelLM(config)
        for parameter in module.parameters():
            parameter.normal_(0, 0.2)
        for role in ("reference", "policy"):
            module.save_pretrained(root / role)
            for file in llada_folder.iterdir():
                (root / role / file.name).write_bytes(file.read_bytes())
            for parameter in module.parameters():
                parameter.add_(0.03 * torch.randn_like(parameter))
    rows = [
        {"id": f"p{k}", "prompt": f"Which {k}?", "chosen": "yes" + "!" * (k % 3), "rejected": "no" + "?" * (k % 4)}
        for k in range(PAIRS)
    ]
    (root / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def command(root, out, *options):
    inputs = ("--policy", root / "policy", "--reference", root / "reference", "--pairs", root / "pairs.jsonl")
    return [str(x) for x in ("table3", *inputs, "--out", out, "--json", *options)]


def here(vrpo, *arguments):
    done = vrpo("reproduce", *arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["exhibits"]["table3"]["cells"]


def run(*arguments):
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["exhibits"]["table3"]["cells"]


def select(cells, row, method):
    found = [c for c in cells if (c["row"], c["method"]) == (row, method)]
    return {(c["column"]["n_t"], c["column"]["n_yt"], c["column"]["shared"]): c for c in found}


@pytest.mark.statistical(rate=5e-9, detects="a variance off by half in any of the six columns, soaked by a third")
@pytest.mark.parametrize(("pairs", "share"), [(12, 0.9), pytest.param(PAIRS, 0.5, marks=pytest.mark.soak)])
def test_exact_repeated_and_pooled_agree(vrpo, folders, tmp_path, pairs, share):
    options = ("--protocol", "both", "--repeats", 60, "--pool", "30,4", "--gradient", "none", "--limit", pairs)
    cells = here(vrpo, *command(folders, tmp_path, *options))
    exact = select(cells, "var_score", "exact")
    assert len(exact) == 6
    for method in ("mc", "pooled"):
        for column, cell in select(cells, "var_score", method).items():
            assert cell["n_pairs"] == pairs
            assert math.isclose(cell["predicted"], exact[column]["value"], rel_tol=1e-9)
            assert abs(cell["value"] - cell["predicted"]) < 6.2 * cell["stderr"] < share * cell["predicted"]
    for row in ("var_loss", "bias_loss"):
        known = select(cells, row, "exact")
        for column, cell in select(cells, row, "pooled").items():
            assert cell["value"] == pytest.approx(known[column]["value"], rel=0.7 * share)


def test_two_processes_give_the_table_of_one(vrpo, folders, tmp_path):
    options = ("--method", "mc", "--protocol", "both", "--repeats", 3, "--pool", "3,2", "--limit", 3)
    alone = here(vrpo, *command(folders, tmp_path / "one", *options))
    # accelerate's own word for several processes is --multi_gpu; ACCELERATE_USE_CPU puts them on the CPU.
    launch = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
              "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")  # fmt: skip
    store = ("--store", tmp_path / "store")
    together = run(*launch, "-m", "vrpo_theory.reproduce", *command(folders, tmp_path / "two", *options, *store))
    assert {p.name for p in (tmp_path / "store").glob("*.sqlite")} == {"store-0.sqlite", "store-1.sqlite"}
    assert len(alone) == len(together) > 60
    tolerance = rounding.of_functional(load(folders / "policy"), 64)  # other batches
    for a, b in zip(alone, together, strict=True):
        for name in ("value", "stderr", "median", "predicted"):
            assert (a[name] is None) == (b[name] is None)
            assert a[name] is None or math.isclose(a[name], b[name], rel_tol=tolerance, abs_tol=1e-9)
        assert {k: a[k] for k in ("row", "column", "n", "n_pairs", "method", "paper")} == {
            k: b[k] for k in ("row", "column", "n", "n_pairs", "method", "paper")
        }
