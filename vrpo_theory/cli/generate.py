"""``vrpo generate``: answers to prompts, as JSON Lines.

Every line of the output has the prompt's ``id``, the answer's ``text`` up to its end (the tokenizer's EOS, or the chat
template's end of turn; null without a tokenizer), all of its ``ids``, the forward ``passes`` it took, and a ``key`` of
all that it follows from, by which a repeated command sees what is done.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrpo_theory.checkpoints.options import LoadOptions
from vrpo_theory.cli.bundles import EMPTY, bundled
from vrpo_theory.cli.options import BatchTokens, Seed
from vrpo_theory.cli.sources import CHECKPOINT, LOADED, READ
from vrpo_theory.errors import InputError
from vrpo_theory.runs.console import exit_codes, say, show

if TYPE_CHECKING:
    from vrpo_theory.data.protocol import Tokenizer
    from vrpo_theory.runs.generating import Words
    from vrpo_theory.samplers import Sampler

PROMPTS = "prompts: JSON Lines or a JSON array with prompt or prompt_ids, - for standard input, or a file of pairs"
OPTIONS: dict[str, Any] = {
    "policy": (Annotated[str, typer.Option(help=CHECKPOINT)], EMPTY),
    "prompts": (Annotated[Path, typer.Option(help=PROMPTS)], EMPTY),
    **{name: READ[name] for name in ("limit", "rendered", "chat_template", "adapter")},
}


@bundled("loaded", LOADED, dict)
@bundled("asked", OPTIONS, dict)
def generate(
    asked: dict[str, Any],
    loaded: LoadOptions,
    sampler: Annotated[
        str, typer.Option(help="for example 'semi_autoregressive(block_length=32)'; vrpo list samplers shows them")
    ] = "low_confidence",
    answer_length: Annotated[int, typer.Option(min=1, max=2**24, help="tokens to write")] = 128,
    steps: Annotated[
        int | None, typer.Option(min=1, help="forward passes per answer  [default: one per token]")
    ] = None,
    eos_last: Annotated[
        bool, typer.Option("--eos-last", help="give the end of an answer confidence 0, so that it is written last")
    ] = False,
    seed: Seed = 0,
    batch_tokens: BatchTokens = 2**12,
    out: Annotated[
        Path | None,
        typer.Option(help="file of the answers, gone on with if it is there  [default: standard output]"),
    ] = None,
    shown: Annotated[
        int | None,
        typer.Option("--show", min=1, help="print the first N prompts (default 3) as they are seen, then stop"),
    ] = None,
) -> None:
    """Write answers to prompts: all tokens masked at first, some kept after every forward pass.

    Answers are in the order of the prompts and depend on seed, prompt, checkpoint and sampler alone. A repeated command
    goes on where it stopped. A model of block diffusion writes block by block.
    """
    with exit_codes():
        from vrpo_theory.generation import sampler_of

        rule = sampler_of(sampler)
        if shown is not None:
            show(_shown(asked | {"limit": min(shown, asked["limit"] or shown)}, loaded, answer_length))
            return
        _write(asked, loaded, out, {
            "sampler": rule, "answer_length": answer_length, "steps": steps, "seed": seed, "batch_tokens": batch_tokens,
        }, eos_last=eos_last)  # fmt: skip


def _write(
    asked: dict[str, Any], loaded: LoadOptions, out: Path | None, told: dict[str, Any], *, eos_last: bool
) -> None:
    from tqdm import tqdm

    from vrpo_theory import generation
    from vrpo_theory.runs import fingerprints
    from vrpo_theory.runs.generating import GenerationOptions, write

    model = fingerprints.load(asked["policy"], **{**loaded, "adapter": asked["adapter"]})
    bounds = {"vocabulary": model.vocabulary, "mask_token_id": model.mask_token_id, "max_length": model.max_length}
    prompts = _read(asked, told["answer_length"], bounds)
    words = _words(asked, model.mask_token_id)
    options = GenerationOptions(**told | {"sampler": _last(told["sampler"], words) if eos_last else told["sampler"]})
    canvases = [(prompt.ids, options.answer_length) for prompt in prompts]
    total = sum(generation.passes(model, canvas, options.sampler, options.steps) for canvas in canvases)
    with tqdm(total=total, desc="forward passes", leave=False, disable=None) as bar:
        passes = write(model, prompts, options, words, out, bar.update)
    say(f"{len(prompts)} answers, {passes:,} forward passes" + ("" if passes == total else f" of {total:,}"))


def _read(asked: dict[str, Any], answer_length: int, bounds: dict[str, Any]) -> Any:
    from vrpo_theory.data import read_prompts

    def tokenizer() -> Tokenizer:
        return _tokenizer(asked, bounds["mask_token_id"])

    read = {name: asked[name] for name in ("limit", "rendered")}
    return read_prompts(asked["prompts"], answer_length=answer_length, tokenizer=tokenizer, **read, **bounds)


def _tokenizer(asked: dict[str, Any], mask_token_id: int | None) -> Tokenizer:
    from vrpo_theory.runs import inputs

    policy = asked["policy"]
    return inputs.tokenizer(inputs.Sources(policy, policy, chat_template=asked["chat_template"]), mask_token_id)


def _words(asked: dict[str, Any], mask_token_id: int | None) -> Words | None:
    """The tokenizer of the checkpoint, if it has one."""
    from vrpo_theory.checkpoints.folder import local_folder
    from vrpo_theory.data.template import end_tokens
    from vrpo_theory.data.tokenizer import has_tokenizer
    from vrpo_theory.runs.generating import Words

    if not has_tokenizer(local_folder(asked["policy"])):
        return None
    found = _tokenizer(asked, mask_token_id)
    return Words(found, end_tokens(found))


def _last(sampler: Sampler, words: Words | None) -> Sampler:
    """The sampler with the answer's ends last."""
    from vrpo_theory.samplers.low_confidence import LowConfidence

    if not isinstance(sampler, LowConfidence):
        raise InputError(f"--eos-last is for samplers by confidence, {sampler.name} has none: drop it")
    if words is None or not words.ends:
        raise InputError(f"--eos-last: no tokenizer says what ends an answer: give --sampler '{sampler.name}(eos=ID)'")
    return replace(sampler, eos=words.ends)


def _shown(asked: dict[str, Any], loaded: LoadOptions, answer_length: int) -> str:
    """The first prompts, from tokenizer and config.json alone."""
    from vrpo_theory.checkpoints.options import given_facts
    from vrpo_theory.data.display import show_prompts
    from vrpo_theory.models import describe

    found = describe(asked["policy"], **given_facts(loaded))
    bounds = {
        "vocabulary": found.sizes.get("vocabulary"), "mask_token_id": found.facts.mask_token_id.value,
        "max_length": found.sizes.get("longest"),
    }  # fmt: skip
    prompts, words = _read(asked, answer_length, bounds), _words(asked, bounds["mask_token_id"])
    return show_prompts(prompts, answer_length, None if words is None else words.tokenizer)
