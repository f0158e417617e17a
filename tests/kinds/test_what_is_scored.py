"""The scored sequence is the tokenizer's own rendering of the conversation, whatever its template does."""

import json
import shutil
import warnings

import pytest

from vrpo_theory.data import BadRows, load_tokenizer, read_pairs, show
from vrpo_theory.data.tokenizer import require_same
from vrpo_theory.errors import InputError

from .conftest import CASES

ROW = {"prompt": "Name a fruit.", "chosen": "pear", "rejected": "rock"}
USER = {"role": "user", "content": "Name a fruit."}
EACH = "{% for m in messages %}"
CHATML = EACH + "{{'<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n'}}{% endfor %}"
PROMPTED = "{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
TEMPLATES = {
    "newline after the token": (EACH + "{{m.role + ':' + m.content + '<|eot_id|>\n'}}{% endfor %}"
                                "{% if add_generation_prompt %}assistant:{% endif %}", "pear<|eot_id|>"),
    "end of text after the last turn": (EACH + "{{m.role + ':' + m.content + '<|eot_id|>'}}{% endfor %}"
                                        "{{'assistant:' if add_generation_prompt else eos_token}}", "pear<|eot_id|>"),
    "a closing tag before the token": (EACH + "{{m.role + ':' + m.content + '<|end_header_id|><|eot_id|>'}}{% endfor %}"
                                       "{% if add_generation_prompt %}assistant:{% endif %}",
                                       "pear<|end_header_id|><|eot_id|>"),
    "no special token": (EACH + "{{'[' + m.role + ']' + m.content + '[/' + m.role + ']'}}{% endfor %}"
                         "{% if add_generation_prompt %}[assistant]{% endif %}", "pear[/assistant]"),
    "end of text": (EACH + "{{'Q:' + m.content + ' A: ' if m.role == 'user' else m.content + eos_token}}{% endfor %}",
                    "pear<|endoftext|>"),
    "a header that is always there": (EACH + "{{m.role + ': ' + m.content + '\n#'}}{% endfor %}assistant: ",
                                      "pear\n#"),
    "no generation prompt": (CHATML, "pear<|im_end|>\n"),
    "thoughts before the last answer": (EACH + "{{m.role + ':' + ('<think></think>' if m.role == 'assistant' else '')"
                                        " + m.content + '<|eot_id|>'}}{% endfor %}"
                                        "{% if add_generation_prompt %}assistant:{% endif %}",
                                        "<think></think>pear<|eot_id|>"),
    "nothing at the end": (EACH + "{{'Q:' + m.content + ' A:' if m.role == 'user' else m.content}}{% endfor %}",
                           "pear"),
}  # fmt: skip


