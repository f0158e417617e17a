"""What is said of a batch: sums that processes can add up, and their means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vrpo_theory.batching import WeightedTerms, answer_columns
from vrpo_theory.numerics import total
from vrpo_theory.training.objective import PairObjective, ScoredPair

Sums = dict[str, float]
NOTHING = WeightedTerms([], [])
NAMES = (
    "pairs", "loss", "score", "right", "log_ratio_chosen", "log_ratio_rejected", "variances", "variance", "passes",
    "tokens", "noise",
)  # fmt: skip


def sums(scored: Sequence[ScoredPair], terms: WeightedTerms = NOTHING) -> Sums:
    """Sums over pairs, by `NAMES`; passes and tokens are those of the scores and of the terms."""
    known = [one.variance for one in scored if one.variance is not None]
    draws = [draw for one in scored for draw in one.draws]
    work = [(len(draw.contrast.roles), (draw.response, draw.masks.mask)) for draw in draws]
    work += [(1, request) for request in terms.requests]
    return {
        "pairs": len(scored),
        "loss": total([one.loss for one in scored]),
        "score": total([one.score for one in scored]),
        "right": sum(one.score > 0 for one in scored) + sum(one.score == 0 for one in scored) / 2,
        "log_ratio_chosen": total([one.log_ratio("chosen") for one in scored]),
        "log_ratio_rejected": total([one.log_ratio("rejected") for one in scored]),
        "variances": len(known),
        "variance": total(known),
        "passes": sum(models * int(mask.any(1).sum()) for models, (_, mask) in work),
        "tokens": sum(models * int(mask.any(1).sum()) * answer_columns(r).stop for models, (r, mask) in work),
        "noise": 0.0,
    }


def means(found: Mapping[str, float], objective: PairObjective) -> dict[str, float | None]:
    """What a reader is told of a batch; None where one block of masks cannot tell.

    ``loss`` is in nats; ``score`` is beta times the margin of log-ratios, the reward margin; ``accuracy`` the share of
    pairs whose score is above 0, ties by halves; ``score_variance`` the mean over pairs of the variance that masks give
    a score, and ``loss_bias_at_most`` what that can do to the loss.
    """
    count, known = found["pairs"], found["variances"]
    variance = found["variance"] / known if known else None
    return {
        **{name: found[name] / count for name in ("loss", "score", "log_ratio_chosen", "log_ratio_rejected")},
        "accuracy": found["right"] / count,
        "score_variance": variance,
        "loss_bias_at_most": None if variance is None else objective.loss.bias_bound(variance),
    }
