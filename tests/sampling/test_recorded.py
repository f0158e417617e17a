"""A recorded model in a sweep: nothing is evaluated twice, and a resumed run is the unbroken one, bit for bit."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

import vrpo_theory
from vrpo_theory import (
    DESIGNS,
    MODELS,
    Budget,
    Case,
    Coupling,
    Response,
    Scheme,
    elbo,
    estimate_scores,
    gradient_variance,
)
from vrpo_theory.errors import InputError
from vrpo_theory.exact import tabulate, true_margin
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.store import Recorded, SampleStore

MANIFEST = {"batch_tokens": 30}
CASE = MODELS["markov"].case(0, 6)
REQUESTS = [
    (CASE.pair.chosen, all_masks(6)[10:50]),
    (Response((1, 2, 3), (0, 1)), all_masks(2)),
    (CASE.pair.rejected, all_masks(6)[:30]),
    (CASE.pair.chosen, all_masks(6)[[60, 12, 61, 60]]),
    (Response((), (2,)), np.zeros((2, 1), bool)),
]
MASKS = sum(int(mask.any(1).sum()) for _, mask in REQUESTS)
DISTINCT = MASKS - 2
"""60 stands twice in the fourth request; 12 is in the first already."""


class Sensitive:
    """A model that a row's company in its batch moves in the last digits, as it does float32 kernels; it counts."""

    def __init__(self, model, stop_after=None):
        self.model, self.stop_after, self.seen = model, stop_after, []
        self.device, self.fingerprint = model.device, model.fingerprint

    def log_prob(self, tokens, answer, mask, attention):
        if len(self.seen) == self.stop_after:
            raise KeyboardInterrupt
        self.seen += [mask.shape[0]]
        company = float((mask * torch.arange(1, mask.shape[1] + 1)).sum() % 101)
        return self.model.log_prob(tokens, answer, mask, attention) * (1 + 1e-13 * company)


def sweep(models, store, requests=REQUESTS, **options):
    return elbo.sweep(requests, [Recorded(model, store) for model in models], batch_tokens=30, **options)


def pair(**options):
    return Sensitive(CASE.policy, **options), Sensitive(CASE.reference, **options)


def same(a, b):
    return all(x.tobytes() == y.tobytes() for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True))


@pytest.fixture
def store(tmp_path):
    with SampleStore.open(tmp_path / "store", MANIFEST) as store:
        yield store


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    with SampleStore.open(tmp_path_factory.mktemp("unbroken"), MANIFEST) as store:
        return sweep(pair(), store)


def test_values_are_the_models(store):
    recorded = sweep((CASE.policy, CASE.reference), store)
    assert same(recorded, elbo.sweep(REQUESTS, [CASE.policy, CASE.reference]))
    assert store.count() == 2 * DISTINCT


def test_each_mask_is_evaluated_once_and_never_again(store):
    models, again = pair(), pair()
    first = sweep(models, store)
    assert [sum(model.seen) for model in models] == [DISTINCT, DISTINCT]
    assert same(sweep(again, store), first)
    assert not again[0].seen
    assert not again[1].seen


def test_the_model_of_these_tests_feels_its_batches(store, unbroken):
    """Other batches give other bits, and equal ones equal bits; a store changes batches only where masks repeat."""
    assert not same(elbo.sweep(REQUESTS, pair(), batch_tokens=60), unbroken)
    assert not same(elbo.sweep(REQUESTS, pair(), batch_tokens=30), unbroken)
    distinct = REQUESTS[:3]
    assert same(sweep(pair(), store, distinct), elbo.sweep(distinct, pair(), batch_tokens=30))


@pytest.mark.parametrize("policy_done", [0, 4, 13])
@pytest.mark.parametrize("reference_done", [0, 7, 100])
def test_a_sweep_that_was_cut_off_resumes_bit_for_bit(store, unbroken, policy_done, reference_done):
    """Either model may have some of its batches already; the other's do not change for it."""
    for model, done in ((CASE.policy, policy_done), (CASE.reference, reference_done)):
        try:
            sweep([Sensitive(model, stop_after=done)], store)
        except KeyboardInterrupt:
            assert done < 100
    left, models = 2 * DISTINCT - store.count(), pair()
    assert same(sweep(models, store), unbroken)
    assert sum(models[0].seen + models[1].seen) == left


def test_a_longer_job_evaluates_what_is_new(store):
    models = pair()
    sweep(models, store, REQUESTS[:2])
    done = store.count()
    progress = []
    sweep(models, store, progress=progress.append)
    assert sum(models[0].seen + models[1].seen) == 2 * DISTINCT
    assert sum(progress) == 2 * MASKS
    assert progress[0] == done // 2 + MASKS - DISTINCT


def test_recorded_plain_and_tabulated_models_share_a_sweep(store):
    tables = tabulate([CASE])[0].reference
    requests = [request for request in REQUESTS if request[0].length == 6]
    models = [Recorded(CASE.policy, store), CASE.reference, tables, Recorded(CASE.reference, store)]
    recorded, plain, table, again = elbo.sweep(requests, models, batch_tokens=30)
    assert same([recorded], [elbo.terms(requests, CASE.policy)])
    assert same([plain, table], [again, again])


