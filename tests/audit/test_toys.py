"""The toys: exact values by another route, padding, and what they remember."""

import itertools
import math

import numpy as np
import pytest
import torch
from numpy.polynomial.legendre import leggauss

from vrpo_theory import MODELS
from vrpo_theory.auditing.heavy import excess
from vrpo_theory.auditing.mistakes import known, mean_of
from vrpo_theory.auditing.predictor import EOS, MASK
from vrpo_theory.auditing.toys import toy
from vrpo_theory.auditing.toys.tables import COSTS
from vrpo_theory.couplings import Contrast
from vrpo_theory.exact import contrast_moments, enumerate_masks, profile
from vrpo_theory.exact.enumeration import all_masks

QUICK = ("copied", "rough", "long_tailed")
CELLS = [(name, length) for name in QUICK for length in (1, 2, 5)]


def by_hand(subject, terms=None):
    """(l, S) of every mask, through the predictor's logits alone; ``terms`` picks tokens to score for a mask."""
    prompt, answer = torch.tensor(subject.prompt), torch.tensor(subject.answer)
    for chosen in itertools.product([False, True], repeat=subject.length):
        mask = torch.tensor(chosen)
        ids = torch.cat([prompt, answer.masked_fill(mask, MASK)])[None]
        log_prob = subject.predictor(ids).logits.double().log_softmax(-1)[0, len(prompt) :]
        each = log_prob[torch.arange(subject.length), answer]
        yield sum(chosen), float((each * (mask if terms is None else terms(mask))).sum())


def count_mean(rows, length):
    """E (L/l) S over l uniform on 1..L."""
    by_count = {k: [s for count, s in rows if count == k] for k in range(length + 1)}
    return math.fsum(math.fsum(by_count[k]) / len(by_count[k]) / k for k in range(1, length + 1))


@pytest.mark.parametrize(("name", "length"), CELLS)
def test_the_elbo_is_what_the_predictor_says(name, length):
    subject = toy(name, length)
    rows = list(by_hand(subject))
    assert subject.elbo == pytest.approx(count_mean(rows, length), abs=1e-12)
    assert subject.reach == pytest.approx(max(-length / k * s for k, s in rows if k), rel=1e-12)
    assert subject.elbo < 0
    assert subject.answer[-1] == EOS


@pytest.mark.parametrize(("name", "length"), CELLS)
def test_the_variance_is_the_exact_engine_s(name, length):
    subject = toy(name, length)
    moments = contrast_moments(profile(subject.table, subject.table), Contrast("chosen", (1.0, 0.0)))
    assert subject.variance == pytest.approx(moments.v_time + moments.v_mask, rel=1e-9, abs=1e-12)
    assert moments.mean == pytest.approx(subject.elbo, rel=1e-12)


def test_the_trained_toy_is_the_packaged_model_scaled():
    subject = toy("trained", 2)
    (found,) = enumerate_masks([subject.table.response], [MODELS["llada"].tiny("policy")])
    raw = found[subject.table.response].log_prob
    assert subject.table.log_prob == pytest.approx(raw * 0.3 / -raw.min(), abs=2e-6)


def test_terms_are_small():
    for name in COSTS:
        assert 0.2 < -toy(name, 2).table.log_prob.min() < 0.3 + 1e-5


@pytest.mark.parametrize("left", [0, 2])
def test_padding_changes_nothing(left):
    subject = toy("rough", 5)
    whole = torch.tensor([subject.prompt + subject.answer]).repeat(3, 1)
    whole[0, 4] = whole[1, 6:] = MASK
    plain = subject.predictor(whole).logits
    pads = torch.full((3, 2), EOS)
    ids = torch.cat([pads, whole] if left else [whole, pads], 1)
    attention = torch.ones_like(ids)
    attention[:, :left] = 0
    attention[:, left + 8 :] = 0
    subject.predictor.trace.take()
    padded = subject.predictor(ids, attention_mask=attention).logits
    assert torch.equal(padded[:, left : left + 8], plain)
    assert not padded[:, left + 8 :].any()
    seen = subject.predictor.trace.take()
    assert (seen.rows, seen.altered, seen.prompt_masked) == (3, 0, 0)


