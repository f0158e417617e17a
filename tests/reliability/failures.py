"""Failures seen in public code: the threads, the tests that would catch each here, and a slip that would bring it back.

`slips.py` makes every slip and sees the tests fail.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from .mutants import ROOT

GITHUB = "https://github.com/"


@dataclass(frozen=True)
class Slip:
    """A change of one file that makes the failure happen here."""

    path: str
    old: str
    new: str

    def tree(self) -> ast.Module:
        """The changed file; ValueError unless the change has one place."""
        source = (ROOT / self.path).read_text()
        if source.count(self.old) != 1:
            raise ValueError(f"{self.path} holds {self.old!r} {source.count(self.old)} times, not once")
        return ast.parse(source.replace(self.old, self.new))


@dataclass(frozen=True)
class Failure:
    """What went wrong, where, what holds it off, and what would let it in."""

    words: str
    threads: tuple[str, ...]
    tests: tuple[str, ...]
    slip: Slip

    @property
    def links(self) -> tuple[str, ...]:
        return tuple(thread if thread.startswith("https:") else GITHUB + thread for thread in self.threads)


def _seen(words: str, threads: str, tests: str, path: str, old: str, new: str) -> Failure:
    named = tuple(f"tests/{test}" for test in tests.split())
    return Failure(words, tuple(threads.split()), named, Slip(f"vrpo_theory/{path}", old, new))


FAILURES = {
    "padding seen": _seen(
        "attention_mask is ignored, so padding changes the logits",
        "ML-GSAI/LLaDA/issues/89 ML-GSAI/LLaDA/issues/90 ZHZisZZ/dllm/issues/15",
        "models/test_llada_golden.py::test_padding_mask_is_not_ignored "
        "models/test_llada_predictor.py::test_padding_changes_nothing",
        "models/llada/modeling.py",
        "inputs_embeds=x, attention_mask=attention_mask",
        "inputs_embeds=x, attention_mask=None",
    ),
    "padding scored": _seen(
        "padding with the end of text is masked and scored, or a real end of text is dropped",
        "ZHZisZZ/dllm/issues/81 huggingface/trl/issues/1623 huggingface/trl/issues/6357",
        "data_reading/test_pairs.py::test_end_of_text_in_a_response_stays "
        "reliability/test_determinism.py::test_batches_order_and_sides_change_nothing",
        "batching.py", "attention[part, : columns.stop] = True", "attention[part] = True",
    ),
    "masks of the batch": _seen(
        "masks depend on rank, batch size or order",
        "NVIDIA-NeMo/Automodel/issues/3149",
        "core/test_sampling.py::test_order_batch_size_and_company_do_not_matter "
        "contracts/test_designs.py::test_same_address_same_masks_and_no_global_generator",
        "randomness.py", "response = self._stem + _encode(self.key)", "response = self._stem + _encode(id(self))",
    ),
    "reference on other masks": _seen(
        "a cached reference is scored on other masks than the policy: biased without a sign",
        "nishide-dev/unturtle/issues/40",
        "training/test_full_scale.py::test_a_reference_that_was_evaluated_first_leaves_memory",
        "training/full_scale/remembered.py",
        "seed=objective.seed, repeat=number)",
        "seed=objective.seed + 1, repeat=number)",
    ),
    "checkpoints confused": _seen(
        "Base, Instruct and 1.5 checkpoints are confused",
        "ML-GSAI/LLaDA/issues/103",
        "models/test_llada_predictor.py::test_fingerprint_follows_the_weights_and_the_configuration "
        "core/test_inputs.py::test_one_model_in_both_roles_is_said",
        "checkpoints/identity.py", ".encode() + values(tensor))", ".encode())",
    ),
    "softmax in half precision": _seen(
        "log-softmax in bfloat16: 0.1 nats per token",
        "genlm/genlm-backend/pull/66 huggingface/trl/issues/7084",
        "models/test_llada_predictor.py::test_bfloat16_scores_in_float32",
        "checkpoints/wrapped.py", "logits.to(torch.promote_types(logits.dtype, torch.float32))", "logits",
    ),
    "score of the batch": _seen(
        "the score changes with the batch size",
        "EleutherAI/lm-evaluation-harness/issues/704 EleutherAI/lm-evaluation-harness/issues/1645",
        "core/test_elbo.py::test_batches_hold_every_non_empty_mask_once_within_the_budget "
        "contracts/test_models.py::test_batch_size_and_order_do_not_matter",
        "batching.py", "rows[: room - held], rows[room - held :]", "rows[: room - held], rows[room:]",
    ),
    "step 0": _seen(
        "policy and reference differ at step 0",
        "eric-mitchell/direct-preference-optimization/issues/34",
        "training/test_objectives.py::test_a_policy_that_is_the_reference_starts_at_ln_2 "
        "core/test_sampling.py::test_policy_equal_to_reference_scores_zero_when_shared",
        "couplings.py", "[(1.0, -1.0)] if self.shared else", "[(1.0, -1.0)] if not self.shared else",
    ),
    "normaliser": _seen(
        "a mean instead of a sum; a normaliser that counts tokens which are not scored",
        "huggingface/trl/issues/789 huggingface/trl/issues/6879",
        "contracts/test_designs.py::test_plain_weights_are_those_of_the_equations "
        "contracts/test_models.py::test_padding_changes_nothing",
        "weightings/plain.py", '1.0 if form == "time" else length', '1.0 if form == "time" else 1.0',
    ),
    "boundary of tokens": _seen(
        "encode(prompt + answer) is not encode(prompt) + encode(answer)",
        "huggingface/trl/issues/2054 huggingface/trl/issues/1679",
        "data_reading/test_chat.py::test_a_merge_across_the_boundary_is_said_and_not_made "
        "data_reading/test_chat.py::test_a_merge_with_the_header_is_said",
        "data/encoding.py", "return (apart, True) if spans else", "return (joined[len(prompt) :], False) if spans else",
    ),
    "truncated to nothing": _seen(
        "truncation empties a response: NaN, or a loss of 0",
        "huggingface/trl/issues/6668 huggingface/trl/issues/6548",
        "data_reading/test_truncation.py::test_rows_fit_keep_a_token_and_lose_no_more_than_they_must",
        "data/truncation.py", "self.max_length // 2)", "self.max_length)",
    ),
    "NaN under a mask": _seen(
        "NaN times 0 leaks through a mask",
        "ecmwf/WeatherGenerator/issues/2717",
        "reliability/test_numbers_that_are_none.py::test_a_number_that_is_none_where_nothing_is_seen_leaks_nowhere",
        "models/llada/predictor.py", "tokens.masked_fill(mask | ~attention,", "tokens.masked_fill(mask,",
    ),
    "accumulation": _seen(
        "gradient accumulation rescales the loss",
        "huggingface/transformers/issues/34191",
        "training/test_full_scale.py::test_the_losses_are_those_of_the_toy_s_loop",
        "training/full_scale/trainer.py", "share = 1 / self.current_gradient_accumulation_steps", "share = 1.0",
    ),
    "stale cache": _seen(
        "a cache that is not keyed by model, data or code; rows misindexed after a subset",
        "EleutherAI/lm-evaluation-harness/issues/4063 allenai/open-instruct/pull/1868",
        "sampling/test_recorded.py::test_changed_weights_have_a_record_of_their_own "
        "kinds/test_stores_grow.py::test_a_raised_limit_evaluates_what_is_new",
        "store/recorded.py",
        "self.known_as if self.model is None else self.model.fingerprint",
        "self.known_as or 'model'",
    ),
    "global generator": _seen(
        "computing the reference advances the global generator; a resumed run restarts it",
        "huggingface/trl/issues/7083 unit8co/darts/issues/2463",
        "contracts/test_designs.py::test_same_address_same_masks_and_no_global_generator "
        "training/test_loop.py::test_global_generators_are_neither_read_nor_advanced "
        "sampling/test_recorded.py::test_no_global_generator_is_touched",
        "randomness.py", '_digest(response + b"mask")', '_digest(response + np.random.bytes(4) + b"mask")',
    ),
    "rounded counts": _seen(
        "rounding makes the number of masked tokens non-uniform: a biased ELBO",
        "ML-GSAI/LLaDA/blob/main/get_log_likelihood.py",
        "contracts/test_designs.py::test_bias_is_as_declared_by_the_law "
        "statements/test_claims.py::test_rounded_counts_of_the_public_code",
        "designs/llada_grid.py", "return False", "return True",
    ),
    "one draw, many rows": _seen(
        "rows of one batch share a draw and are taken for independent: a false standard error",
        "ML-GSAI/LLaDA/blob/main/get_log_likelihood.py",
        "core/test_sampling.py::test_standard_errors_come_from_iid_timesteps_or_from_groups",
        "sampling/scores.py", "steps = scheme.budget.n_t if scheme.iid else 1", "steps = scheme.budget.n_t",
    ),
    "literal mask token": _seen(
        "tokens == mask_id takes a literal mask token of the data for a masked one",
        "ML-GSAI/LLaDA/blob/main/get_log_likelihood.py",
        "models/test_llada_predictor.py::test_literal_mask_token_is_not_a_masked_one "
        "data_reading/test_malformed_rows.py::test_a_malformed_row_is_refused_with_its_line_and_reason",
        "models/llada/predictor.py",
        "        hidden = self.module.model(visible,",
        "        mask = visible == self.mask_token_id\n        hidden = self.module.model(visible,",
    ),
    "transformers 5": _seen(
        "the official modelling code does not load under transformers 5",
        "huggingface/transformers/blob/main/MIGRATION_GUIDE_V5.md",
        "models/test_llada_checkpoint.py::test_tied_model_stores_one_matrix_and_stays_tied "
        "models/test_llada_checkpoint.py::test_saved_model_loads_bit_for_bit",
        "models/llada/modeling.py",
        "        self.post_init()  # type: ignore[no-untyped-call]",
        "        self.all_tied_weights_keys = {}",
    ),
    "a second header": _seen(
        "the chat template always appends an empty assistant header",
        "https://huggingface.co/GSAI-ML/LLaDA-8B-Instruct/blob/main/tokenizer_config.json",
        "data_reading/test_chat.py::test_the_prompt_ends_in_exactly_one_assistant_header "
        "data_reading/test_chat.py::test_a_string_prompt_is_one_user_turn_and_answers_end_their_turn",
        "data/template.py", "if always is not None and after[first:]", "if always is None and after[first:]",
    ),
}  # fmt: skip
"""By what goes wrong."""

SURVIVED = {
    "a bias that is an error": Failure(
        "the bias of the loss, replaced by a multiple of the mean absolute error", (),
        ("tests/statements/test_claims.py::test_bias_of_two_mirrored_atoms_attains_the_bound",),
        Slip(
            "vrpo_theory/statements/loss.py",
            "return expect(x.prob, _error(x))",
            "return 0.4 * mean_absolute_error(x)",
        ),
    ),
    "chunks that reuse cells": Failure(
        "the chunks of one tensor, sketched with the same cells and signs", (),
        ("tests/sampling/test_pool.py::test_every_chunk_and_tensor_has_cells_of_its_own",),
        Slip(
            "vrpo_theory/sampling/sketches.py", "        for chunk in flat.split(CHUNK):\n",
            "        for chunk in flat.split(CHUNK):\n"
            "            generator = torch.Generator(flat.device).manual_seed(int.from_bytes(key))\n",
        ),
    ),
    "no slope": Failure(
        "two-way weights without their slope", (),
        ("tests/core/test_two_way.py::test_the_slope_changes_the_weights",),
        Slip("vrpo_theory/weightings/two_way.py", "if not self.slope", "if True"),
    ),
    "no prior": Failure(
        "candidates chosen as measured: the luckiest wins", (),
        ("tests/planning/test_planning.py::test_measurements_are_shrunk_to_the_prior_by_their_error",),
        Slip("vrpo_theory/planning/prior.py", "share * (measured - self.mean)", "(measured - self.mean)"),
    ),
    "an option without consequence": Failure(
        "an option left out of the provenance's list, so that a stale result is served", (),
        ("tests/kinds/test_stores_grow.py::test_every_option_is_an_input",),
        Slip(
            "vrpo_theory/reproduce/base.py",
            'not in ("cases", "own", "progress")',
            'not in ("cases", "own", "progress", "beta")',
        ),
    ),
}  # fmt: skip
"""Mutants that once survived the tests."""
