"""Toys whose parameters are not the package's, drawn by seed: chains, tables, shocks; and what plans cost on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import Scheme, exact, preference
from vrpo_theory.exact.moments import Profiles
from vrpo_theory.models.markov import Markov, _walk
from vrpo_theory.models.shock import Shock
from vrpo_theory.models.tabular import Tabular, distinct
from vrpo_theory.planning import Cost, Planner, candidates, run_pilot
from vrpo_theory.planning.search_space import follows_from_profiles
from vrpo_theory.types import Case, PreferencePair, Response, Side
from vrpo_theory.weightings.plain import PLAIN

Array = NDArray[np.float64]

BUDGET, PILOT, TOKENS = 8, 64, 2**18


def regrets(case: Case, pilots: int, repeats: int) -> list[tuple[float, float]]:
    """True variance of each pilot's recommendation over the best candidate's, and over VRPO's."""
    plans = [Planner(run_pilot([case], PILOT, seed=seed, batch_tokens=TOKENS), 0.2, Cost()) for seed in range(pilots)]
    chosen = [planner.recommend(BUDGET) for planner in plans]
    tried = [s for s in candidates(BUDGET, Cost()) if s.coupling.shared and s.budget.n_yt == 1]
    true = margin_variances(case, list(dict.fromkeys([*tried, *chosen])), repeats)
    best, vrpo = min(true.values()), true[Scheme()]
    return [(true[scheme] / best, true[scheme] / vrpo) for scheme in chosen]


def margin_variances(case: Case, schemes: Sequence[Scheme], repeats: int) -> dict[Scheme, float]:
    """Exact where profiles are known, else sampled, on masks that schemes of one design share; nats squared."""
    answer = exact.tabulate([case])[0] if exact.within(case) else case
    known = _profiles(case, answer)
    found: dict[Scheme, float] = {}
    for scheme in schemes:
        if known is not None and follows_from_profiles(scheme):
            found[scheme] = exact.margin_variance(known, scheme)
        elif scheme not in found:
            same = [s for s in schemes if replace(s, weighting=PLAIN) == replace(scheme, weighting=PLAIN)]
            draws = [scheme.draw(answer, seed=5, repeat=repeat) for repeat in range(repeats)]
            weightings = [s.weighting for s in same]
            every = preference.contributions_by([answer] * repeats, draws, weightings, batch_tokens=TOKENS)
            for s, addends in zip(same, every, strict=True):
                margins = [preference.margin(*pair) for pair in zip(draws, addends, strict=True)]
                found[s] = float(np.var(margins, ddof=1))
    return found


def _profiles(case: Case, answer: Case) -> Profiles | None:
    if answer is not case:
        return exact.profiles(answer)
    if not hasattr(case.policy, "gap_sums"):
        return None
    sides: tuple[Side, Side] = ("chosen", "rejected")
    return {side: exact.gap_profile(case.pair.side(side), case.policy, case.reference) for side in sides}


def fresh_toy(seed: int) -> Case:
    """One pair: of five, two are chains, two tables, one a shock."""
    rng = np.random.default_rng(77_000 + seed)
    return (_chain, _table, _chain, _table, _shock)[seed % 5](rng, f"fresh-{seed}")


def _chain(rng: np.random.Generator, name: str) -> Case:
    length, tokens = int(rng.choice([12, 16, 24, 32, 48, 64, 96])), int(rng.integers(3, 9))
    reference = 0.97 * rng.dirichlet(np.full(tokens, rng.uniform(0.2, 1.0)), size=tokens) + 0.03 / tokens
    policy = reference * np.exp(rng.uniform(0.2, 0.8) * rng.standard_normal((tokens, tokens)))
    loose = 0.5 * reference + 0.5 / tokens
    ids = [_walk(rng, reference, transition, length) for transition in (reference, loose)]
    models = Markov(policy / policy.sum(1, keepdims=True), rng.uniform(0.6, 1.0)), Markov(reference)
    return Case(*models, _pair(ids, name))


def _table(rng: np.random.Generator, name: str) -> Case:
    length, common = int(rng.integers(6, 12)), rng.uniform(0, 1)

    def noise(spread: float) -> Array:
        own, every = rng.standard_normal((2**length, length, 4)), rng.standard_normal((length, 4))
        return np.asarray(spread * (math.sqrt(1 - common) * own + math.sqrt(common) * every))

    reference = noise(rng.uniform(0.7, 2.0))
    policy = reference + noise(rng.uniform(0.2, 1.0))
    return Case(Tabular(policy), Tabular(reference), _pair(distinct(rng, length), name))


def _shock(rng: np.random.Generator, name: str) -> Case:
    length = int(rng.choice([8, 12, 24, 32, 48]))
    effect = rng.uniform(0.02, 0.1) * rng.standard_normal((length, 2))
    ids = [tuple(rng.integers(2, size=length).tolist()) for _ in range(2)]
    spread = math.sqrt(np.mean([effect[np.arange(length), x].var() for x in ids]))
    policy = Shock(effect, rng.uniform(0.2, 1.0) * spread, int(rng.integers(10**6)))
    return Case(policy, Shock(np.zeros((length, 2)), 0.0, 1), _pair(ids, name))


def _pair(ids: Sequence[tuple[int, ...]], name: str) -> PreferencePair:
    chosen, rejected = (Response((), x) for x in ids)
    return PreferencePair(chosen, rejected, name)