def test_one_model_in_both_places_is_evaluated_once(store):
    model = Recorded(Sensitive(CASE.policy), store)
    one, other = elbo.sweep(REQUESTS, [model, model], batch_tokens=30)
    assert same([one], [other])
    assert sum(model.seen) == DISTINCT


def test_a_batch_that_is_not_finite_is_not_recorded(store):
    class Broken(Sensitive):
        def log_prob(self, *batch):
            value = super().log_prob(*batch)
            return value if len(self.seen) < 3 else value * np.nan

    model = Broken(CASE.policy)
    with pytest.raises(FloatingPointError, match="not finite"):
        sweep([model], store)
    assert store.count() == sum(model.seen[:2])


def test_the_store_alone_answers_or_counts_what_it_lacks(tmp_path):
    with SampleStore.open(tmp_path, MANIFEST) as store:
        sweep(pair(), store, REQUESTS[:3])
    with SampleStore.read(tmp_path, MANIFEST) as store:
        models = [Recorded(None, store, model.fingerprint) for model in (CASE.policy, CASE.reference)]
        found = elbo.sweep(REQUESTS[:2], models)
        assert found[0][1].any()
        with pytest.raises(
            InputError, match=f"lacks 2 evaluations of model {CASE.policy.fingerprint[:8]}: finish"
        ) as e:
            elbo.sweep(REQUESTS, models)
        assert "\n" not in str(e.value)
        with pytest.raises(InputError, match=f"lacks {DISTINCT} evaluations"):
            elbo.sweep(REQUESTS, [Recorded(None, store, "f" * 64)])
        with pytest.raises(AttributeError, match="has no parameters: it needs the model"):
            models[0].parameters()
        with pytest.raises(ValueError, match="needs known_as"):
            Recorded(None, store)


def test_a_recorded_case_is_a_case(store, tmp_path):
    """Scores, tables and gradients take it; the store then repeats scores and tables without the model."""
    case = Case(Recorded(CASE.policy, store), Recorded(CASE.reference, store), CASE.pair)
    design, budget = DESIGNS["iid_count"](), Budget(3, 2)
    alone = Case(*(Recorded(None, store, m.fingerprint) for m in (CASE.policy, CASE.reference)), CASE.pair)
    for coupling in (Coupling(), Coupling(False)):
        expected = estimate_scores([CASE], Scheme(design, budget=budget, coupling=coupling), seed=1)[0].score
        assert estimate_scores([case], Scheme(design, budget=budget, coupling=coupling), seed=1)[0].score == expected
        assert estimate_scores([alone], Scheme(design, budget=budget, coupling=coupling), seed=1)[0].score == expected
    assert true_margin(tabulate([case])[0]) == true_margin(tabulate([alone])[0]) == true_margin(tabulate([CASE])[0])
    expected = gradient_variance(CASE, Scheme(design, budget=budget), 3, seed=0)
    assert gradient_variance(case, Scheme(design, budget=budget), 3, seed=0) == expected
    assert case.policy.vocabulary == CASE.policy.vocabulary


def test_changed_weights_have_a_record_of_their_own(store):
    """Seen at https://github.com/EleutherAI/lm-evaluation-harness/issues/4063,
    https://github.com/allenai/open-instruct/pull/1868.
    """
    model = MODELS["markov"].case(3, 6).policy
    before = sweep([model], store)
    with torch.no_grad():
        model.logits[0, 0] += 0.5
    after = sweep([model], store)
    assert not same(before, after)
    assert same(after, [elbo.terms(REQUESTS, model)])
    assert store.count() == 2 * DISTINCT


TINY = Path(vrpo_theory.__file__).parent / "models" / "llada" / "tiny"


@pytest.mark.parametrize("done", [1, 4])
def test_float32_resumes_bit_for_bit(tmp_path, done):
    model = MODELS["llada"].load(TINY / "policy")
    responses = [Response((1, 2, 3), tuple(range(10, 10 + length))) for length in (9, 12, 17)]
    requests = [(r, np.random.default_rng(k).random((20, r.length)) < 0.5) for k, r in enumerate(responses)]

    def run(folder, model):
        with SampleStore.open(tmp_path / folder, MANIFEST) as store:
            return elbo.sweep(requests, [Recorded(model, store)], batch_tokens=100)

    class Stopped(Sensitive):
        def log_prob(self, *batch):
            super().log_prob(*batch)
            return self.model.log_prob(*batch)

    expected = run("unbroken", model)
    with pytest.raises(KeyboardInterrupt):
        run("broken", Stopped(model, stop_after=done))
    rest = Stopped(model)
    assert same(run("broken", rest), expected)
    assert 0 < sum(rest.seen) < 60


def test_no_global_generator_is_touched(store):
    def states():
        return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()

    before = states()
    sweep(pair(), store)
    assert states() == before
