"""A score is a function of pair, models, scheme and seed: not of batches, order, company, side or interruption."""

from dataclasses import replace

import pytest

from vrpo_theory import MODELS, PreferencePair, Scheme, estimate_scores, score_pairs
from vrpo_theory.store import Recorded, SampleStore

SCHEMES = ["n_t=8", "n_t=2, n_yt=3, groups=2", "default, n_t=4, groups=2", "systematic(), plain(), n_t=4, groups=3"]
NATS = {"tabular": 0.0, "markov": 0.0, "llada": 1e-5}
"""What another batch may move, per token: rounding where a network is evaluated, nothing elsewhere."""


def cases(name):
    """Three pairs of two lengths under one pair of models."""
    first = MODELS[name].case(0, 6)
    kinds = [first.pair, *(MODELS[name].case(seed, length).pair for seed, length in ((1, 6), (2, 4)))]
    pairs = [replace(pair, id=str(k)) for k, pair in enumerate(kinds)]
    return [replace(first, pair=pair) for pair in pairs[: 1 if name == "tabular" else 3]]


def margins(cases, text, **options):
    return [found.margin.value for found in estimate_scores(cases, Scheme.parse(text), seed=3, **options)]


def near(one, other, tolerance):
    return all(abs(a - b) <= 24 * tolerance for a, b in zip(one, other, strict=True))  # four ELBOs of six tokens


@pytest.mark.parametrize("name", NATS)
@pytest.mark.parametrize("text", SCHEMES)
def test_batches_order_and_sides_change_nothing(name, text):
    group = cases(name)
    whole = margins(group, text)
    for size in (1, 2, 7, 16, 64):
        longest = max(len(r.prompt) + r.length for c in group for r in (c.pair.chosen, c.pair.rejected))
        assert near(margins(group, text, batch_tokens=size * longest), whole, NATS[name]), size
    assert near(margins(group[::-1], text)[::-1], whole, NATS[name])
    assert near([margins([case], text)[0] for case in group], whole, NATS[name])
    swapped = [replace(c, pair=PreferencePair(c.pair.rejected, c.pair.chosen, c.pair.id)) for c in group]
    assert near([-x for x in margins(swapped, text)], whole, NATS[name])


@pytest.mark.parametrize("name", ["markov", "llada"])
@pytest.mark.parametrize("done", [0, 1, 2])
def test_what_is_resumed_is_what_is_not(name, done, tmp_path):
    """Bit for bit, at equal batches: some of the pairs were scored before the interruption."""
    group, text = cases(name), SCHEMES[1]

    def scored(folder, group):
        with SampleStore.open(folder, {}) as store:
            kept = {role: Recorded(group[0].model(role), store) for role in ("policy", "reference")}
            return margins([replace(case, **kept) for case in group], text, batch_tokens=20)

    unbroken = scored(tmp_path / "unbroken", group)
    scored(tmp_path / "broken", group[: done + 1])
    assert near(scored(tmp_path / "broken", group), unbroken, NATS[name])
    again = scored(tmp_path / "broken", group)
    assert again == scored(tmp_path / "broken", group)


@pytest.mark.parametrize("name", NATS)
def test_exact_scores_are_those_of_each_pair_alone(name):
    group = cases(name)
    together = [found["margin"] for found in score_pairs(group, method="exact")]
    alone = [score_pairs([case], method="exact")[0]["margin"] for case in group]
    assert near(together, alone, NATS[name])