def scored(path, words, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (pair,) = read_pairs(path, tokenizer=words, **options)
    return tuple(words.decode(list(ids)) for ids in (pair.chosen.prompt, pair.chosen.ids))


def said(path, words):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        read_pairs(path, tokenizer=words)
    return [str(warning.message) for warning in found]


@pytest.mark.parametrize("kind", TEMPLATES)
def test_the_sequence_is_a_beginning_of_the_template_s_rendering(write, tokenizer, kind):
    template, answer = TEMPLATES[kind]
    words = tokenizer(template)
    prompt, found = scored(write(ROW), words)
    whole = words.apply_chat_template([USER, {"role": "assistant", "content": "pear"}], tokenize=False)
    assert found == answer
    assert whole.startswith(prompt + found)


@pytest.mark.parametrize("kind", ["chatml", "answer"])
def test_the_end_of_turn_is_the_template_s(write, tokenizer, kind):
    """github.com/huggingface/trl/issues/7039: it is neither a constant nor the end of text."""
    template = CHATML.replace("\n'}}", "'}}") + PROMPTED if kind == "chatml" else TEMPLATES["no special token"][0]
    end = "<|im_end|>" if kind == "chatml" else "[/assistant]"
    assert scored(write(ROW), tokenizer(template))[1] == "pear" + end
    assert scored(write(ROW), tokenizer(template), append_eot=False)[1] == "pear"


@pytest.mark.parametrize("space", ["", "\n", " \n\n"])
@pytest.mark.parametrize("kind", ["newline after the token", "no generation prompt", "no special token"])
def test_an_end_of_turn_that_is_there_is_not_written_twice(write, tokenizer, kind, space):
    template, answer = TEMPLATES[kind]
    row = ROW | {"chosen": answer.rstrip() + space}
    for rendered in (False, True):
        assert scored(write(row), tokenizer(template), rendered=rendered)[1] == answer


def test_a_tokenizer_without_template_uses_no_fields(write, tokenizer):
    (text,) = said(write(FRUIT | {"tools": [{"name": "f"}]}, FRUIT | {"prompt": "name ."}), tokenizer(kind="bert"))
    assert "no chat template that could use the fields tools (1); found in 1 of 2 text rows" in text


def test_a_template_without_end_of_turn_is_said(write, tokenizer):
    words = tokenizer(TEMPLATES["nothing at the end"][0])
    assert any("writes no end of turn after an answer" in text for text in said(write(ROW), words))


CALL = [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]
FIELDS = {
    "reasoning_content": {"chosen": [{"role": "assistant", "content": "pear", "reasoning_content": "a chain"}]},
    "tool_calls": {"chosen": [{"role": "assistant", "content": "pear", "tool_calls": CALL}]},
    "tools": {"tools": json.dumps([{"type": "function", "function": {"name": "f"}}])},
    "weight": {"chosen": [{"role": "assistant", "content": "pear", "weight": 3}]},
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_that_the_template_does_not_use_are_named(write, tokenizer, name):
    """github.com/axolotl-ai-cloud/axolotl/issues/3824: they were dropped in silence."""
    words, row = tokenizer(), ROW | FIELDS[name]
    assert scored(write(row), words) == scored(write(ROW), words)
    (text,) = said(write(row, ROW | {"prompt": "Another?"}), words)
    assert f"does not use change nothing: {name} (1); found in 1 of 2 text rows" in text


@pytest.mark.parametrize(("name", "written"), [("reasoning_content", "a chain"), ("tool_calls", '"name": "f"')])
def test_fields_that_the_template_uses_are_scored(write, tokenizer, name, written):
    template = EACH + "{{m.role + ':' + (m.reasoning_content or '') + m.content"
    template += " + (m.tool_calls | tojson if m.tool_calls else '') + '<|eot_id|>'}}{% endfor %}"
    words = tokenizer(template + "{% if add_generation_prompt %}assistant:{% endif %}")
    row = ROW | FIELDS[name]
    assert written in scored(write(row), words)[1]
    assert said(write(row), words) == []


def test_columns_reach_the_template(write, tokenizer):
    template = "{{tools | tojson if tools else ''}}{{mood or ''}}" + EACH
    words = tokenizer(template + "{{m.role + ':' + m.content + '<|eot_id|>'}}{% endfor %}"
                      "{% if add_generation_prompt %}assistant:{% endif %}")  # fmt: skip
    row = ROW | FIELDS["tools"] | {"chat_template_kwargs": {"mood": "glad"}, "system": "Be brief."}
    prompt, _ = scored(write(row), words)
    assert prompt.startswith('[{"type": "function", "function": {"name": "f"}}]gladsystem:Be brief.<|eot_id|>user:')
    assert said(write(row), words) == []


@pytest.mark.parametrize("prefix", ["<|startoftext|>", ""])
def test_a_rendered_prompt_is_refused_or_taken_as_it_stands(write, tokenizer, prefix):
    """github.com/huggingface/trl/issues/1484: it was rendered twice."""
    words = tokenizer()
    prompt, answer = scored(write(ROW), words)
    path = write(ROW | {"prompt": prefix + prompt.removeprefix("<|startoftext|>")})
    with pytest.raises(BadRows, match=r":1: prompt is rendered already .*--rendered"):
        read_pairs(path, tokenizer=words)
    assert scored(path, words, rendered=True) == (prefix + prompt.removeprefix("<|startoftext|>"), answer)


def test_a_prompt_rendered_without_special_tokens_is_known_by_its_header(write, tokenizer):
    words = tokenizer(TEMPLATES["no special token"][0])
    path = write(ROW | {"prompt": "[user]Name a fruit.[/user][assistant]", "chosen": "pear[/assistant]"})
    with pytest.raises(BadRows, match="rendered already"):
        read_pairs(path, tokenizer=words)
    assert scored(path, words, rendered=True)[1] == "pear[/assistant]"


def test_rendered_rows_are_strings(write, tokenizer):
    with pytest.raises(BadRows, match="rendered rows hold prompt, chosen and rejected as strings"):
        read_pairs(write(ROW | {"prompt": [USER]}), tokenizer=tokenizer(), rendered=True)


FRUIT = {"prompt": "name a fruit .", "chosen": "pear !", "rejected": "rock !"}
FORMS = {  # single, pair, and what stands before an answer
    "bert": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", "[CLS] name a fruit. [SEP]"),
    "roberta": ("[CLS] $A [SEP]", "[CLS] $A [SEP] [SEP] $B [SEP]", "[CLS] name a fruit. [SEP] [SEP]"),
    "llama": ("[CLS] $A", "[CLS] $A [CLS] $B", "[CLS] name a fruit."),
    "bos and eos": ("[CLS] $A [SEP]", "[CLS] $A [SEP] [CLS] $B [SEP]", "[CLS] name a fruit."),
}


@pytest.mark.parametrize("form", FORMS)
def test_without_a_template_text_has_the_tokenizer_s_special_tokens(write, tokenizer, form):
    """github.com/huggingface/transformers/issues/3640: BERT needs [CLS] and [SEP]."""
    from tokenizers.processors import TemplateProcessing

    words, (single, pair, before) = tokenizer(kind="bert"), FORMS[form]
    words.backend_tokenizer.post_processor = TemplateProcessing(single, pair, [("[CLS]", 2), ("[SEP]", 3)])
    (found,) = read_pairs(write(FRUIT), tokenizer=words)
    assert words.decode(list(found.chosen.prompt)).replace(" .", ".") == before
    assert words.convert_ids_to_tokens(list(found.chosen.ids)) == ["pear", "!"]
    with pytest.raises(BadRows, match="prompt begins with the special tokens that the tokenizer adds"):
        read_pairs(write(FRUIT | {"prompt": "[CLS] name a fruit ."}), tokenizer=words)


def test_unknown_words_are_counted_aloud(write, tokenizer):
    words = tokenizer(kind="bert")
    (text,) = said(write(FRUIT | {"chosen": "kumquat !"}, FRUIT), words)
    assert "in 1 of 2 text rows, words that the tokenizer does not know became its unknown token: kumquat (1)" in text


def test_the_template_s_clock_stands_still(write, tokenizer):
    words = tokenizer("{{strftime_now('%d %b %Y')}}" + TEMPLATES["no special token"][0])
    assert scored(write(ROW), words)[0].startswith("01 Jan 2025[user]")


FAULTS = {
    "TypeError": "{% set s = none %}{{ 'System: ' + s }}",
    "TemplateSyntaxError": "{% for m in messages %}{{ m['content'] }}",
    "UndefinedError": "{{ nobody.name }}",
    "ZeroDivisionError": "{{ 1 / 0 }}",
    "random numbers": "{{ [1, 2] | random }}",
    "does not write the answer": "Name a fruit.",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_faulty_template_is_named_in_one_line(write, tokenizer, kind):
    """github.com/kvcache-ai/ktransformers/issues/1155: a traceback, or the prompt's roles were blamed."""
    with pytest.raises(InputError, match=kind) as caught:
        read_pairs(write(ROW, ROW | {"prompt": "Another?"}), tokenizer=tokenizer(FAULTS[kind]))
    assert "chat template" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert "roles" not in str(caught.value)


def test_a_template_that_rewrites_the_prompt_is_refused_with_the_difference(write, tokenizer):
    words = tokenizer("{{messages | length}}" + TEMPLATES["no special token"][0])
    with pytest.raises(BadRows, match=r"otherwise once an answer follows: '1\[user\].*' against '2\[user\].*' at char"):
        read_pairs(write(ROW), tokenizer=words)


def test_of_named_templates_one_is_chosen(tmp_path, tokenizer):
    named = [{"name": name, "template": name} for name in ("rag", "tool_use")]
    with pytest.raises(InputError, match="has the chat templates rag, tool_use, and none is the default"):
        tokenizer(named)
    assert load_tokenizer(tmp_path / "words", "rag").chat_template == "rag"
    with pytest.raises(InputError, match="and chat is no file either"):
        load_tokenizer(tmp_path / "words", "chat")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("chat_template.jinja", "another", "two chat templates"),
        ("special_tokens_map.json", '{"eos_token": "<|eot_id|>"}', "eos_token is '<|endoftext|>'"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"260": {"content": "<x>"}}}', "token 260 is '<|eot_id|>'"),
    ],
)
def test_a_fact_that_two_files_state_differently_is_refused(tmp_path, name, content, reason):
    folder = shutil.copytree(CASES / "base" / "policy", tmp_path / "model")
    (folder / name).write_text(content)
    with pytest.raises(InputError) as caught:
        load_tokenizer(folder)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace('"pear"', '"peach"'), "have different vocabularies"),
        (lambda text: text.replace('"lowercase":true', '"lowercase":false'), "split text differently"),
    ],
)
def test_two_tokenizers_that_differ_are_refused(tmp_path, change, reason):
    first, second = (shutil.copytree(CASES / "bert" / "policy", tmp_path / name) for name in ("first", "second"))
    path = second / "tokenizer.json"
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                  "strip_accents": None, "lowercase": True}  # fmt: skip
    text = json.dumps(json.loads(path.read_text()) | {"normalizer": normalizer}, separators=(",", ":"))
    (first / "tokenizer.json").write_text(text)
    path.write_text(change(text))
    with pytest.raises(InputError, match=reason):
        require_same(load_tokenizer(first), load_tokenizer(second))