def test_what_was_asked_is_remembered():
    subject = toy("rough", 2)
    right = torch.tensor([subject.prompt + subject.answer])
    subject.predictor.trace.take()

    def seen(ids, attention=None):
        subject.predictor(ids, attention)
        trace = subject.predictor.trace.take()
        return np.concatenate(trace.counts).tolist(), trace.prompt_masked, trace.altered

    masked = right.clone()
    masked[0, 4] = MASK
    assert seen(torch.cat([right, masked])) == ([0, 1], 0, 0)
    masked[0, 0] = MASK
    assert seen(masked) == ([1], 1, 0)
    other = right.clone()
    other[0, 3] += 1
    assert seen(other) == ([0], 0, 1)
    assert seen(right[:, 3:])[2] == 1  # the prompt is missing
    assert seen(torch.cat([right, right[:, -1:]], 1))[2] == 1  # padding without an attention mask is context
    attention = torch.ones_like(right)
    attention[0, -1] = 0
    assert seen(right, attention)[2] == 1  # the end of sequence was taken for padding
    with pytest.raises(ValueError, match="must be"):
        subject.predictor(right[0])


def test_a_damaged_context_costs_more():
    subject = toy("rough", 2)
    ids = torch.tensor([subject.prompt + subject.answer])
    ids[0, 3:] = MASK
    worse = ids.clone()
    worse[0, 0] = MASK
    terms = [subject.predictor(x).logits.double().log_softmax(-1)[0, 3, subject.answer[0]] for x in (ids, worse)]
    assert float(terms[0] - terms[1]) == pytest.approx(0.2, abs=1e-5)


def predictions(name, subject, n=4):
    """What the mistakes of that name predict, by what they say."""
    return {m.says: mean_of(m, subject, n, n) for m in known() if m.name == name}


def test_predicted_means_by_hand():
    """Each on the rough toy with L = 5, through the predictor's logits and other formulas than the predictions'."""
    subject, length = toy("rough", 5), 5
    rows = list(by_hand(subject))
    by_count = {k: np.mean([s for count, s in rows if count == k]) for k in range(length + 1)}
    everything = list(by_hand(subject, lambda mask: torch.ones_like(mask)))
    last = torch.arange(length) < length - 1
    expected = {
        "visible-scored": [count_mean(everything, length)],
        "no-weight": [np.sum([by_count[k] for k in range(1, length + 1)]) / count for count in (5, 6)],
        "all-masked": [by_count[length]],
        "count-from-zero": [sum(by_count[k] / k for k in range(1, length))],
        "count-plus-one-weight": [1.2 * subject.elbo],
        "at-least-one-mask": [(5 * by_count[1] + sum(5 / k * by_count[k] for k in range(1, 6))) / 6],
        "floor-quadrature": [
            np.mean([by_count[int(5 * t)] / t for t in (0.125, 0.375, 0.625, 0.875)]),
            sum(w / 2 * by_count[int(5 * (1 + x) / 2)] * 2 / (1 + x) for x, w in zip(*leggauss(4), strict=True)),
        ],
        "rounded-ends": [
            sum(by_count[k] / k for k in range(1, length)) + by_count[length] / length / 2,
            5 / 4 * (by_count[1] / 2 + sum(by_count[k] / k for k in range(2, length)) + by_count[length] / 10),
        ],
        "eos-dropped": [count_mean(list(by_hand(subject, lambda mask: mask & last)), length)],
        "eos-as-context": [count_mean(rows[::2], length - 1)],  # the last bit of the product is the last token
        "redrawn-empty-mask": [1.2 * subject.elbo],
        "wrong-sign": [-subject.elbo],
        "constant-factor": [subject.elbo * factor for factor in (1.5, 0.5, 2.0, 1.25, 0.75)],
        "padded-length": [subject.elbo * f / padded for padded in (8, 8, 16, 32, 64) for f in (5, 1)],
        "per-token-mean": [subject.elbo / 5],
        "prompt-in-length": [subject.elbo * 8 / 5, subject.elbo * 5 / 8, subject.elbo / 8],
    }
    for name, values in expected.items():
        assert list(predictions(name, subject).values()) == pytest.approx(values, rel=1e-6), name


def test_floors_are_predicted_by_quadrature():
    """E over a fine grid of t, mask by mask."""
    subject = toy("long_tailed", 5)
    rows = list(by_hand(subject))
    t = (np.arange(200_000) + 0.5) / 200_000

    def at(level):
        return sum(s * level**k * (1 - level) ** (5 - k) for k, s in rows)

    (floor,) = {m.says for m in known() if m.name == "clamped-weight" and "about 0.2)" in m.says}
    assert predictions("clamped-weight", subject)[floor] == pytest.approx(
        np.mean(at(t) / np.maximum(t, 0.1993)), rel=2e-3
    )


