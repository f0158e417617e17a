"""Block diffusion: a response is a sequence of small responses, each with the clean text before it as its prompt."""

import itertools
import math

import numpy as np
import pytest
import torch

from vrpo_theory import MODELS, PreferencePair, Response, Scheme, batching, elbo, exact, packing, preference
from vrpo_theory.checkpoints.torch_model import TorchModel
from vrpo_theory.errors import InputError
from vrpo_theory.exact.blocks import joined_laws
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.exact.shared_levels import shared_covariance
from vrpo_theory.models.base import trainable
from vrpo_theory.planning import plan
from vrpo_theory.sampling import draw_pools, estimate_scores, replicate
from vrpo_theory.scoring import score_pairs
from vrpo_theory.types import ROLES, SIDES, Budget, Case, packs
from vrpo_theory.weightings.plain import PLAIN

BETA = 0.2
CASE = MODELS["block_tabular"].case(0, 8)
(ANSWERS,) = exact.tabulate([CASE])
PROFILES = exact.block_profiles(ANSWERS)


@pytest.mark.parametrize(("prompt", "length", "widths"), [
    (0, 8, [4, 4]), (2, 8, [2, 4, 2]), (3, 1, [1]), (4, 5, [4, 1]), (7, 2, [1, 1]), (5, 3, [3]),
])  # fmt: skip
def test_blocks_are_counted_from_the_start_of_the_prompt(prompt, length, widths):
    response = Response(tuple(range(prompt)), tuple(range(100, 100 + length)))
    blocks = response.blocks(4)
    assert [block.length for block in blocks] == widths
    for block in blocks:
        start = len(block.prompt)
        assert block.prompt + block.ids == (response.prompt + response.ids)[: start + block.length]
    assert sum((block.ids for block in blocks), ()) == response.ids
    assert response.blocks(None) == (response,)


def terms(model, block, masks):
    """Token terms of single masks, asked of the model alone, without any engine."""
    rows = model.log_prob(*batching.collate([(block, masks)], model)).detach().numpy()
    return rows[:, len(block.prompt) :]


def brute_force(model, block):
    """ELBO and log-likelihood of one block from all its orders of unmasking."""
    orders, paths, bound = list(itertools.permutations(range(block.length))), [], []
    for order in orders:
        masked, path = np.ones(block.length, bool), []
        for token in order:
            path.append(terms(model, block, masked[None])[0, token])
            masked[token] = False
        paths.append(math.fsum(path))
        bound.append(math.fsum(path))
    return math.fsum(bound) / len(orders), np.logaddexp.reduce(paths) - math.log(len(orders))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("role", ROLES)
def test_elbo_and_likelihood_are_those_of_all_orders_within_blocks(role, side):
    """The ELBO is the mean over orders of the log-probability of each, the likelihood the mean of the probability."""
    model, blocks = CASE.model(role), CASE.pair.side(side).blocks(4)
    expected = np.sum([brute_force(model, block) for block in blocks], axis=0)
    assert exact.elbo_of(ANSWERS, role, side) == pytest.approx(expected[0], rel=1e-12)
    assert exact.log_likelihood_of(ANSWERS, role, side) == pytest.approx(expected[1], rel=1e-12)


def test_a_block_sees_what_lies_before_it_and_nothing_behind():
    model, response = CASE.policy, CASE.pair.chosen
    first = response.blocks(4)[0]
    mask = np.ones((1, first.length), bool)
    alone = terms(model, first, mask)
    within = np.zeros((1, response.length), bool)
    within[:, : first.length] = True
    assert (terms(model, response, within)[:, : first.length] == alone).all()


def test_a_case_of_two_kinds_of_blocks_is_refused():
    other = MODELS["tabular"].case(0, 8)
    mixed = Case(CASE.policy, other.reference, CASE.pair)
    with pytest.raises(InputError, match="blocks of 4 and None"):
        score_pairs([mixed])


def test_exact_scores_have_no_error_and_say_what_they_cost():
    (found,) = score_pairs([CASE])
    assert found["method"] == "exact"
    assert found["stderr"] is None
    assert found["margin"] == exact.true_margin(ANSWERS)
    assert exact.cost([CASE]).startswith("up to 15 masks per block and model")


@pytest.mark.parametrize("length", [64, 130])
def test_exact_at_any_length(length):
    case = MODELS["block_tabular"].case(1, length)
    (found,) = score_pairs([case])
    assert found["method"] == "exact"
    sampled = estimate_scores([case], Scheme(budget=Budget(64)), seed=0)[0]
    assert abs(sampled.margin.value - found["margin"]) < 8 * sampled.margin.stderr