def test_a_named_template_is_chosen_at_the_command_line(vrpo, tmp_path):
    named = [{"name": name, "template": TEMPLATES[kind][0]} for name, kind in
             (("tool_use", "no special token"), ("rag", "end of text"))]  # fmt: skip
    for role in ("policy", "reference"):
        folder = shutil.copytree(CASES / "base" / role, tmp_path / role)
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": named}))
    models = [f"--{role}={tmp_path / role}" for role in ("policy", "reference")]
    command = ["score", *models, f"--pairs={CASES / 'base' / 'pairs.jsonl'}", "--show"]
    refused, chosen = (vrpo(*command, *more) for more in ([], ["--chat-template", "tool_use"]))
    assert (refused.exit_code, chosen.exit_code) == (2, 0), chosen.output
    assert "has the chat templates rag, tool_use, and none is the default" in refused.output
    assert "[assistant][[pear[/assistant]]]" in chosen.stdout


@pytest.mark.parametrize("number", [[], ["2"]])
def test_the_command_shows_what_is_scored_without_weights(vrpo, tmp_path, number):
    for role in ("policy", "reference"):
        shutil.copytree(CASES / "base" / role, tmp_path / role)
        (tmp_path / role / "model.safetensors").unlink()
    models = [f"--{role}={tmp_path / role}" for role in ("policy", "reference")]
    result = vrpo("score", *models, f"--pairs={CASES / 'base' / 'pairs.jsonl'}", "--show", *number)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("pair ") == (2 if number else 3)
    assert "assistant<|end_header_id|>\\n\\n[[pear<|eot_id|>]]" in result.stdout


def test_ids_are_shown_without_a_tokenizer(write):
    pairs = read_pairs(write({"prompt_ids": [1, 2], "chosen_ids": [3], "rejected_ids": [4, 5]}))
    assert [line.strip() for line in show(pairs).splitlines() if "ids:" in line] == [
        "ids:  1 2 [[ 3 ]]", "ids:  1 2 [[ 4 5 ]]",
    ]  # fmt: skip
