"""What the toy's models are like: how often they are right, and exactly how their ELBO estimates vary."""

from __future__ import annotations

from collections.abc import Sequence

from vrpo_theory import exact
from vrpo_theory.couplings import Coupling
from vrpo_theory.data import toy
from vrpo_theory.documents import Document
from vrpo_theory.generation import generate
from vrpo_theory.models.llada import LLaDA
from vrpo_theory.numerics import mean_estimate, share_estimate
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import ROLES, SIDES, Budget, Case, Role, Side

SAMPLERS = ("low_confidence", "diffusion")

SCHEMES = {"(8,1) shared": Scheme(), "(4,1) not shared": Scheme(budget=Budget(4), coupling=Coupling(shared=False))}


def accuracies(model: LLaDA, seed: int, split: str, number: int) -> Document:
    """Share of right responses by sampler and task, ``number`` prompts per task, with binomial standard errors."""
    questions = [toy.question(seed, split, i, task=task) for task in toy.TASKS for i in range(number)]
    return {sampler: _by_task(model, questions, sampler, seed) for sampler in SAMPLERS}


def _by_task(model: LLaDA, questions: Sequence[toy.Question], sampler: str, seed: int) -> Document:
    answers = generate(model, [(q.prompt, len(q.answer)) for q in questions], sampler, seed=seed)
    right = [toy.verify(q.prompt, answer.ids) for q, answer in zip(questions, answers, strict=True)]
    groups = {task: [r for q, r in zip(questions, right, strict=True) if q.task == task] for task in toy.TASKS}
    shares = {name: share_estimate(group) for name, group in (groups | {"all": right}).items()}
    return {name: {"value": share.value, "stderr": share.stderr} for name, share in shares.items()}


def likelihoods(tabulated: Sequence[Case]) -> Document:
    """Mean exact ELBO, and mean gap log p - ELBO, in nats, by role and side."""

    def mean(role: Role, side: Side, name: str) -> float:
        tables = [getattr(case, role)[case.pair.side(side)] for case in tabulated]
        return mean_estimate([t.elbo if name == "elbo" else t.log_likelihood - t.elbo for t in tables]).value

    return {
        name: {f"{role}_{side}": mean(role, side, name) for role in ROLES for side in SIDES} for name in ("elbo", "gap")
    }


def variances(tabulated: Sequence[Case], beta: float) -> Document:
    """Means over pairs, exact: V_t and V_yt of the margin under shared masks, and score variances, in nats squared."""
    profiles = [exact.profiles(case) for case in tabulated]
    moments = [exact.margin_moments(p) for p in profiles]
    v_time, v_mask = (mean_estimate([getattr(m, name) for m in moments]).value for name in ("v_time", "v_mask"))
    return {
        "v_time": v_time,
        "v_mask": v_mask,
        "share of v_time": v_time / (v_time + v_mask),
        "score": {
            name: mean_estimate([beta**2 * exact.margin_variance(p, scheme) for p in profiles]).value
            for name, scheme in SCHEMES.items()
        },
    }
