"""The LLaDA benchmark runs at toy size, keeps what it found, and counts operations right; speed is not for a test."""

import importlib
import json
import math
from pathlib import Path

import pytest
import torch

from vrpo_theory import rounding
from vrpo_theory.models.llada import LLaDAConfig

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    """Imports a script of the folder as `python benchmarks/NAME.py` does."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def test_small_run_keeps_a_document(bench, tmp_path):
    options = {"random_weights": True, "pairs": 1, "rounds": 1, "out": tmp_path, "measured": "speed,cost"}
    bench("llada").main("smoke", **options)
    document = json.loads((tmp_path / "llada-smoke.json").read_text())
    assert document["machine"]["threads"] == torch.get_num_threads()
    sections = document["sections"]
    assert list(sections) == ["setting", "speed", "all logits over masked head", "table3", "requirements"]
    model = bench("_llada_models").Setting("smoke").random_model(0)
    tolerance = rounding.of_model(model, 64) * 2 * math.log(model.vocabulary)  # near uniform
    assert sections["all logits over masked head"][0]["largest_difference_nats"] < tolerance
    pooled, scaled, paper = sections["table3"]
    assert (pooled["forwards"], pooled["gradients"]) == (12 * 4 * 2 * 2, 6 * 4 * 2)
    assert scaled["forwards"] == 128 * pooled["forwards"]
    assert (paper["forwards"], paper["gradients"]) == (128 * 8 * 25 * 4, 128 * 8 * 25 * 2)


@pytest.mark.soak
def test_memory_of_a_fresh_process(bench):
    row = bench("_llada_memory").head_row(bench("_llada_models").Setting("smoke"), 64, 16)
    assert row["logits_mb"] == 4 * 16 * 64 / 1e6
    assert 0 <= row["above_baseline_mb"] < row["peak_mb"]


def test_operations_are_those_of_a_hand_count(bench):
    """d = 8: two heads of width 4, one of them for keys and values."""
    config = LLaDAConfig(
        d_model=8, n_heads=2, n_kv_heads=1, n_layers=3, mlp_hidden_size=10, vocab_size=20, embedding_size=24,
        mask_token_id=19, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    flops = bench("_llada_flops")
    # q and out: 8 x 8 each; k and v: 8 x 4 each; the MLP's three: 8 x 10 each.
    assert flops.block_weights(config) == 64 + 64 + 32 + 32 + 240
    # Scores and mixing of 5 tokens, two heads of width 4: 2 products of 2 x 5 x 8 operations a token.
    assert flops.body_per_token(config, length=5) == 3 * (2 * 432 + 160)
    assert flops.head_per_position(config) == 2 * 8 * 24
    assert flops.forwards(config, length=5, sequences=2, positions=7) == 2 * 5 * 3072 + 7 * 384


def test_operations_of_8b_are_those_of_its_matrices(bench):
    flops, module = bench("_llada_flops"), bench("_llada_models")
    config = module.SIZES["8b"].config
    assert 2 * 32 * flops.block_weights(config) == 2 * (6_979_588_096 - (2 * 32 + 1) * 4096)  # all but the norms
    assert flops.head_per_position(config) == 2 * 4096 * 126464


def test_random_weights_are_where_and_what_they_should_be(bench):
    model = bench("_llada_models").Setting("smoke", dtype="bfloat16").random_model(0)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert all((p == 1).all() if p.ndim == 1 else 0.01 < p.float().std() < 0.03 for p in model.parameters())
