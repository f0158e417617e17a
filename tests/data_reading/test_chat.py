"""Text becomes the tokens that the model sees in generation."""

import json
import shutil
import warnings

import pytest

from vrpo_theory.data import BadRows, load_tokenizer, read_pairs
from vrpo_theory.errors import InputError

USER = {"role": "user", "content": "Which?"}
ANSWER = {"role": "assistant", "content": "This."}
SYSTEM = {"role": "system", "content": "Be brief."}
HEADER = "<|start_header_id|>assistant<|end_header_id|>\n\n"
PROMPT = "<|startoftext|><|start_header_id|>user<|end_header_id|>\n\nWhich?<|eot_id|>" + HEADER


def row(prompt="Which?", chosen="This.", rejected="That."):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def read_one(path, tokenizer, **settings):
    (pair,) = read_pairs(path, tokenizer=tokenizer, **settings)
    return tuple(tokenizer.decode(list(ids)) for ids in (pair.chosen.prompt, pair.chosen.ids, pair.rejected.ids))


def test_a_string_prompt_is_one_user_turn_and_answers_end_their_turn(write, llada):
    assert read_one(write(row()), llada) == (PROMPT, "This.<|eot_id|>", "That.<|eot_id|>")


@pytest.mark.parametrize("chosen", ["This.", [ANSWER], [USER, ANSWER]], ids=["string", "message", "whole chat"])
@pytest.mark.parametrize("prompt", ["Which?", [USER]], ids=["string", "messages"])
def test_strings_and_messages_say_the_same(write, llada, prompt, chosen):
    assert read_one(write(row(prompt, chosen)), llada) == read_one(write(row()), llada)


def test_the_prompt_ends_in_exactly_one_assistant_header(write, llada):
    """Seen at https://huggingface.co/GSAI-ML/LLaDA-8B-Instruct/blob/main/tokenizer_config.json."""
    prompt, _, _ = read_one(write(row([SYSTEM, USER, ANSWER, USER], [SYSTEM, USER, ANSWER, USER, ANSWER])), llada)
    turns = [SYSTEM["content"], USER["content"], HEADER + ANSWER["content"], USER["content"]]
    assert prompt.endswith("Which?<|eot_id|>" + HEADER)
    assert prompt.count(HEADER) == 2
    assert prompt.count("<|startoftext|>") == 1
    assert prompt.count("<|eot_id|>") == len(turns)
    assert all(turn + "<|eot_id|>" in prompt for turn in turns)


def test_the_end_of_turn_can_be_left_out(write, llada):
    assert read_one(write(row()), llada, append_eot=False) == (PROMPT, "This.", "That.")


def test_the_end_of_turn_is_not_repeated(write, llada):
    assert read_one(write(row(chosen="This.<|eot_id|>")), llada)[1] == "This.<|eot_id|>"


def test_answers_are_scored_as_the_template_writes_them(write, llada):
    """LLaDA's template trims contents; what it writes is scored, and said where it is not what was given."""
    with pytest.warns(UserWarning, match="in 1 of 1 text rows, the chat template does not write an answer as it"):
        assert read_one(write(row(chosen="  This.\n")), llada)[1] == "This.<|eot_id|>"


def test_special_tokens_in_a_text_are_counted(write, llada):
    with pytest.warns(UserWarning, match=r"special tokens \(<\|endoftext\|> \(1\)\)"):
        assert read_one(write(row(chosen="This.\n<|endoftext|>")), llada)[1] == "This.\n<|endoftext|><|eot_id|>"


def test_without_a_template_text_is_raw_started_once_and_never_truncated_or_padded(write, plain):
    long = "A prompt longer than the four tokens that the files ask for."
    assert read_one(write(row(prompt=long)), plain) == ("<|startoftext|>" + long, "This.", "That.")


def test_without_a_template_messages_are_refused(write, plain):
    with pytest.raises(BadRows, match=r":1: chat messages, but the tokenizer has no chat template"):
        read_pairs(write(row(prompt=[USER])), tokenizer=plain)


