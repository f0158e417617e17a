"""Masked decoders against numbers, names and shapes of the releases' own code and checkpoints."""

import json
import math
import re
from collections import Counter

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vrpo_theory import Case, PreferencePair, Response, elbo, rounding, tabulate, true_margin
from vrpo_theory.checkpoints.decoders.loading import read_config, without_values
from vrpo_theory.checkpoints.decoders.modeling import built
from vrpo_theory.exact import elbo_of, log_likelihood_of, table_of
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.models import family_of
from vrpo_theory.types import Packed

from .conftest import FAMILIES, FULL, GOLDEN, told

BLOCKS = [name for name in FAMILIES if name not in FULL]
SIDES = [(role, side) for role in ("policy", "reference") for side in ("chosen", "rejected")]


@pytest.fixture(params=FAMILIES)
def name(request):
    return request.param


def close(found, expected, model):
    """To the rounding of float32, which norms and rotations of the official code have in float64 too."""
    expected = torch.as_tensor(expected)
    tolerance = min(rounding.of_tokens(model, expected), 1e-4)
    torch.testing.assert_close(torch.as_tensor(found), expected, atol=tolerance, rtol=0, check_dtype=False)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@torch.no_grad()
def test_logits(models, name, attention):
    pair, io = models(name, attn_implementation=attention), load_file(GOLDEN / name / "io.safetensors")
    for role, key in (("policy", "logits"), ("reference", "logits_reference_model")):
        close(pair[role].module(io["input_ids"]).logits, io[key], pair[role])
    real = io["attention_mask"]
    padded = pair["policy"].module(io["input_ids_padded"], real).logits
    close(padded[real.bool()], io["logits_padded"][real.bool()], pair["policy"])


def evaluated(models, name, role, response):
    """log p under every mask, (2^L, L), by a float64 model."""
    return elbo.terms([(response, all_masks(response.length))], models(name, dtype="float64")[role])[0]


@pytest.mark.parametrize("name", FULL)
def test_log_probabilities_of_all_masks(models, name):
    golden = told(name)
    for role, side in SIDES:
        found = evaluated(models, name, role, Response(golden["prompt"], golden[side]))
        close(found, golden["results"][f"{role}.{side}"]["logp_table"], models(name)[role])


@pytest.mark.parametrize("name", BLOCKS)
def test_log_probabilities_of_all_masks_of_a_block(models, name):
    """Given the clean prefix; what comes after a block is not seen, so it may be there or not."""
    for case in told(name)["cases"]:
        for role, side in SIDES:
            text = (*case["prompt"], *case[side])
            start = len(case["prompt"])
            for block in case["results"][f"{role}.{side}"]["blocks"]:
                end = start + block["size"]
                found = evaluated(models, name, role, Response(text[:start], text[start:end]))
                close(found, block["logp_table"], models(name)[role])
                rest = Response(text[:start], text[start:])
                masks = np.pad(all_masks(block["size"]), ((0, 0), (0, len(text) - end)))
                longer = elbo.terms([(rest, masks)], models(name, dtype="float64")[role])[0]
                np.testing.assert_allclose(longer[:, : block["size"]], found, rtol=0, atol=1e-12)
                start = end


