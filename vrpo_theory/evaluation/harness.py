"""A checkpoint as a model of lm-evaluation-harness: ELBOs for likelihoods, a sampler for texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from tqdm import tqdm

from vrpo_theory import generation, scoring
from vrpo_theory.batching import BATCH_TOKENS
from vrpo_theory.checkpoints.folder import local_folder
from vrpo_theory.data.encoding import tokens
from vrpo_theory.data.template import end_tokens, special_tokens
from vrpo_theory.data.tokenizer import load_tokenizer
from vrpo_theory.evaluation.likelihoods import elbos
from vrpo_theory.models import load_model
from vrpo_theory.schemes import read_scheme
from vrpo_theory.types import Response

EXACT = "exact"


@register_model("vrpo")
class VrpoLM(LM):  # type: ignore[misc]
    """Any checkpoint that `vrpo_theory.load_model` reads.

    Parameters
    ----------
    policy : str
        A checkpoint's folder, or a hub id with its commit.
    adapter : str, optional
        Folder of a LoRA adapter.
    scheme : str
        How likelihoods are sampled, as `vrpo_theory.schemes.read_scheme` takes it, or "exact", which evaluates every
        mask of short answers and blocks. By default two groups of n_t = 8 of this package's own design. A comma would
        end the harness's argument: give a file, or write the scheme in it.
    sampler, answer_length, steps
        How texts are written; a task's ``max_gen_toks`` comes before ``answer_length``.
    greedy : bool
        Whether to find out if an answer is the greedy one, as some tasks ask: a forward pass for each of its tokens.
    seed, batch_tokens : int
    batch_size, max_batch_size
        Of the harness, not used: ``batch_tokens`` bounds a forward pass.
    **options
        ``device``, ``dtype`` and others of `vrpo_theory.load_model`.
    """

    def __init__(
        self,
        policy: str,
        scheme: str | None = None,
        sampler: str = "low_confidence",
        answer_length: int = 128,
        steps: int | None = None,
        greedy: bool = False,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        self._batch_tokens = int(options.pop("batch_tokens", BATCH_TOKENS))
        for unused in ("batch_size", "max_batch_size"):
            options.pop(unused, None)
        if str(options.get("device")).startswith("cuda") and not torch.cuda.is_available():
            options["device"] = "cpu"  # cuda:0 is what the harness gives where nobody said anything
        self.model, self.words = load_model(policy, **options), load_tokenizer(local_folder(policy))
        self.scheme = None if scheme == EXACT else scoring.untold() if scheme is None else read_scheme(scheme)
        self.sampler, self.answer_length, self.steps = generation.sampler_of(sampler), int(answer_length), steps
        self.greedy, self.seed, self._ends = greedy, seed, end_tokens(self.words)

    @property
    def tokenizer_name(self) -> str:
        """Where the tokenizer is, for the harness's cache."""
        return str(self.words.name_or_path)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A conversation as the chat template writes it."""
        return self.words.apply_chat_template(chat_history, add_generation_prompt=add_generation_prompt, tokenize=False)

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """ELBO of each continuation in nats, and whether it is what low-confidence remasking writes."""
        responses = [self._response(*request.args) for request in requests]
        values = elbos(self.model, responses, self.scheme, seed=self.seed, batch_tokens=self._batch_tokens)
        return list(zip(values, self._are_greedy(responses), strict=True))

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """ELBO of each whole text, in nats."""
        responses = [self._response("", *request.args) for request in requests]
        return elbos(self.model, responses, self.scheme, seed=self.seed, batch_tokens=self._batch_tokens)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """A text for each context, up to its end or one of the task's stops."""
        canvases = [(self._prompt(context), self._length(told)) for context, told in (r.args for r in requests)]
        total = sum(generation.passes(self.model, canvas, self.sampler, self.steps) for canvas in canvases)
        with tqdm(total=total, desc="forward passes", leave=False, disable=disable_tqdm or None) as bar:
            answers = generation.generate(
                self.model, canvases, self.sampler, steps=self.steps, seed=self.seed,
                batch_tokens=self._batch_tokens, progress=bar.update,
            )  # fmt: skip
        return [self._text(answer.ids, request.args[1]) for answer, request in zip(answers, requests, strict=True)]

    def _length(self, told: dict[str, Any]) -> int:
        return int(told.get("max_gen_toks", self.answer_length))

    def _text(self, ids: Sequence[int], told: dict[str, Any]) -> str:
        stop = next((k for k, token in enumerate(ids) if token in self._ends), len(ids))
        text = self.words.decode(list(ids[:stop]), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        until = told.get("until") or []
        stops = [until] if isinstance(until, str) else until
        return text[: min((place for word in stops if word and (place := text.find(word)) >= 0), default=len(text))]

    def _are_greedy(self, responses: Sequence[Response]) -> list[bool]:
        if not self.greedy:
            return [False] * len(responses)
        canvases = [(response.prompt, response.length) for response in responses]
        answers = generation.generate(self.model, canvases, "low_confidence", batch_tokens=self._batch_tokens)
        return [answer.ids == response.ids for answer, response in zip(answers, responses, strict=True)]

    def _prompt(self, context: str) -> tuple[int, ...]:
        return self._response(context, "a").prompt

    def _response(self, context: str, continuation: str) -> Response:
        """Tokens of a context and what follows it; spaces at the end of a context belong to what follows."""
        kept = context.rstrip(" ")
        continuation = context[len(kept) :] + continuation
        if not kept:
            opening, alone = self.words.encode(""), self.words.encode(continuation, add_special_tokens=False)
            return Response(tuple(opening), tuple(alone))
        rendered = bool(special_tokens(self.words).match(kept))  # by a chat template, with all special tokens
        row = tokens(self.words, (kept, continuation, continuation), framed=not rendered).row
        return Response(row.prompt, row.chosen)
