"""Names of rows in words, for figures and pages; tables and JSON have the names themselves."""

from __future__ import annotations

WORDS = {
    "bias": "bias of the loss",
    "bias_bound": "sharp bound",
    "bias_bound_printed": "printed bound",
    "bias_gradient_full": "bias of the gradient, all parameters",
    "bias_gradient_full_loo": "bias of the leave-one-out gradient",
    "bias_loss": "bias of the loss",
    "bias_margin": "bias of the margin",
    "density": "normal density",
    "dtype_score": "deviation of the score from float32",
    "dtype_token": "deviation of a token from float32",
    "elbo_gap_bias": "bias from the ELBO",
    "gain": "VRPO's variance over the design's",
    "gain_worst": "the least such ratio over responses",
    "log_sigmoid": "log sigmoid",
    "monte_carlo_bias": "bias from sampling",
    "passes_exact": "forward passes for an exact score",
    "repeats_needed": "repeats needed",
    "ratio_bias": "bias of the ratio",
    "ratio_deviation": "standard deviation of the ratio",
    "share_time": "share of the variance between timesteps",
    "v_mask": "variance between masks of one timestep",
    "v_time": "variance between timesteps",
    "var_gradient": "variance of the gradient",
    "var_gradient_full": "variance of the gradient, all parameters",
    "var_gradient_loo": "variance of the leave-one-out gradient",
    "var_gradient_proxy": "variance of the gradient, proxy",
    "var_loss": "variance of the loss",
    "var_score": "variance of the score",
    "var_term": "variance of one term",
    "variance": "variance of the loss",
    "variance_bound": "sharp bound",
    "variance_bound_printed": "printed bound",
}
ENDINGS = {"_ratio": ", ratio to base", "_quartile1": ", first quartile", "_quartile3": ", third quartile"}


def in_words(row: str) -> str:
    """A row's name in words; underscores become spaces in a name that is not known.

    Examples
    --------
    >>> in_words("var_score_ratio"), in_words("mine_alone")
    ('variance of the score, ratio to base', 'mine alone')
    """
    for ending, words in ENDINGS.items():
        stem = row.removesuffix(ending)
        if stem != row and stem in WORDS:
            return WORDS[stem] + words
    return WORDS.get(row, row.replace("_", " "))