@pytest.mark.parametrize(("answer", "rows"), [("ey.", 1), ("i.", 0)])
def test_a_merge_across_the_boundary_is_said_and_not_made(write, plain, answer, rows):
    """Seen at https://github.com/huggingface/trl/issues/2054, https://github.com/huggingface/trl/issues/1679."""
    path = write(row(prompt="Say h", chosen=answer))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert read_one(path, plain)[:2] == ("<|startoftext|>Say h", answer)
    assert [f"in {rows} of 1 text rows" in str(warning.message) for warning in said] == [True] * rows


def test_a_merge_with_the_header_is_said(write, llada_folder):
    llada = load_tokenizer(llada_folder)
    llada.chat_template = llada.chat_template.replace(" | trim", "")
    with pytest.warns(UserWarning, match="in 1 of 2 text rows"):
        read_pairs(write(row(chosen="\nThis."), row()), tokenizer=llada)


def test_tokens_are_those_of_prompt_and_answer_apart(write, llada):
    (pair,) = read_pairs(write(row()), tokenizer=llada)
    assert pair.chosen.prompt == tuple(llada.encode(PROMPT, add_special_tokens=False))
    assert pair.chosen.ids == tuple(llada.encode("This.<|eot_id|>", add_special_tokens=False))


def test_text_without_a_tokenizer_says_what_to_give(write):
    with pytest.raises(BadRows, match=r":1: text without a tokenizer: give \*_ids or a model folder"):
        read_pairs(write(row()))


def test_the_tokenizer_is_made_once_for_all_rows_of_text(write, llada):
    calls = []
    ids = {"prompt_ids": [], "chosen_ids": [1], "rejected_ids": [2]}
    rows = [ids, row(), row(chosen="Those.")]
    pairs = read_pairs(write(*rows), tokenizer=lambda: calls.append(1) or llada)
    assert (len(pairs), len(calls)) == (3, 1)


class Strip:
    """A tokenizer for which an answer of dots is nothing, and other answers are one token or two."""

    chat_template = None

    def encode(self, text, **_):
        return [len(text)] * len(text.strip(".").split())


def test_zero_scored_tokens_are_refused(write):
    with pytest.raises(BadRows, match=":1: chosen has zero tokens after tokenization"):
        read_pairs(write(row(chosen="...")), tokenizer=Strip())


def test_answers_that_differ_in_text_but_not_in_tokens_are_refused(write):
    with pytest.raises(BadRows, match=":1: chosen equals rejected"):
        read_pairs(write(row(chosen="a b", rejected="a\tb")), tokenizer=Strip())


def test_a_prompt_that_the_template_refuses_is_a_bad_row(write, llada_folder):
    tokenizer = load_tokenizer(llada_folder)
    tokenizer.chat_template = "{{ raise_exception('no system\nturn') }}"
    with pytest.raises(BadRows, match=r":1: the chat template refuses the prompt \(no system turn\)"):
        read_pairs(write(row()), tokenizer=tokenizer)


@pytest.fixture
def copied(llada_folder, tmp_path):
    return shutil.copytree(llada_folder, tmp_path / "model")


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_folder_without_tokenizer_files_is_refused(copied, name):
    (copied / name).unlink()
    with pytest.raises(InputError, match=f"no {name}"):
        load_tokenizer(copied)


def test_a_damaged_tokenizer_is_refused_in_one_line(copied):
    (copied / "tokenizer.json").write_text('{"model": {}}')
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_tokenizer(copied)
    assert "\n" not in str(caught.value)


def test_code_in_the_folder_is_not_run(copied, tmp_path, llada):
    trace = tmp_path / "ran"
    (copied / "code.py").write_text(
        f"open({str(trace)!r}, 'w')\nfrom transformers import PreTrainedTokenizerFast as T\n"
    )
    for name, kind in (("config.json", "AutoConfig"), ("tokenizer_config.json", "AutoTokenizer")):
        config = json.loads((copied / name).read_text()) if (copied / name).exists() else {"model_type": "llada"}
        config["auto_map"] = {kind: ["code.T", "code.T"] if kind == "AutoTokenizer" else "code.T"}
        (copied / name).write_text(json.dumps(config))
    assert load_tokenizer(copied).get_vocab() == llada.get_vocab()
    assert not trace.exists()


def test_a_folder_that_lacks_a_tokenizer_stops_at_the_first_row_of_text(write, tmp_path):
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        read_pairs(write(row()), tokenizer=lambda: load_tokenizer(tmp_path))
