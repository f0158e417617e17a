"""Discrepancies of the size that statistical tests say they detect: `slips.py` plants them, and they are found."""

from __future__ import annotations

from .failures import Failure, Slip


def _planted(words: str, test: str, path: str, old: str, new: str) -> Failure:
    return Failure(words, (), (f"tests/{test}",), Slip(f"vrpo_theory/{path}", old, new))


ERROR = ("numerics.py", "math.sqrt(total(squares)), df=pooled_df(squares, [x.size")
PLANTS = {
    "a tail index of twice the size": _planted(
        "a factor of 2", "core/test_words.py::test_tail_index_of_a_pareto_law",
        "numerics.py", "alpha = 1 / float(", "alpha = 2 / float(",
    ),
    "splits of 12%": _planted(
        "12% in place of 10%", "data_reading/test_toy_language.py::test_a_tenth_of_the_prompts_is_held_out_twice",
        "data/toy/streams.py", '{0: "validation", 1: "test"}.get(int.from_bytes(content_key(ids), "big") % 10,',
        '{**dict.fromkeys((0, 1, 2), "validation"), **dict.fromkeys((3, 4, 5), "test")}.get('
        'int.from_bytes(content_key(ids), "big") % 25,',
    ),
    "mistakes at 0.40": _planted(
        "0.40 in place of 0.35", "data_reading/test_toy_language.py::test_the_rate_of_mistakes",
        "data/toy/streams.py", ".random() < rate", ".random() < rate + 0.05",
    ),
    "weights of 7% more": _planted(
        "a standard deviation off by 7%", "training/test_initial.py::test_matrices_are_normal",
        "training/initialization.py", "config.init_std * _normal(", "1.07 * config.init_std * _normal(",
    ),
    "sketches of 3% more": _planted(
        "squared lengths off by 3%", "sampling/test_pool.py::test_sketches_keep_squared_lengths_on_average",
        "sampling/sketches.py", "return signed[:, 0] - signed[:, 1]",
        "return 1.03**0.5 * (signed[:, 0] - signed[:, 1])",
    ),
    "masks of 0.02 more": _planted(
        "a masking probability off by 0.02", "contracts/test_designs.py::test_masks_are_uniform_subsets_and_bernoulli",
        "designs/base.py", "return uniforms < level[:, None]\n", "return uniforms < level[:, None] + 0.02\n",
    ),
    "the other sampler": _planted(
        "low-confidence remasking",
        "generation/test_generation.py::test_random_remasking_has_the_any_order_likelihood",
        "samplers/diffusion.py", "return uniform", "return log_prob.gather(-1, token[:, None]).squeeze(-1).exp()",
    ),
    "intervals that cover less than 80%": _planted(
        "coverage below 80%", "core/test_uncertainty.py::test_nominal_intervals_cover",
        *ERROR, ERROR[1].replace("math", "0.6 * math"),
    ),
    "errors of 20% more": _planted(
        "a standard error wrong by more than 15%",
        "core/test_sampling.py::test_standard_error_is_the_deviation_of_replications",
        *ERROR, ERROR[1].replace("math", "1.2 * math"),
    ),
    "intervals off by 4 points": _planted(
        "coverage off by more than 3.4 points", "core/test_sampling.py::test_intervals_cover",
        *ERROR, ERROR[1].replace("math", "0.84 * math"),
    ),
}  # fmt: skip
"""By what is planted."""
