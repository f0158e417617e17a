"""The error model of all tolerances bounds what is measured, is not far above it, and is far below any mistake."""

import copy
import math
from itertools import product

import numpy as np
import pytest
import torch

from vrpo_theory import MODELS, rounding
from vrpo_theory.types import ROLES

NEURAL = ("llada", "masked_lm", "toy_llada")
PROMPT = 4


@pytest.fixture(scope="module", params=list(product(NEURAL, ROLES)), ids="-".join)
def model(request):
    name, role = request.param
    return getattr(MODELS[name].case(0), role)


def batch(model, rows, length=12, seed=0):
    """Random tokens and masks, (tokens, answer, mask, attention), without padding."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(model.vocabulary - 1, (rows, length), generator=generator)
    answer = (torch.arange(length) >= PROMPT).expand(rows, -1)
    return tokens, answer, answer & (torch.rand(tokens.shape, generator=generator) < 0.6), torch.ones_like(answer)


def padded(arguments, right):
    tokens, *flags = (torch.nn.functional.pad(x, (0, right)) for x in arguments)
    return tokens, *flags


@torch.no_grad()
def evaluations(model, arguments):
    """The same rows in one batch, one by one, in sevens, and padded."""
    width = arguments[0].shape[1]
    yield model.log_prob(*arguments)
    for size in (1, 7):
        parts = zip(*(x.split(size) for x in arguments), strict=True)
        yield torch.cat([model.log_prob(*part) for part in parts])
    yield model.log_prob(*padded(arguments, 9))[:, :width]


@torch.no_grad()
def test_float32_is_as_near_to_float64_as_the_model_says(model):
    """Not a hundred times nearer, so that the tolerance still sees what is a hundred times rounding."""
    arguments = batch(model, rows=14)
    exact = copy.deepcopy(model).double().log_prob(*arguments)
    bound = rounding.of_tokens(model, exact)
    errors = [float((value.double() - exact).abs().max()) for value in evaluations(model, arguments)]
    assert bound / 200 < max(errors) < bound / 2  # half, because two evaluations err


@torch.no_grad()
def test_sums_of_log_probabilities_are_as_near_to_float64_as_the_model_says(model):
    arguments = batch(model, rows=14)
    exact, found = (m.log_prob(*arguments).double().sum(1) for m in (copy.deepcopy(model).double(), model))
    bound = rounding.of_sum(model, int(arguments[2].sum(1).max()), arguments[0].shape[1])
    assert bound / 1000 < float((found - exact).abs().max()) < bound / 2


@torch.no_grad()
def test_batches_and_padding_are_within_it_in_every_precision(model):
    arguments = batch(model, rows=14, seed=1)
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        cast = copy.deepcopy(model).to(dtype)
        first, *others = evaluations(cast, arguments)
        bound = rounding.of_tokens(cast, first)
        for value in others:
            assert float((value - first).abs().max()) < bound


@torch.no_grad()
def test_mistakes_are_far_outside(model):
    """A block left out, padding seen, a matrix off by a hundredth: what tests in float32 are there to find."""
    arguments = batch(model, rows=6)
    right = model.log_prob(*arguments)
    bound = rounding.of_tokens(model, right)
    tokens, answer, mask, attention = padded(arguments, 9)
    unmasked = model.log_prob(tokens, answer, mask, torch.ones_like(attention))[:, : right.shape[1]]
    moved = copy.deepcopy(model)
    moved.proxy_parameters()[0].mul_(1.01)
    without = copy.deepcopy(model)
    blocks = next(m for m in without.modules() if isinstance(m, torch.nn.ModuleList))
    del blocks[0]
    for wrong in (unmasked, moved.log_prob(*arguments), without.log_prob(*arguments)):
        assert float((wrong - right).abs().max()) > 10 * bound


def gradient(model, arguments):
    grads = torch.autograd.grad(model.log_prob(*arguments).sum(), list(model.parameters()))
    return torch.cat([g.flatten() for g in grads]).double()


def test_gradients_are_as_near_to_float64_as_the_model_says(model):
    arguments, wide = batch(model, rows=5), copy.deepcopy(model).double()
    found, exact = (gradient(m, arguments) for m in (model, wide))
    bound = rounding.of_gradient(model, arguments[0].shape[1]) * float(exact.abs().max())
    assert float((found - exact).abs().max()) < bound / 2


def test_a_sum_in_another_order_is_within_it():
    """Ten thousand terms of either sign, in float32: in pairs, forwards, backwards and by size."""
    x = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    exact = math.fsum(x.tolist())
    bound = rounding.relative("float32", x.size, 1) * math.sqrt(x.size)  # the partial sums' size
    orders = x, x[::-1], x[np.argsort(np.abs(x))]
    sums = [np.cumsum(order, dtype=np.float32)[-1] for order in orders]
    assert all(abs(found - exact) < bound for found in (*sums, x.sum()))
    assert len(set(sums)) > 1


def test_half_precision_rounds_results_and_sums_in_float32():
    assert rounding.relative("bfloat16", 10**6, 0) == rounding.relative("float32", 10**6, 0)
    assert rounding.relative("bfloat16", 0, 4) == 2**16 * rounding.relative("float32", 0, 4)
    assert rounding.relative("float64", 100, 100) < 1e-13


def test_a_predictor_without_parameters_counts_as_one_table():
    class Table:
        dtype, vocabulary = torch.float64, 9

    assert rounding.of_model(Table()) == rounding.relative("float64", 9, 0)


@pytest.mark.parametrize("term", [1e-6, 0.3])
def test_a_variance_moves_by_no_more(term):
    """At worst all terms move away from the mean."""
    x = np.random.default_rng(1).standard_normal(50)
    moved = x + term * np.sign(x - x.mean())
    bound = rounding.of_variance(float(x.var()), term)
    assert 0.5 * bound < moved.var() - x.var() <= bound * (1 + 1e-9)
