"""Whose random numbers an estimator uses, and that the auditor leaves the shared ones alone."""

import random

import numpy as np
import pytest
import torch

from vrpo_theory import audit
from vrpo_theory.auditing import EstimatorError
from vrpo_theory.auditing.estimator import Estimator
from vrpo_theory.auditing.generators import GeneratorUse, derived, probe, untouched
from vrpo_theory.auditing.zoo import ZOO


def of(draw):
    def estimator(model, prompt, answer, n, generator):
        return -float(draw(generator))

    with untouched():
        return probe(Estimator(estimator), 2, 4, None, seed=3)


def reseeded(generator):
    torch.manual_seed(5)
    return torch.rand(())


FRESH = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("draw", "use"),
    [
        (lambda g: torch.rand((), generator=g), GeneratorUse(True, False, (), True)),
        (lambda g: torch.rand(()), GeneratorUse(True, True, ("torch",), False)),
        (lambda g: np.random.random(), GeneratorUse(True, True, ("numpy",), False)),
        (lambda g: random.random(), GeneratorUse(True, True, ("random",), False)),
        (
            lambda g: torch.rand((), generator=g) + random.random() + np.random.random(),
            GeneratorUse(True, True, ("numpy", "random"), True),
        ),
        (lambda g: torch.rand((), generator=g) + 0 * random.random(), GeneratorUse(True, False, ("random",), True)),
        (reseeded, GeneratorUse(True, False, ("torch",), False)),
        (lambda g: 1.0, GeneratorUse(True, False, (), False)),
        (lambda g: FRESH.random(), GeneratorUse(False, False, (), True)),
    ],
)
def test_use_is_seen(draw, use):
    assert of(draw) == use


def states():
    return torch.random.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()


def test_shared_generators_are_left_as_they_were():
    before = states()
    audit(ZOO["global_generator"].estimator, lengths=[2], n=[1], toys=["rough"], calls=70)
    with pytest.raises(EstimatorError):
        audit(lambda *_: torch.rand(2) @ torch.rand(3), lengths=[2], n=[1], toys=["rough"])
    assert states() == before


def test_an_audit_repeats_whatever_the_shared_generators_hold():
    def biases(seed):
        torch.manual_seed(seed)
        name = "global_generator"
        found = audit(ZOO[name].estimator, lengths=[2], n=[1, 2], toys=["rough"], calls=70, seed=1)
        return [c.bias.value for c in found.cells]

    with untouched():
        assert biases(1) == biases(2)


def test_addresses_do_not_collide():
    assert len({derived(0), derived(1), derived(0, 1), derived(0, "a"), derived(0, 1, 2), derived(0, 12)}) == 6
