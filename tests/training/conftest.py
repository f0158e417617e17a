"""A LLaDA that is small enough to be trained in a test, and what it is trained on."""

import copy
from functools import partial

import pytest

from vrpo_theory.data import toy
from vrpo_theory.models.llada import LLaDAConfig
from vrpo_theory.training import initial

SIZES = {
    "d_model": 16,
    "n_heads": 2,
    "n_layers": 1,
    "mlp_hidden_size": 24,
    "vocab_size": len(toy.SIGNS),
    "embedding_size": len(toy.SIGNS),
    "mask_token_id": toy.MASK,
    "eos_token_id": toy.EOS,
    "pad_token_id": toy.EOS,
    "max_sequence_length": 40,
    "rope_theta": 100.0,
    "init_std": 0.2,
}


@pytest.fixture(scope="session")
def _small():
    return initial(LLaDAConfig(**SIZES), 0)


@pytest.fixture
def model(_small):
    return copy.deepcopy(_small)


@pytest.fixture
def other():
    """A second model, to play the reference."""
    return initial(LLaDAConfig(**SIZES), 1)


@pytest.fixture
def responses():
    return partial(toy.supervised, 0, "train", 0.3)


@pytest.fixture
def pairs():
    return partial(toy.pair, 0, "train")
