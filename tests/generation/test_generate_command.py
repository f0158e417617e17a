"""``vrpo generate``: lines in the prompts' order, kept as they are made, and gone on with."""

import json
from pathlib import Path

import pytest

from vrpo_theory import generate, load_model, read_pairs
from vrpo_theory.data import load_tokenizer, read_prompts
from vrpo_theory.data.template import end_tokens
from vrpo_theory.generation import writing
from vrpo_theory.locks import hold

BASE = Path(__file__).parents[1] / "data" / "cases" / "base"
POLICY, PAIRS = BASE / "policy", BASE / "pairs.jsonl"
LENGTH = 6


@pytest.fixture
def write(vrpo, tmp_path):
    """Runs the command; gives its result and the file."""

    def run(*options, out="answers.jsonl", prompts=PAIRS):
        told = ("--policy", POLICY, "--prompts", prompts, "--answer-length", LENGTH, "--out", tmp_path / out)
        return vrpo("generate", *told, *options), tmp_path / out

    return run


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_answers_are_those_of_generate_in_the_order_of_the_prompts(write):
    result, out = write("--sampler", "diffusion", "--seed", 3, "--steps", 3)
    assert result.exit_code == 0, result.stderr
    words, pairs = load_tokenizer(POLICY), read_pairs(PAIRS, tokenizer=load_tokenizer(POLICY))
    canvases = [(pair.chosen.prompt, LENGTH) for pair in pairs]
    expected = generate(load_model(POLICY), canvases, "diffusion", steps=3, seed=3)
    found = rows(out)
    assert [row["id"] for row in found] == [pair.id for pair in pairs]
    assert [tuple(row["ids"]) for row in found] == [answer.ids for answer in expected]
    assert {row["passes"] for row in found} == {3}
    for row in found:
        stop = next((k for k, token in enumerate(row["ids"]) if token in end_tokens(words)), LENGTH)
        assert row["text"] == words.decode(row["ids"][:stop])


def test_prompts_are_text_messages_or_ids(write, tmp_path):
    words = load_tokenizer(POLICY)
    ask = [{"role": "user", "content": "Name a fruit."}]
    ids = words.apply_chat_template(ask, add_generation_prompt=True, tokenize=True, return_dict=False)
    rows = [{"prompt": "Name a fruit."}, {"prompt": ask}, {"prompt_ids": ids, "id": "same"}]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = read_prompts(path, answer_length=LENGTH, tokenizer=words)
    assert [prompt.id for prompt in found] == ["1", "2", "same"]
    assert {prompt.ids for prompt in found} == {tuple(ids)}
    result, out = write(prompts=path)
    assert result.exit_code == 0, result.stderr
    assert len({row["key"] for row in map(json.loads, out.read_text().splitlines())}) == 1


def test_an_interrupted_command_goes_on(write, monkeypatch):
    """Also behind a torn line; other sizes of batches are no other answers."""
    _, whole = write("--sampler", "diffusion", out="whole.jsonl")
    usual, calls = writing._written, []

    def twice(*rows):
        calls.append(rows)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return usual(*rows)

    monkeypatch.setattr(writing, "_written", twice)
    result, out = write("--sampler", "diffusion", "--batch-tokens", 1)
    assert result.exit_code == 130
    assert out.read_text().count("\n") == 2
    out.write_bytes(out.read_bytes() + whole.read_bytes().splitlines()[2][:20])
    result, _ = write("--sampler", "diffusion")
    assert result.exit_code == 0, result.stderr
    assert out.read_bytes() == whole.read_bytes()
    calls.clear()
    assert write("--sampler", "diffusion")[0].exit_code == 0
    assert calls == []
    assert out.read_bytes() == whole.read_bytes()


def test_other_answers_are_left_alone(write):
    _, out = write()
    before = out.read_bytes()
    for options in (("--seed", 1), ("--steps", 2), ("--sampler", "diffusion"), ("--limit", 1)):
        result, _ = write(*options)
        assert result.exit_code == 2
        assert "give another --out" in result.stderr
    with hold(out):
        assert "is being written by another process" in write()[0].stderr
    assert out.read_bytes() == before
    out.write_text("no answer\n")
    assert "is no answer" in write()[0].stderr


def test_the_end_may_be_written_last(write):
    ends = set(end_tokens(load_tokenizer(POLICY)))
    assert ends
    result, out = write("--eos-last", "--limit", 1)
    assert result.exit_code == 0, result.stderr
    ids = [row["ids"] for row in rows(out)]
    (expected,) = read_pairs(PAIRS, tokenizer=load_tokenizer(POLICY), limit=1)
    sampler = f"low_confidence(eos={tuple(sorted(ends))})"
    assert [tuple(i) for i in ids] == [generate(load_model(POLICY), [(expected.chosen.prompt, LENGTH)], sampler)[0].ids]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--sampler", "greedy"), "unknown sampler 'greedy'"),
        (("--sampler", "diffusion", "--eos-last"), "--eos-last is for samplers by confidence"),
        (("--sampler", "semi_autoregressive(block_length=2)", "--steps", 2), "2 steps for 3 blocks"),
        (("--answer-length", 10_000), "answer of 10000 tokens exceed max_length"),
        (("--temperature", 1), "No such option"),
    ],
)
def test_what_cannot_be_is_refused(write, options, named):
    result, out = write(*options)
    assert result.exit_code == 2
    assert named in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"question": "?"}, "missing prompt or prompt_ids"),
        ({"prompt": "a", "prompt_ids": [1]}, "holds both prompt and prompt_ids"),
        ({"prompt_ids": [1, 9999]}, "token 9999 of a vocabulary of"),
        ({"prompt": ""}, "prompt"),
        ({"prompt_ids": [1], "id": 1}, "id '1' occurs twice"),
    ],
)
def test_rows_are_checked(write, tmp_path, row, named):
    path = tmp_path / "prompts.jsonl"
    path.write_text(f'{{"prompt_ids": [2]}}\n{json.dumps(row)}\n')
    result, _ = write(prompts=path)
    assert result.exit_code == 2
    assert f"{path}:2: " in result.stderr
    assert named in result.stderr


def test_prompts_are_shown_without_the_model(write, monkeypatch):
    monkeypatch.setattr("vrpo_theory.models.load_model", None)
    result, out = write("--show", 1)
    assert result.exit_code == 0, result.stderr
    assert "Name a fruit." in result.stdout
    assert result.stdout.count(f"[[ {LENGTH} tokens ]]") == 2
    assert not out.exists()
