"""Cases whose models are replaced by tables of everything they could say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vrpo_theory import batching, elbo
from vrpo_theory.exact.enumeration import MaskTable, Tables, enumerate_masks, table_of, tables_of
from vrpo_theory.exact.mask_profiles import profile
from vrpo_theory.numerics import total
from vrpo_theory.types import ROLES, SIDES, Case, Predictor, Profile, Response, Role, Side, block_length, by_models

AUTO_MASKS = 512 * 8
"""Masks per response and model that are worth an exact value unasked: 512 times VRPO's budget of 8, or 12 tokens."""


def within(case: Case, masks: int = AUTO_MASKS) -> bool:
    """Whether each part of the pair's responses has at most ``masks`` masks, 2^L of L tokens; the rule of ``auto``."""
    return (1 << max(part.length for part in _parts(case))) <= masks


def tabulate(
    cases: Sequence[Case], *, batch_tokens: int = batching.BATCH_TOKENS, progress: elbo.Progress | None = None
) -> list[Case]:
    """The same cases with `Tables` in the models' places; each mask of a response is evaluated once.

    Raises
    ------
    InputError
        If a response is too long to enumerate.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> (answers,) = tabulate([MODELS["markov"].case(0, 3)])
    >>> answers.reference[answers.pair.chosen].log_prob.shape  # every mask of three tokens
    (8, 3)
    """
    tables: dict[int, dict[bytes, MaskTable]] = {}
    for indices in by_models(cases):
        group = [cases[k] for k in indices]
        models = list({id(m): m for m in (group[0].policy, group[0].reference)}.values())
        used = [part for case in group for part in _parts(case)]
        with elbo.naming(group):
            found = enumerate_masks(used, models, batch_tokens=batch_tokens, progress=progress)
        for model, answers in zip(models, found, strict=True):
            tables.setdefault(id(model), {}).update(answers.tables)

    def answers_of(model: Predictor) -> Tables:
        return Tables(tables[id(model)], block_length(model))

    return [Case(answers_of(case.policy), answers_of(case.reference), case.pair) for case in cases]


def mask_count(cases: Sequence[Case]) -> int:
    """Forward passes that `tabulate` needs if no response is repeated."""
    return sum(len(ROLES) * (2**part.length - 1) for case in cases for part in _parts(case))


def cost(cases: Sequence[Case]) -> str:
    """What enumeration costs, in words."""
    most = max(2**part.length - 1 for case in cases for part in _parts(case))
    part = "response" if cases[0].block_length is None else "block"
    return f"up to {most:,} masks per {part} and model, {mask_count(cases):,} forward passes in all"


def profiles(tabulated: Case) -> dict[Side, Profile]:
    """Exact profiles of both responses of a tabulated case; InputError where a response has several blocks.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> (answers,) = tabulate([MODELS["tabular"].case(0, 3)])
    >>> profiles(answers)["chosen"].mean.round(3)  # of 0 to 3 masked tokens, under policy and reference
    array([[ 0.   ,  0.   ],
           [-2.299, -2.458],
           [-4.769, -4.502],
           [-7.759, -6.861]])
    """
    return {side: profile(*(table_of(tabulated, role, side) for role in ROLES)) for side in SIDES}


def block_profiles(tabulated: Case) -> dict[Side, list[Profile]]:
    """Exact profiles of every block of both responses; without block diffusion, one each."""
    tables = {side: zip(*(tables_of(tabulated, role, side) for role in ROLES), strict=True) for side in SIDES}
    return {side: [profile(*pair) for pair in pairs] for side, pairs in tables.items()}


def true_margin(tabulated: Case) -> float:
    """(B_policy - B_reference)(chosen) - (B_policy - B_reference)(rejected) in nats, from exact ELBOs.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> (answers,) = tabulate([MODELS["tabular"].case(0, 3)])
    >>> round(true_margin(answers), 4)
    -0.3797
    """
    return _margin(tabulated, elbo_of)


def log_likelihood_margin(tabulated: Case) -> float:
    """The same of exact log-likelihoods, of which ELBOs are lower bounds, in nats.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> (answers,) = tabulate([MODELS["tabular"].case(0, 3)])
    >>> round(log_likelihood_margin(answers), 4)
    -0.4917
    """
    return _margin(tabulated, log_likelihood_of)


def elbo_of(tabulated: Case, role: Role, side: Side) -> float:
    """Exact ELBO of a response, the sum of its parts', in nats."""
    return total([table.elbo for table in tables_of(tabulated, role, side)])


def log_likelihood_of(tabulated: Case, role: Role, side: Side) -> float:
    """Exact log-likelihood in nats, unmasked one by one in random order within each part, part after part."""
    return total([table.log_likelihood for table in tables_of(tabulated, role, side)])


def _margin(tabulated: Case, value: Callable[[Case, Role, Side], float]) -> float:
    gain = {s: value(tabulated, "policy", s) - value(tabulated, "reference", s) for s in SIDES}
    return gain["chosen"] - gain["rejected"]


def _parts(case: Case) -> list[Response]:
    return [part for side in SIDES for part in case.parts(side)]
