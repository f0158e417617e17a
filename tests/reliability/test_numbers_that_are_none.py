"""NaN and Inf: where nothing is seen they leak nowhere; elsewhere they end the run, named, and nothing is kept."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from vrpo_theory import MODELS, load_model, tabulate
from vrpo_theory.errors import out_of_memory
from vrpo_theory.sampling import estimate_scores
from vrpo_theory.schemes import VRPO

DATA = Path(__file__).parents[1] / "data"
FOLDERS = {
    "llada": (DATA / "cases/base/policy", {}),
    "bert": (DATA / "cases/bert/policy", {}),
    "dream": (DATA / "golden/dream", {}),
    "illada": (DATA / "golden/illada", {"mask_token_id": 5}),
}
SPOILT = 7


@pytest.fixture(scope="module", params=FOLDERS)
def model(request):
    folder, options = FOLDERS[request.param]
    return load_model(folder, **options)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_where_nothing_is_seen_leaks_nowhere(model, side, value):
    """NaN times 0 is NaN, so what is masked out must not be computed with.

    Seen at https://github.com/ecmwf/WeatherGenerator/issues/2717.
    """
    tokens = torch.tensor([[8, 9, 10, 11, 12]])
    mask = torch.tensor([[False, False, True, False, True]])
    answer = torch.tensor([[False, True, True, True, True]])
    attention = torch.ones_like(mask)

    def padded(row, fill):
        """The row with padding on one side."""
        parts = [torch.full((1, 3), fill, dtype=row.dtype), row]
        return torch.cat(parts if side == "left" else parts[::-1], 1)

    hidden, shown = (padded(tokens, fill) for fill in (SPOILT, 8))
    rest = [padded(x, False) for x in (answer, mask, attention)]
    expected = model.log_prob(shown, *rest)
    # The embedding's output, not its row: where the head is tied to it, the row is part of every softmax.
    hook = model.module.get_input_embeddings().register_forward_hook(
        lambda module, ids, out: out.masked_fill((ids[0] == SPOILT)[..., None], value)
    )
    with hook:
        found = model.log_prob(hidden, *rest)
        assert not model.log_prob(hidden.roll(1, 1), *rest).isfinite().all()  # a visible one is felt
    assert found.isfinite().all()
    assert torch.allclose(found, expected, atol=1e-5)


class Full:
    """A model for which memory does not suffice, in the words of several systems."""

    def __init__(self, model, error):
        self.model, self.error, self.device = model, error, model.device
        self.fingerprint, self.calls = model.fingerprint, 0

    def log_prob(self, tokens, *rest):
        self.calls += 1
        if len(tokens) > 1:
            raise self.error
        return self.model.log_prob(tokens, *rest)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((2**40,), np.dtype(float)),
    ],
    ids=["device", "processor", "Python", "numpy"],
)
def test_memory_that_runs_out_halves_the_batch_whoever_says_so(error):
    case = MODELS["markov"].case(0, 4)
    assert out_of_memory(error)
    (found,) = estimate_scores([case], VRPO, seed=0)
    small = type(case)(Full(case.policy, error), Full(case.reference, error), case.pair)
    (again,) = estimate_scores([small], VRPO, seed=0)
    assert again.margin.value == found.margin.value
    assert small.policy.calls > 1


def test_another_error_is_passed_on():
    case = MODELS["markov"].case(0, 4)
    broken = type(case)(Full(case.policy, RuntimeError("shapes differ")), case.reference, case.pair)
    with pytest.raises(RuntimeError, match="shapes differ"):
        estimate_scores([broken], VRPO, seed=0)


@pytest.mark.parametrize("evaluate", [lambda c: estimate_scores([c], VRPO, seed=0), lambda c: tabulate([c])])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_pair_and_weight_are_named(evaluate, value):
    case = MODELS["llada"].case(0, 3)
    name, weight = list(case.policy.named_parameters())[3]
    with torch.no_grad():
        weight.view(-1)[0] = value
    with pytest.raises(FloatingPointError) as caught:
        evaluate(case)
    assert repr(case.pair.id) in str(caught.value)
    assert f"its weight {name} is not" in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_files_with_numbers_that_are_none_are_refused_before_anything_is_kept(vrpo, tmp_path, value):
    from safetensors.torch import load_file, save_file

    base = DATA / "cases/base"
    policy = shutil.copytree(base / "policy", tmp_path / "policy")
    tensors = load_file(policy / "model.safetensors")
    name = sorted(tensors)[2]
    tensors[name].view(-1)[0] = value
    save_file(tensors, policy / "model.safetensors")
    sources = ("--policy", policy, "--reference", base / "reference", "--pairs", base / "pairs.jsonl")
    result = vrpo("score", *sources, "--store", tmp_path / "store", "--json")
    assert result.exit_code == 2
    assert name in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert not (tmp_path / "store").exists()


def test_documents_hold_no_number_that_json_has_not(vrpo, tmp_path):
    base = DATA / "cases/base"
    sources = ("--policy", base / "policy", "--reference", base / "reference", "--pairs", base / "pairs.jsonl")
    result = vrpo("score", *sources, "--limit", 1, "--n-t", 1, "--json")
    json.loads(result.stdout, parse_constant=lambda name: pytest.fail(name))
