"""Models of block diffusion against the releases' own code: whole responses, packed, and from the command line."""

import json

import numpy as np
import pytest
import torch

from vrpo_theory import Case, PreferencePair, Response, Scheme, batching, elbo, preference, rounding
from vrpo_theory.exact import complete_draws
from vrpo_theory.models.base import differentiating
from vrpo_theory.runs.recording import recorded, replayed
from vrpo_theory.sampling import estimate_scores
from vrpo_theory.scoring import score_pairs
from vrpo_theory.types import ROLES, SIDES, Budget, packs
from vrpo_theory.weightings.plain import PLAIN

from .conftest import FAMILIES, FULL, told

BLOCKS = [name for name in FAMILIES if name not in FULL]


@pytest.mark.parametrize("name", BLOCKS)
def test_the_command_is_exact_unasked(golden, name, tmp_path, vrpo):
    known = told(name)["cases"]
    rows = [{"prompt_ids": c["prompt"], "chosen_ids": c["chosen"], "rejected_ids": c["rejected"]} for c in known]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    folders = golden(name)
    given = [word for fact, value in FAMILIES[name].items() for word in (f"--{fact.replace('_', '-')}", value)]
    result = vrpo(
        "score", "--policy", folders["policy"], "--reference", folders["reference"], "--pairs",
        tmp_path / "pairs.jsonl", "--dtype", "float64", "--json", *given,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "masks per block and model" in result.stderr
    for scored, case in zip(json.loads(result.stdout)["pairs"], known, strict=True):
        assert scored["method"] == "exact"
        assert scored["margin"] == pytest.approx(case["margins"]["margin_elbo"], abs=1e-4)


def long_case(models, name, length=64):
    rng, pair = np.random.default_rng(4), models(name)
    prompt, chosen, rejected = (tuple(rng.integers(100, size=n).tolist()) for n in (6, length, length))
    return Case(
        pair["policy"],
        pair["reference"],
        PreferencePair(*(Response(prompt, ids) for ids in (chosen, rejected)), "long"),
    )


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.statistical(rate=1e-8, detects="an exact margin that is not the estimates' mean")
def test_sixty_four_tokens_are_exact_and_agree_with_sampling(models, name):
    case = long_case(models, name)
    (exact,) = score_pairs([case])
    assert (exact["method"], exact["stderr"]) == ("exact", None)
    (sampled,) = estimate_scores([case], Scheme(budget=Budget(64)), seed=1)
    assert abs(sampled.margin.value - exact["margin"]) < 8 * sampled.margin.stderr


@pytest.mark.parametrize("batch_tokens", [1, 100, 4096])
@pytest.mark.parametrize("name", BLOCKS)
def test_packed_is_block_by_block(models, name, batch_tokens):
    case = long_case(models, name, 18)
    rng = np.random.default_rng(2)
    requests = [(b, rng.random((5, b.length)) < 0.6) for side in SIDES for b in case.parts(side)]
    assert packs(case.policy)
    packed = elbo.terms(requests, case.policy, batch_tokens=batch_tokens)
    with torch.no_grad():
        for request, found in zip(requests, packed, strict=True):
            alone = case.policy.log_prob(*batching.collate([request], case.policy)).double().numpy()
            alone = alone[:, len(request[0].prompt) :]
            assert np.abs(found - alone).max() <= rounding.of_tokens(case.policy, alone)


def test_exact_gradient_is_that_of_the_sum_over_blocks(models):
    """Packed and in batches, against autograd through the blocks one by one."""
    case = long_case(models, "sdar", 10)
    case = Case(*(models("sdar", dtype="float64")[role] for role in ROLES), case.pair)
    chosen = [p for p in case.policy.parameters() if p.dim() == 2][:2]
    draws = complete_draws(case)
    with differentiating(case.policy, chosen):
        preference.backward(case, draws, PLAIN, batch_tokens=300)
        found = [p.grad.clone() for p in chosen]
        score = 0.0
        for draw in draws:
            for role in ROLES:
                model = case.model(role)
                value = model.log_prob(*batching.collate([(draw.response, draw.masks.mask)], model))
                weights = torch.tensor(PLAIN.weights(draw.masks))
                own = (value[:, len(draw.response.prompt) :] * weights).sum()
                score = score + 0.2 * draw.contrast.coefficient(role) * own
        expected = torch.autograd.grad(-torch.nn.functional.logsigmoid(score), chosen)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


def test_a_record_of_blocks_answers_without_its_models(models, tmp_path):
    case = long_case(models, "sdar", 9)
    fields = {"label": "blocks", "batch_tokens": 4096, **dict.fromkeys(("code", "versions", "device", "dtype"), "same")}
    with recorded([case], tmp_path, fields) as kept:
        known = score_pairs(kept)
    with replayed(tmp_path) as (cases, _):
        assert cases[0].block_length == 4
        assert score_pairs(cases) == known
