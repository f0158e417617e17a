"""Random weights from an address."""

import math

import pytest
import torch

from vrpo_theory.data import toy
from vrpo_theory.models.llada import LLaDAConfig
from vrpo_theory.training import initial

CONFIG = {"d_model": 32, "n_heads": 4, "n_layers": 2, "mlp_hidden_size": 48, "mask_token_id": toy.MASK}
CONFIG |= {"vocab_size": len(toy.SIGNS), "max_sequence_length": 40, "init_std": 0.1, "include_qkv_bias": True}


def draw(seed):
    return dict(initial(LLaDAConfig(**CONFIG), seed).named_parameters())


def test_weights_are_a_function_of_the_seed():
    torch.manual_seed(0)
    before = torch.get_rng_state().clone()
    one, again, other = draw(0), draw(0), draw(1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(p, other[name]) for name, p in one.items() if p.dim() > 1)


def test_norms_are_one_and_biases_zero():
    for name, p in draw(0).items():
        if name.endswith("bias"):
            assert not p.any()
        elif p.dim() == 1:
            assert (p == 1).all()


@pytest.mark.statistical(rate=2e-9, detects="a standard deviation off by 7%, or a mean by 0.06 of one")
def test_matrices_are_normal():
    """About 20,000 values; six standard errors of the mean, and of the variance of a normal sample."""
    values = torch.cat([p.detach().flatten() for p in draw(0).values() if p.dim() > 1]).double() / CONFIG["init_std"]
    n = len(values)
    assert n > 15_000
    assert abs(float(values.mean())) < 6.1 / math.sqrt(n)
    assert abs(float(values.var()) - 1) < 6.1 * math.sqrt(2 / n)
    assert float(values.abs().max()) < 7
