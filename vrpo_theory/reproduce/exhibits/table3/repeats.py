"""The ablation's rows by the paper's protocol: independent evaluations of every configuration (2505.19223v2, D.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import exact, preference, sampling
from vrpo_theory.numerics import mean_estimate, variance_estimate
from vrpo_theory.reproduce.exhibits.table3.study import Measured, Study, Values, predictions
from vrpo_theory.schemes import Scheme
from vrpo_theory.statements import lemma5
from vrpo_theory.types import Estimate, Moments

REPEATS = {"toy": 400, "real": 8}
GRADIENT_REPEATS = {"toy": 32, "real": 8}
NEEDS_EXACT = "the bias needs the exact score: responses are too long to enumerate, or --method mc"

Array = NDArray[np.float64]
Statistic = Callable[[Array], Estimate]
Samples = Mapping[Scheme, Sequence[Array]]
Replications = Mapping[Scheme, Sequence[Sequence[Moments]]]


def repeated_rows(study: Study, known: Mapping[str, Values]) -> Iterator[Measured]:
    """Variance of score, loss and gradient over independent replications; bias of the loss where the truth is known."""
    repeats = study.context.own.repeats or REPEATS["real" if study.answers is None else "toy"]
    found = _replicate(study, repeats)
    scores = {c: [_scores(study, moments) for moments in per_pair] for c, per_pair in found.items()}
    losses = {c: [preference.loss(s) for s in per_pair] for c, per_pair in scores.items()}
    predicted = predictions(known, "var_score") or _predicted_from_nested(study, found)
    yield Measured("var_score", "mc", _each(variance_estimate, scores), repeats, predicted)
    yield Measured("var_loss", "mc", _each(variance_estimate, losses), repeats, predictions(known, "var_loss"))
    yield _bias(study, losses, repeats, known)
    if study.parameters != "none":
        yield _gradients(study, scores, min(repeats, GRADIENT_REPEATS[study.context.scale]), known)


def _replicate(study: Study, repeats: int) -> Replications:
    context, found = study.context, {c: [] for c in study.configurations}  # type: ignore[var-annotated]
    jobs = [(c, case) for c in study.configurations for case in study.answers or study.cases]
    for c, case in context.track(jobs, "replications"):
        found[c].append(sampling.replicate(case, c, repeats, seed=context.seed, batch_tokens=context.batch_tokens))
    return found


def _scores(study: Study, moments: Sequence[Moments]) -> Array:
    return study.context.beta * np.array([m.mean for m in moments])


def _bias(study: Study, losses: Samples, repeats: int, known: Mapping[str, Values]) -> Measured:
    if study.answers is None:
        return Measured("bias_loss", "mc", {c: [] for c in study.configurations}, note=NEEDS_EXACT)
    truth = [float(preference.loss(study.context.beta * exact.true_margin(a))) for a in study.answers]
    bias = {c: [mean_estimate(x - t) for x, t in zip(found, truth, strict=True)] for c, found in losses.items()}
    return Measured("bias_loss", "mc", bias, repeats, predictions(known, "bias_loss"))


def _gradients(study: Study, scores: Samples, repeats: int, known: Mapping[str, Values]) -> Measured:
    """tr V grad loss_hat; s_hat of each replication is known already."""
    context = study.context
    jobs = [(c, i) for c in study.configurations for i in range(len(study.cases))]
    values: dict[Scheme, list[Estimate]] = {c: [] for c in study.configurations}
    for c, i in context.track(jobs, "gradients"):
        values[c].append(
            sampling.gradient_variance(
                study.cases[i], c, repeats, seed=context.seed,
                parameters=study.parameters, beta=context.beta, batch_tokens=context.batch_tokens,
                scores=scores[c][i].tolist(),
            )
        )  # fmt: skip
    return Measured("var_gradient", "mc", values, repeats, predictions(known, "var_gradient"), study.note)


def _predicted_from_nested(study: Study, found: Replications) -> dict[Scheme, list[float]]:
    """Lemma 5 for the shared columns, with the components estimated from the nested one among them."""
    shared = [c for c in study.configurations if c.coupling.shared]
    nested = next((c for c in shared if c.budget.n_t > 1 and c.budget.n_yt > 1), None)
    if nested is None:
        return {}
    moments = [_average(per_pair) for per_pair in found[nested]]
    return {c: [study.context.beta**2 * lemma5.variance(m, c.budget) for m in moments] for c in shared if c != nested}


def _each(statistic: Statistic, samples: Samples) -> dict[Scheme, list[Estimate]]:
    return {c: [statistic(x) for x in per_pair] for c, per_pair in samples.items()}


def _average(moments: Sequence[Moments]) -> Moments:
    return Moments(*(float(np.mean([getattr(m, name) for m in moments])) for name in ("mean", "v_time", "v_mask")))