SHARINGS = ["", ", shared=False", ", blocks_shared=True", ", levels_shared=True"]
SPREAD = [", blocks_shared='cyclic'", ", blocks_shared='stratified'"]


def by_hand(sharing):
    """Variance of the margin at one timestep: sum over all timesteps of one uniform where they are shared."""
    scheme = Scheme.parse(f"iid_count(), plain(), n_t=1{sharing}")
    parts = []
    for contrast in scheme.coupling.contrasts:
        tables = zip(*(exact.tables_of(ANSWERS, role, contrast.side) for role in ROLES), strict=True)
        for pair in tables:
            sums = sum(c * table.sums for c, table in zip(contrast.coefficients, pair, strict=True))
            length, counts = pair[0].response.length, pair[0].counts
            levels = [sums[counts == k] * length / k for k in range(1, length + 1)]
            parts.append((contrast, levels))
    within = sum(np.mean([v.var() for v in levels]) for _, levels in parts)
    key = {"": id, ", shared=False": id, ", blocks_shared=True": lambda p: p[0], ", levels_shared=True": lambda p: 0}
    grid = (np.arange(4) + 0.5) / 4  # blocks have 2 or 4 tokens, so levels are constant between quarters
    groups = {}
    for part in parts:
        at = np.array([part[1][int(u * len(part[1]))].mean() for u in grid])
        groups.setdefault(key[sharing](part), []).append(at)
    return within + sum(np.sum(group, axis=0).var() for group in groups.values())


@pytest.mark.parametrize("sharing", SHARINGS)
def test_exact_variance_is_that_of_every_draw(sharing):
    expected = by_hand(sharing)
    scheme = Scheme.parse(f"iid_count(), plain(), n_t=1{sharing}")
    assert exact.margin_variance(PROFILES, scheme) == pytest.approx(expected, rel=1e-11)
    moments = exact.margin_moments(PROFILES, scheme)
    assert moments.v_time + moments.v_mask == pytest.approx(expected, rel=1e-11)
    assert moments.mean == pytest.approx(exact.true_margin(ANSWERS), rel=1e-11)


def test_law_of_the_score_is_the_convolution_over_blocks():
    scheme = Scheme(budget=Budget(2))
    law = exact.score_law(ANSWERS, scheme, BETA)
    assert law.mean == pytest.approx(BETA * exact.true_margin(ANSWERS), rel=1e-10)
    assert law.variance == pytest.approx(BETA**2 * exact.margin_variance(PROFILES, scheme), rel=1e-4)
    with pytest.raises(ValueError, match="not independent"):
        exact.score_law(ANSWERS, Scheme.parse("iid_count(), plain(), blocks_shared=True"), BETA)


def test_loss_estimators_agree_with_the_law():
    scheme = Scheme(budget=Budget(2))
    law = exact.loss_moments(exact.score_law(ANSWERS, scheme, BETA), BETA * exact.true_margin(ANSWERS))
    found = exact.loss_estimator(ANSWERS, scheme, BETA)
    assert found.bias == pytest.approx(law.bias, abs=law.error + 1e-9)
    assert found.variance == pytest.approx(law.variance, rel=1e-3)


def test_what_is_not_worked_out_for_blocks_is_refused():
    with pytest.raises(InputError, match="2048 masks, got 2832"):
        exact.gradient_grams(MODELS["block_tabular"].case(0, 380))
    with pytest.raises(InputError, match="3 blocks, expected one"):
        exact.profiles(ANSWERS)


def test_shared_blocks_draw_one_timestep():
    scheme = Scheme.parse("iid_count(), plain(), n_t=32, blocks_shared=True")
    draws = [d for d in scheme.draw(CASE, seed=5) if d.contrast.side == "chosen"]
    share = [d.masks.level / d.response.length for d in draws]
    assert (np.ceil(share[1] * 2) / 2 == share[0]).all()
    own = [d for d in Scheme(budget=Budget(32)).draw(CASE, seed=5) if d.contrast.side == "chosen"]
    assert (np.ceil(own[1].masks.level / 2) != own[0].masks.level).any()