def test_other_times_are_predicted_by_quadrature():
    """E over a fine grid of t: clipped at both ends, and weighted otherwise."""
    subject = toy("rough", 5)
    rows = list(by_hand(subject))
    t = (np.arange(20_000) + 0.5) / 20_000

    def at(level):
        return sum(s * level**k * (1 - level) ** (5 - k) for k, s in rows)

    inner = 0.3 + 0.5 * t
    (clipped,) = {m.says for m in known() if m.name == "clipped-time" and "[0.3, 0.8]" in m.says}
    assert predictions("clipped-time", subject)[clipped] == pytest.approx(np.mean(at(inner) / inner), rel=1e-6)
    weighted = list(predictions("wrong-time-weight", subject).values())
    assert weighted == pytest.approx([np.mean(at(t) * t), np.mean(at(t) * (1 - t))], rel=1e-6)


def test_the_log_of_the_mean_of_exponentials_is_predicted():
    """Over all pairs of masks: quadrature loses nothing that shows."""
    subject = toy("rough", 5)
    rows = [(k, s) for k, s in by_hand(subject) if k]
    prob = np.array([1 / 5 / math.comb(5, k) for k, _ in rows])
    value = np.array([5 / k * s for k, s in rows])
    pairs = prob @ np.log((np.exp(value)[:, None] + np.exp(value)) / 2) @ prob
    assert predictions("log-mean", subject, n=2).popitem()[1] == pytest.approx(pairs, abs=1e-6)
    assert predictions("log-mean", subject, n=1).popitem()[1] == pytest.approx(subject.elbo, abs=1e-6)


@pytest.mark.parametrize("length", [11, 12])
def test_long_answers_have_closed_forms(length):
    """Against every mask of eleven or twelve tokens."""
    subject = toy("gaps", length)
    masked = all_masks(length)
    ids = torch.tensor(subject.prompt + subject.answer).repeat(len(masked), 1)
    ids[:, 3:][torch.from_numpy(masked)] = MASK
    subject.predictor.trace.take()
    logits = subject.predictor(ids).logits.double().log_softmax(-1)[:, 3:]
    terms = logits.gather(-1, torch.tensor(subject.answer).expand(len(masked), -1)[..., None])[..., 0].numpy()
    sums, counts = (terms * masked).sum(1), masked.sum(1)
    seen = subject.predictor.trace.take()
    assert np.concatenate(seen.sums) == pytest.approx(sums, abs=1e-4)
    assert (np.concatenate(seen.counts) == counts).all()
    means = np.bincount(counts, sums) / np.bincount(counts)
    assert subject.mean_sums("masked") == pytest.approx(means, abs=1e-4)
    spared = ~masked[:, -1]
    size = np.maximum(np.bincount(counts[spared], minlength=length + 1), 1)
    last = np.bincount(counts[spared], sums[spared], length + 1) / size
    assert subject.mean_sums("last visible") == pytest.approx(last, abs=1e-4)
    assert subject.elbo == pytest.approx(math.fsum(means[1:] / np.arange(1, length + 1)), abs=1e-4)
    assert (-length * sums[1:] / counts[1:]).max() < subject.reach
    assert np.isnan(subject.mean_sums("visible")).all()


@pytest.mark.statistical(rate=1e-9, detects="a mean of the cut values off by 0.02 nats")
@pytest.mark.parametrize("n", [1, 3])
def test_what_lies_beyond_the_range(n):
    """The time form's values, cut off at the low end, against draws; six standard errors of bounded values."""
    subject, rng = toy("rough", 5), np.random.default_rng(0)
    low, draws = -2 * subject.reach, 60_000
    t = rng.random((draws, n))
    code = (rng.random((draws, n, 5)) < t[..., None]) @ (2 ** np.arange(5))
    cut = np.maximum((subject.table.sums[code] / t).mean(1), low)
    beyond, slack = excess(subject, n, low)
    stderr = cut.std() / math.sqrt(draws)
    assert slack == 0
    assert abs(cut.mean() - subject.elbo - beyond) < 6.2 * stderr < 0.02
    assert beyond > 3 * stderr or n > 1


def test_what_lies_beyond_the_range_of_a_long_answer_is_bounded():
    subject = toy("gaps", 70)
    middle, slack = excess(subject, 4, -2 * subject.reach)
    assert 0 < middle == slack < 0.15 * 0.01 * 70
