"""What the ablation measures, per pair and configuration: exactly where masks can be enumerated, and by replication."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from vrpo_theory import exact, preference, sampling
from vrpo_theory.couplings import Coupling
from vrpo_theory.designs import DESIGNS
from vrpo_theory.numerics import mean_estimate, variance_estimate
from vrpo_theory.reproduce.base import Context
from vrpo_theory.statements import lemma5
from vrpo_theory.types import ROLES, Budget, Case, Estimate, Moments

REPEATS = {"toy": 400, "real": 8}
GRADIENT_REPEATS = {"toy": 32, "real": 8}
GRADIENT_LENGTH = 8
"""Longest response whose every mask is differentiated: 510 backward passes a pair."""
NEEDS_EXACT = "the bias needs the exact score: responses are too long to enumerate, or --method mc"


@dataclass(frozen=True)
class Configuration:
    """One column of the ablation."""

    n_t: int
    n_yt: int
    shared: bool

    @property
    def budget(self) -> Budget:
        """Timesteps and masks."""
        return Budget(self.n_t, self.n_yt)

    @property
    def coupling(self) -> Coupling:
        """Whether policy and reference share masks."""
        return Coupling(self.shared)


@dataclass(frozen=True)
class Measured:
    """One row: per configuration, an estimate per pair (none where it cannot be had, and then the note says why)."""

    row: str
    method: str
    values: Mapping[Configuration, Sequence[Estimate]]
    n: int | None = None
    predicted: Mapping[Configuration, float] | None = None
    note: str = ""


def rows(cases: Sequence[Case], configurations: Sequence[Configuration], context: Context) -> Iterator[Measured]:
    """All measured rows of one model."""
    study = Study(cases, configurations, context)
    if study.answers is not None:
        yield study.exact_score_variance()
        yield from study.exact_loss()
    if study.exact_gradients:
        yield Measured("var_gradient", "exact", study.exact_gradients, note=study.note)
    if context.method != "exact":
        yield from study.sampled()
        yield study.gradient_variance()


class Study:
    """The pairs of one model; where every mask can be enumerated, tables answer in the models' place."""

    def __init__(self, cases: Sequence[Case], configurations: Sequence[Configuration], context: Context) -> None:
        self.cases, self.configurations, self.context = cases, configurations, context
        self.design = DESIGNS["iid_count"]()
        self.answers = self._tabulate() if self._enumerable() else None
        self.repeats = context.repeats or REPEATS["real" if self.answers is None else "toy"]
        self.gradient_repeats = min(self.repeats, GRADIENT_REPEATS[context.scale])
        self.parameters, self.note = _parameters(context)
        self.replications: dict[Configuration, list[list[Moments]]] = {}

    def _enumerable(self) -> bool:
        method = self.context.method
        return method == "exact" or (method == "auto" and all(map(exact.within, self.cases)))

    def _tabulate(self) -> list[Case]:
        with self.context.bar("enumerating masks", exact.mask_count(self.cases)) as progress:
            return exact.tabulate(self.cases, batch_tokens=self.context.batch_tokens, progress=progress)

    def exact_score_variance(self) -> Measured:
        """V s_hat from the exact profiles and the design's law."""
        beta = self.context.beta
        profiles = [exact.profiles(answer) for answer in self.answers or []]
        values = {
            c: [Estimate(beta**2 * exact.margin_variance(p, self.design, c.budget, c.coupling)) for p in profiles]
            for c in self.configurations
        }
        return Measured("var_score", "exact", values)

    def exact_loss(self) -> Iterator[Measured]:
        """Variance and bias of the loss from the exact law of the score."""
        jobs = [(c, answer) for c in self.configurations for answer in self.answers or []]
        found: dict[Configuration, list[exact.LossMoments]] = {c: [] for c in self.configurations}
        for c, answer in self.context.track(jobs, "laws of the score"):
            law = exact.score_law(answer, c.budget, c.coupling, self.context.beta)
            found[c].append(exact.loss_moments(law, self.context.beta * exact.true_margin(answer)))
        error = max(m.error for moments in found.values() for m in moments)
        note = f"by FFT on a lattice, which moves a bias by at most {error:.0e} nats"
        for row, name in (("var_loss", "variance"), ("bias_loss", "bias")):
            values = {c: [Estimate(getattr(m, name)) for m in moments] for c, moments in found.items()}
            yield Measured(row, "exact", values, note=note)

    def sampled(self) -> Iterator[Measured]:
        """Variance of score and loss, and bias of the loss, over independent replications."""
        self._replicate()
        scores = {c: [self._scores(moments) for moments in self.replications[c]] for c in self.configurations}
        losses = {c: [preference.loss(s) for s in per_pair] for c, per_pair in scores.items()}
        yield Measured("var_score", "mc", _each(variance_estimate, scores), self.repeats, self._predictions())
        yield Measured("var_loss", "mc", _each(variance_estimate, losses), self.repeats)
        if self.answers is None:
            yield Measured("bias_loss", "mc", {c: [] for c in self.configurations}, note=NEEDS_EXACT)
            return
        truth = [float(preference.loss(self.context.beta * exact.true_margin(a))) for a in self.answers]
        bias = {c: [mean_estimate(x - t) for x, t in zip(losses[c], truth, strict=True)] for c in self.configurations}
        yield Measured("bias_loss", "mc", bias, self.repeats)

    @cached_property
    def exact_gradients(self) -> dict[Configuration, list[Estimate]]:
        """tr V grad loss_hat of toys that are short enough for the gradients of every mask; else empty."""
        if self.answers is None or self.context.scale != "toy":
            return {}
        if not all(exact.within(case, GRADIENT_LENGTH) for case in self.cases):
            return {}
        values: dict[Configuration, list[Estimate]] = {c: [] for c in self.configurations}
        with self.context.bar("gradients of every mask", exact.mask_count(self.cases) // len(ROLES)) as progress:
            for case, answer in zip(self.cases, self.answers, strict=True):
                (gram,) = exact.gradient_grams(case, (self.parameters,), progress=progress)
                for c, found in values.items():
                    moments = exact.loss_gradient_moments(answer, gram, c.budget, c.coupling, self.context.beta)
                    found.append(Estimate(moments.variance))
        return values

    def gradient_variance(self) -> Measured:
        """tr V grad loss_hat by replication; s_hat of each replication is known already."""
        jobs = [(c, i) for c in self.configurations for i in range(len(self.cases))]
        values: dict[Configuration, list[Estimate]] = {c: [] for c in self.configurations}
        for c, i in self.context.track(jobs, "gradients"):
            values[c].append(
                sampling.gradient_variance(
                    self.cases[i], self.design, c.budget, c.coupling, self.gradient_repeats,
                    seed=self.context.seed, parameters=self.parameters, beta=self.context.beta,
                    batch_tokens=self.context.batch_tokens, scores=self._scores(self.replications[c][i]),
                )
            )  # fmt: skip
        predicted = {c: float(np.mean([e.value for e in found])) for c, found in self.exact_gradients.items()}
        return Measured("var_gradient", "mc", values, self.gradient_repeats, predicted, self.note)

    def _replicate(self) -> None:
        answers = self.cases if self.answers is None else self.answers
        jobs = [(c, case) for c in self.configurations for case in answers]
        for c, case in self.context.track(jobs, "replications"):
            moments = sampling.replicate(
                case, self.design, c.budget, c.coupling, self.repeats,
                seed=self.context.seed, batch_tokens=self.context.batch_tokens,
            )  # fmt: skip
            self.replications.setdefault(c, []).append(moments)

    def _scores(self, moments: Sequence[Moments]) -> Any:
        return self.context.beta * np.array([m.mean for m in moments])

    def _predictions(self) -> dict[Configuration, float]:
        """Lemma 5 with exact components; without them, with those that nested draws estimate, for shared columns."""
        if self.answers is None:
            return self._predictions_from_nested()
        profiles = [exact.profiles(answer) for answer in self.answers]
        moments = {
            shared: [exact.margin_moments(p, self.design, Coupling(shared)) for p in profiles]
            for shared in (True, False)
        }
        return {c: self._lemma5(moments[c.shared], c.budget) for c in self.configurations}

    def _predictions_from_nested(self) -> dict[Configuration, float]:
        nested = next((c for c in self.configurations if c.shared and c.n_t > 1 and c.n_yt > 1), None)
        if nested is None:
            return {}
        moments = [_average(per_pair) for per_pair in self.replications[nested]]
        return {c: self._lemma5(moments, c.budget) for c in self.configurations if c.shared and c != nested}

    def _lemma5(self, moments: Sequence[Moments], budget: Budget) -> float:
        return float(np.mean([self.context.beta**2 * lemma5.variance(m, budget) for m in moments]))


def _parameters(context: Context) -> tuple[str, str]:
    """Whose gradient is studied, and how the table says so."""
    parameters = context.gradient
    if parameters == "auto":
        parameters = "full" if context.scale == "toy" else "up-proj"
    note = "all parameters" if parameters == "full" else "up-projection of block 0 (the paper's proxy)"
    return parameters, note


def _each(statistic: Any, samples: Mapping[Configuration, Sequence[Any]]) -> dict[Configuration, list[Estimate]]:
    return {c: [statistic(x) for x in per_pair] for c, per_pair in samples.items()}


def _average(moments: Sequence[Moments]) -> Moments:
    return Moments(*(float(np.mean([getattr(m, name) for m in moments])) for name in ("mean", "v_time", "v_mask")))