def spread_uniforms(how, places):
    """Every uniform of three blocks at the middles of ``places`` cells, with the probability of each."""
    middles = (np.arange(places) + 0.5) / places
    if how == "cyclic":
        return [([(u + b / 3) % 1 for b in range(3)], 1 / places) for u in middles]
    strata = middles.reshape(3, -1)
    orders, share = list(itertools.permutations(range(3))), 1 / 6 / (places // 3) ** 3
    return [(u, share) for order in orders for u in itertools.product(*(strata[k] for k in order))]


@pytest.mark.parametrize("design", ["iid_count", "power_strata"])
@pytest.mark.parametrize("how", ["cyclic", "stratified"])
def test_variance_of_blocks_that_spread_their_counts_is_that_of_every_uniform(design, how):
    """Blocks of 2, 4 and 2 tokens at one timestep: counts change at quarters, strata at thirds, powers in between."""
    scheme = Scheme.parse(f"{design}, plain(), n_t=1, blocks_shared='{how}'")
    laws = [joined_laws(scheme.design, (n,), Budget(1))[0] for n in (2, 4, 2)]
    means = [np.random.default_rng(k).normal(size=law.level.shape) for k, law in enumerate(laws)]
    found = shared_covariance(laws, means, how)
    prob, value = [], []
    for uniforms, share in spread_uniforms(how, 12 if how == "stratified" else 1200):
        at = [np.searchsorted(np.cumsum(law.prob), u, side="right") for law, u in zip(laws, uniforms, strict=True)]
        prob.append(share)
        value.append([law.conditional(m)[k] for law, m, k in zip(laws, means, at, strict=True)])
    covariance = np.cov(np.array(value).T, aweights=prob, bias=True)
    expected = (covariance.sum() - np.trace(covariance)) / 2
    exact_cells = design == "iid_count"
    assert found == pytest.approx(expected, abs=1e-12 if exact_cells else 0.02)


@pytest.mark.parametrize("text", ["iid_time(eps=0.1), plain(), n_t=4", "without_replacement(), plain(), n_t=4"])
def test_a_spread_whose_variance_is_not_known_is_refused(text):
    with pytest.raises(ValueError, match=r"Monte Carlo|sample"):
        exact.margin_variance(PROFILES, Scheme.parse(f"{text}, blocks_shared='stratified'"))
    with pytest.raises(ValueError, match="give one of the two"):
        Scheme.parse("n_t=4, levels_shared=True, blocks_shared='cyclic'")
    with pytest.raises(ValueError, match="'cyclic' or 'stratified', got 'other'"):
        Scheme.parse("n_t=4, blocks_shared='other'")


@pytest.mark.parametrize("sharing", SHARINGS + SPREAD)
@pytest.mark.statistical(rate=1e-9, detects="a mean or variance of draws that the exact engine does not have")
def test_draws_have_the_exact_mean_and_variance(sharing):
    scheme = Scheme.parse(f"iid_count(), plain(), n_t=2{sharing}")
    assert Scheme.parse(str(scheme)) == scheme == Scheme.from_document(scheme.document())
    found = np.array([m.mean for m in replicate(ANSWERS, scheme, 400, seed=2)])
    variance = exact.margin_variance(PROFILES, scheme)
    assert abs(found.mean() - exact.true_margin(ANSWERS)) < 6.5 * math.sqrt(variance / len(found))
    square = (found - exact.true_margin(ANSWERS)) ** 2
    assert abs(square.mean() - variance) < 6.5 * square.std() / math.sqrt(len(found))


def test_a_pool_adds_the_blocks_of_a_pass():
    (pool,) = draw_pools([CASE], Budget(8, 4), seed=3)
    assert pool.terms["chosen"].shape == (8, 4, 2)
    rows = [pool.terms[side] @ np.array([1, -1]) for side in SIDES]
    assert pool.margin == pytest.approx(rows[0].mean() - rows[1].mean(), rel=1e-12)


def test_the_planner_sees_blocks():
    found = plan([CASE], pilot=64, budget=8)
    assert found.recommended.variance.value > 0
    assert any("at most 15 forward passes" in note for note in plan([CASE], pilot=64, budget=16).notes)


def test_gradient_of_the_exact_score():
    """Two passes over every mask give autograd's gradient of the exact loss, in batches of any size."""
    policy = trainable(CASE.policy)
    table = {}
    for side in SIDES:
        value = 0
        for block in CASE.parts(side):
            masks = all_masks(block.length)[1:]
            log_prob = policy.log_prob(*batching.collate([(block, masks)], policy)).sum(1)
            level = masks.sum(1)
            share = [1 / (math.comb(block.length, k) * k) for k in level]
            value = value + (log_prob * torch.tensor(share)).sum()
        table[side] = value
    reference = [exact.elbo_of(ANSWERS, "reference", side) for side in SIDES]
    score = BETA * (table["chosen"] - reference[0] - table["rejected"] + reference[1])
    expected = torch.autograd.grad(-torch.nn.functional.logsigmoid(score), list(policy.parameters()))
    for batch_tokens in (1, 64, 4096):
        policy.zero_grad()
        found = preference.backward(CASE, exact.complete_draws(CASE), PLAIN, beta=BETA, batch_tokens=batch_tokens)
        assert found == pytest.approx(score.item(), rel=1e-12)
        for p, g in zip(policy.parameters(), expected, strict=True):
            assert torch.allclose(p.grad, g, rtol=1e-11, atol=1e-14)
    policy.zero_grad()


class Sums(TorchModel):
    """A model whose answers are a function of exactly the pairs of place and token that a column sees."""

    vocabulary, block_length = 4, 4

    def __init__(self, width=64):
        super().__init__()
        rng = np.random.default_rng(0)
        self.weight = torch.nn.Parameter(torch.tensor(rng.random((width, 5))))

    @property
    def fingerprint(self):
        return "0" * 64

    def _values(self, seen, position, shown, tokens):
        total = (seen * self.weight[position, shown]).sum(-1)
        return -((total * (1 + tokens)).cos() ** 2) - 1

    def log_prob(self, tokens, answer, mask, attention):
        position = torch.arange(tokens.shape[1])
        block, shown = position // 4, torch.where(mask, 4, tokens)
        seen = attention[:, None] & (block[:, None] >= block)
        return torch.where(mask, self._values(seen, position, shown[:, None], tokens), 0)

    def log_prob_packed(self, packed):
        shown = torch.where(packed.mask, 4, packed.tokens)
        values = self._values(packed.seen(4), packed.position, shown, packed.tokens)
        earlier = packed.before >= 0
        assert (packed.position[earlier] - 1 == packed.position[packed.before[earlier]]).all()
        assert not packed.mask[packed.before[earlier & (packed.position % 4 == 0)]].any()
        return torch.where(packed.mask, values, 0)


def requests(pair, rows):
    rng = np.random.default_rng(1)
    return [(b, rng.random((rows, b.length)) < 0.6) for side in SIDES for b in pair.side(side).blocks(4)]


@pytest.mark.parametrize("batch_tokens", [1, 24, 60, 4096])
def test_packing_changes_no_answer(batch_tokens):
    model, rng = Sums(), np.random.default_rng(3)
    assert packs(model)
    prompt = tuple(rng.integers(4, size=6).tolist())
    chosen, rejected = (Response(prompt, tuple(rng.integers(4, size=n).tolist())) for n in (17, 12))
    asked = requests(PreferencePair(chosen, rejected), 7)
    packed = elbo.terms(asked, model, batch_tokens=batch_tokens)
    for (block, mask), found in zip(asked, packed, strict=True):
        rows = model.log_prob(*batching.collate([(block, mask)], model)).detach().numpy()
        np.testing.assert_allclose(found, rows[:, len(block.prompt) :], rtol=1e-12)


@pytest.mark.parametrize("batch_tokens", [24, 60, 4096])
def test_packed_batches_hold_every_mask_once_within_the_budget(batch_tokens):
    pair = CASE.pair
    asked = requests(pair, 9)
    seen = {(r, int(k)) for r, (_, mask) in enumerate(asked) for k in np.flatnonzero(mask.any(1))}
    for pieces in packing.packs(asked, batch_tokens, 4):
        part = batching.select(asked, pieces)
        layout = packing._Layout(4)
        for request in part:
            layout.add(*request)
        assert sum(x.shape[1] for x in layout.columns) <= batch_tokens or len(pieces) == 1 == len(pieces[0][1])
        for r, rows in pieces:
            for k in rows.tolist():
                seen.remove((r, k))
    assert not seen


def test_packing_needs_fewer_tokens_than_two_copies():
    """Blocks of 4, 128 tokens: 15 passes over text and noise read twice the text each; packed, it is read once."""
    response = Response(tuple(range(8)), tuple(range(128)))
    asked = [(block, all_masks(block.length)[1:]) for block in response.blocks(4)]
    (pieces,) = packing.packs(asked, 10**6, 4)
    layout = packing._Layout(4)
    for request in batching.select(asked, pieces):
        layout.add(*request)
    packed = sum(x.shape[1] for x in layout.columns)
    assert packed == 132 + 15 * 4 * 32
    assert 1.5 * packed <= 15 * 2 * 136
