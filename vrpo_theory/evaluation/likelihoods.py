"""ELBOs of answers under one model, exact or by a scheme."""

from __future__ import annotations

from collections.abc import Sequence

from vrpo_theory import batching, elbo
from vrpo_theory.couplings import Draw
from vrpo_theory.exact import enumerate_masks
from vrpo_theory.numerics import total
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import Case, Model, PreferencePair, Response, block_length


def elbos(
    model: Model,
    responses: Sequence[Response],
    scheme: Scheme | None,
    *,
    seed: int = 0,
    batch_tokens: int = batching.BATCH_TOKENS,
) -> list[float]:
    """ELBO of every response, in nats.

    Parameters
    ----------
    scheme : Scheme or None
        None evaluates every mask. The draws of one are those of a chosen response in `vrpo_theory.score_pairs`.

    Raises
    ------
    InputError
        If a response, or a block of one, is too long to enumerate.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> case = MODELS["tabular"].case(0, 3)
    >>> exact, sampled = (elbos(case.policy, [case.pair.chosen], s)[0] for s in (None, Scheme.parse("n_t=4096")))
    >>> round(exact, 2), round(sampled, 1)
    (-7.27, -7.3)
    """
    if scheme is None:
        return _exact(model, responses, batch_tokens)
    draws = [_draws(model, response, scheme, seed) for response in responses]
    requests = [(draw.response, draw.masks.mask) for found in draws for draw in found]
    values = iter(elbo.terms(requests, model, batch_tokens=batch_tokens))
    sums = [[elbo.estimate(d.masks, next(values), scheme.weighting) for d in found] for found in draws]
    return [total(found) / scheme.groups for found in sums]


def _draws(model: Model, response: Response, scheme: Scheme, seed: int) -> list[Draw]:
    """Masks of the policy's pass over a chosen response, all groups and parts; the other answer is never evaluated."""
    other = Response(response.prompt, (*response.ids, response.ids[-1]))
    case = Case(model, model, PreferencePair(response, other))
    found = scheme.draws(case, seed=seed)
    return [draw for draw in found if draw.contrast.side == "chosen" and draw.contrast.roles[0] == "policy"]


def _exact(model: Model, responses: Sequence[Response], batch_tokens: int) -> list[float]:
    parts = [response.blocks(block_length(model)) for response in responses]
    (tables,) = enumerate_masks([part for found in parts for part in found], [model], batch_tokens=batch_tokens)
    return [total([tables.tables[part.key].elbo for part in found]) for found in parts]