@pytest.mark.parametrize("name", BLOCKS)
@torch.no_grad()
def test_two_copies(models, name):
    """x_t and x_0 in one sequence, as in training: the logits of both, and log p of what is masked."""
    model, io = models(name)["policy"], load_file(GOLDEN / name / "io.safetensors")
    length = io["x0"].shape[1]
    place, zeros = torch.arange(length), torch.zeros(length, dtype=torch.long)
    for row, (noisy, clean) in enumerate(zip(io["xt"], io["x0"], strict=True)):
        mask = noisy == model.mask_token_id
        packed = Packed(
            tokens=clean.repeat(2), mask=torch.cat([zeros.bool(), mask]), position=place.repeat(2),
            copy=torch.cat([zeros, 1 + place // 4]), clean=zeros.repeat(2),
            before=torch.cat([place, place + length * (place % 4 > 0)]) - 1,
        )  # fmt: skip
        seen = packed.seen(model.block_length)[None, None]
        shown = packed.tokens.masked_fill(packed.mask, model.mask_token_id)[None]
        logits = model.module.head(model.module.hidden(shown, packed.position[None], seen))[0]
        close(logits[:length], io["logits_x0"][row], model)
        close(logits[length:], io["logits_xt"][row], model)
        known = io["logits_xt"][row].log_softmax(-1).gather(1, clean[:, None])[:, 0]
        close(model.log_prob_packed(packed)[length:][mask], known[mask], model)


@pytest.mark.parametrize("name", BLOCKS)
def test_elbo_likelihood_and_margin_of_blocks(models, name):
    pair = models(name, dtype="float64")
    for golden in told(name)["cases"]:
        responses = [Response(golden["prompt"], golden[side]) for side in ("chosen", "rejected")]
        (exact,) = tabulate([Case(pair["policy"], pair["reference"], PreferencePair(*responses))])
        for role, side in SIDES:
            known = golden["results"][f"{role}.{side}"]
            assert math.isclose(elbo_of(exact, role, side), known["elbo_exact"], abs_tol=1e-4)
            assert math.isclose(log_likelihood_of(exact, role, side), known["loglik_exact"], abs_tol=1e-4)
        assert math.isclose(true_margin(exact), golden["margins"]["margin_elbo"], abs_tol=1e-4)


@pytest.mark.parametrize("name", FULL)
def test_elbo_likelihood_and_margin(models, name):
    golden, pair = told(name), models(name, dtype="float64")
    responses = [Response(golden["prompt"], golden[side]) for side in ("chosen", "rejected")]
    (exact,) = tabulate([Case(pair["policy"], pair["reference"], PreferencePair(*responses))])
    for role, side in SIDES:
        table, known = table_of(exact, role, side), golden["results"][f"{role}.{side}"]
        assert math.isclose(table.elbo, known["elbo_exact"], abs_tol=1e-4)
        assert math.isclose(table.log_likelihood, known["loglik_exact"], abs_tol=1e-4)
    assert math.isclose(true_margin(exact), golden["margins"]["margin_elbo"], abs_tol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_command_gives_the_margins(golden, name, tmp_path, vrpo):
    known = told(name).get("cases") or [told(name)]
    rows = [{f"{key}_ids": case[key] for key in ("prompt", "chosen", "rejected")} for case in known]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    folders, facts = golden(name), FAMILIES[name]
    given = [word for fact, value in facts.items() for word in (f"--{fact.replace('_', '-')}", value)]
    result = vrpo(
        "score", "--policy", folders["policy"], "--reference", folders["reference"], "--pairs",
        tmp_path / "pairs.jsonl", "--method", "exact", "--dtype", "float64", "--json", *given,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    for scored, case in zip(json.loads(result.stdout)["pairs"], known, strict=True):
        assert math.isclose(scored["margin"], case["margins"]["margin_elbo"], abs_tol=1e-4)
        assert math.isclose(scored["loglik_margin"], case["margins"]["margin_loglik"], abs_tol=1e-4)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/full_size*.json")), ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_names_shapes_and_counts_of_the_releases(path, tmp_path):
    known, given = json.loads(path.read_text()), FAMILIES[path.parent.name]
    # Of iLLaDA only the model card's sizes are known: two numbers that move no shape are made up.
    options = {"architectures": ["ILLaDAForCausalLM"]} | known["config"]
    options |= {"rms_norm_eps": options["rms_norm_eps"] or 1e-6, "rope_theta": options["rope_theta"] or 1e6}
    (tmp_path / "config.json").write_text(json.dumps(options))
    family = family_of(tmp_path, options).FAMILY
    config = read_config(family, tmp_path, family.facts(tmp_path, options, **given))
    tensors = without_values(built(family), config).state_dict()
    if config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    shapes = Counter((pattern(name), tuple(tensor.shape)) for name, tensor in tensors.items())
    expected = {(name, tuple(of["shape"])): of["count"] for name, of in known["tensor_patterns"].items()}
    assert shapes == expected
    assert len(tensors) == known["tensor_count"]
    assert sum(tensor.numel() for tensor in tensors.values()) == known["element_count"]


def pattern(name):
    """A tensor's name without the numbers of its layer and expert."""
    return re.sub(r"experts\.\d+", "experts.{e}", re.sub(r"layers\.\d+", "layers.{l}", name))
