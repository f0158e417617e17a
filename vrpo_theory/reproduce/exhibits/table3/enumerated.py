"""The ablation's rows where every mask is enumerated: no replication noise anywhere."""

from __future__ import annotations

from collections.abc import Iterator

from vrpo_theory import exact
from vrpo_theory.reproduce.exhibits.table3.study import NEEDS_TWO, Measured, Study, leaves_out
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import ROLES, Case, Estimate

GRADIENT_MASKS = 2**8
"""Most masks of a response that are all differentiated: 510 backward passes per pair."""


def exact_rows(study: Study) -> Iterator[Measured]:
    """Variance of score, loss and, of short toys, gradient; bias of the loss."""
    yield _score(study)
    yield from _loss(study)
    if (
        study.context.scale == "toy"
        and study.parameters != "none"
        and all(exact.within(case, GRADIENT_MASKS) for case in study.cases)
    ):
        yield from _gradients(study)


def _answers(study: Study) -> list[Case]:
    return list(study.answers or ())


def _score(study: Study) -> Measured:
    """V s_hat from the exact profiles and the design's law."""
    beta = study.context.beta
    profiles = [exact.block_profiles(answer) for answer in _answers(study)]
    values = {c: [Estimate(beta**2 * exact.margin_variance(p, c)) for p in profiles] for c in study.configurations}
    return Measured("var_score", "exact", values)


def _loss(study: Study) -> Iterator[Measured]:
    """From the exact law of the score."""
    jobs = [(c, answer) for c in study.configurations for answer in _answers(study)]
    found: dict[Scheme, list[exact.LossMoments]] = {c: [] for c in study.configurations}
    for c, answer in study.context.track(jobs, "laws of the score"):
        law = exact.score_law(answer, c, study.context.beta)
        found[c].append(exact.loss_moments(law, study.context.beta * exact.true_margin(answer)))
    error = max(m.error for moments in found.values() for m in moments)
    for row, name in (("var_loss", "variance"), ("bias_loss", "bias")):
        values = {c: [Estimate(getattr(m, name)) for m in moments] for c, moments in found.items()}
        yield Measured(row, "exact", values, error=error)


def _gradients(study: Study) -> Iterator[Measured]:
    """tr V of the plug-in and the leave-one-out gradient of the loss, from Gram matrices of all masks' gradients."""
    beta = study.context.beta
    plug_in: dict[Scheme, list[Estimate]] = {c: [] for c in study.configurations}
    left_out: dict[Scheme, list[Estimate]] = {c: [] for c in study.configurations}
    with study.context.bar("gradients of every mask", exact.mask_count(study.cases) // len(ROLES)) as progress:
        for case, answer in zip(study.cases, _answers(study), strict=True):
            (gram,) = exact.gradient_grams(case, (study.parameters,), progress=progress)
            for c in study.configurations:
                moments = exact.loss_gradient_moments(answer, gram, c, beta)
                plug_in[c].append(Estimate(moments.variance))
                if leaves_out(c):
                    moments = exact.leave_one_out_moments(answer, gram, c, beta)
                    left_out[c].append(Estimate(moments.variance))
    yield Measured("var_gradient", "exact", plug_in, note=study.note)
    yield Measured("var_gradient_loo", "exact", left_out, note=f"{study.note}; {NEEDS_TWO}")
