"""Batches: within their budget, complete, halved when memory runs out, and the same for all models of a sweep."""

import numpy as np
import pytest
import torch

from vrpo_theory import MODELS, Response, batching, elbo
from vrpo_theory.exact.enumeration import all_masks

CASE = MODELS["markov"].case(0, 6)
REQUESTS = [
    (CASE.pair.chosen, all_masks(6)),
    (Response((1, 2, 3), (0, 1)), all_masks(2)),
    (CASE.pair.rejected, all_masks(6)[:3]),
    (Response((), (2,)), np.zeros((2, 1), bool)),
]


class Small:
    """A model on a device that holds so many tokens, and no more."""

    def __init__(self, model, tokens):
        self.model, self.tokens, self.device, self.sizes = model, tokens, model.device, []

    def log_prob(self, tokens, *rest):
        if tokens.numel() > self.tokens:
            raise torch.OutOfMemoryError("the device is full\ndetails")
        self.sizes.append(tokens.numel())
        return self.model.log_prob(tokens, *rest)


@pytest.mark.parametrize("budget", [1, 7, 30, 10**6])
def test_batches_hold_every_non_empty_mask_once_within_the_budget(budget):
    """Seen at https://github.com/EleutherAI/lm-evaluation-harness/issues/704,
    https://github.com/EleutherAI/lm-evaluation-harness/issues/1645.
    """
    seen = []
    for pieces in batching.batches(REQUESTS, budget):
        tokens = batching.collate(batching.select(REQUESTS, pieces), CASE.policy)[0]
        assert tokens.numel() <= max(budget, tokens.shape[1])
        seen += [(request, int(row)) for request, rows in pieces for row in rows]
    expected = [(r, k) for r, (_, mask) in enumerate(REQUESTS) for k in range(len(mask)) if mask[k].any()]
    assert sorted(seen) == expected


def test_a_sweep_is_what_each_model_says_alone():
    swept = elbo.sweep(REQUESTS, [CASE.policy, CASE.reference], batch_tokens=50)
    for model, values in zip((CASE.policy, CASE.reference), swept, strict=True):
        for a, b in zip(values, elbo.terms(REQUESTS, model), strict=True):
            assert (a == b).all()


def test_progress_counts_evaluations_of_all_models():
    done = []
    elbo.sweep(REQUESTS, [CASE.policy, CASE.reference], batch_tokens=50, progress=done.append)
    assert sum(done) == 2 * sum(int(mask.any(1).sum()) for _, mask in REQUESTS)


@pytest.mark.parametrize("tokens", [6, 20, 100])
def test_a_full_device_gets_halves_and_the_same_numbers(tokens):
    small = Small(CASE.policy, tokens)
    for a, b in zip(elbo.terms(REQUESTS, small), elbo.terms(REQUESTS, CASE.policy), strict=True):
        assert (a == b).all()
    assert max(small.sizes) <= tokens


def test_a_sequence_that_does_not_fit_is_an_error_that_says_so():
    with pytest.raises(MemoryError, match=r"a single sequence of 6 tokens does not fit on cpu \(the device is full\)"):
        elbo.terms(REQUESTS, Small(CASE.policy, 5))


def test_weights_are_laid_out_like_tokens():
    weights = [np.random.default_rng(0).random(mask.shape) * mask for _, mask in REQUESTS]
    laid = batching.spread(REQUESTS, weights)
    mask = batching.collate(REQUESTS, CASE.policy)[2].numpy()
    assert laid.shape == mask.shape
    assert (laid[mask] > 0).all()
    assert not laid[~mask].any()
