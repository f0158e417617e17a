"""Differences that bear on no number load, with the numbers of the clean folder; what is accused was seen.

https://github.com/d9d-project/d9d/issues/23, https://github.com/mosaicml/llm-foundry/issues/1488,
https://github.com/turboderp-org/exllamav2/issues/566, https://github.com/huggingface/transformers/issues/46198,
https://github.com/Neph0s/CoSER/issues/3
"""

import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vrpo_theory import elbo
from vrpo_theory.errors import InputError
from vrpo_theory.models import load_model
from vrpo_theory.types import Response

REQUESTS = [(Response((5, 6), (7, 8, 9, 10)), np.array([[1, 0, 1, 1], [0, 1, 0, 0]], bool))]
SINGLE, INDEX, SHARD = "model.safetensors", "model.safetensors.index.json", "model-00001-of-00001.safetensors"


def numbers(folder, **options):
    return elbo.terms(REQUESTS, load_model(folder, **options))[0]


def weights(folder, change):
    tensors = load_file(folder / SINGLE)
    save_file(change(tensors), folder / SINGLE, {"format": "pt"})


def one_shard(folder, edit):
    (folder / SINGLE).rename(folder / SHARD)


def two_shards(folder, edit):
    tensors = load_file(folder / SINGLE)
    (folder / SINGLE).unlink()
    for number in (0, 1):
        half = {name: tensors[name] for name in sorted(tensors)[number::2]}
        save_file(half, folder / f"model-{number + 1:05d}-of-00002.safetensors")


def stale_index(folder, edit):
    edit(folder / INDEX, weight_map={"a": "model-00001-of-00030.safetensors"})


def shards_of_another_index(folder, edit):
    two_shards(folder, edit)
    stale_index(folder, edit)


def marked(folder, edit):
    path = folder / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def beside(folder, edit):
    for name in ("training_args.bin", "optimizer.pt", "pytorch_model.bin", "README.md", "modeling_x.py", "model.onnx"):
        (folder / name).write_bytes(b"no weights")
    (folder / "runs").mkdir()


def renamed(folder, edit):
    (folder / SINGLE).rename(folder / "pytorch_model.safetensors")


def tied_twice(folder, edit):
    names = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
    weights(folder, lambda tensors: tensors | {names[0]: tensors[names[1]].clone()})


HARMLESS = {
    "one shard": ("base", one_shard),
    "two shards": ("base", two_shards),
    "BERT in shards": ("bert", two_shards),
    "a file of another name": ("base", renamed),
    "a stale index": ("base", stale_index),
    "an index that cannot be read": ("base", lambda f, edit: (f / INDEX).write_text("{")),
    "shards and a stale index": ("base", shards_of_another_index),
    "a byte order mark": ("base", marked),
    "BERT's byte order mark": ("bert", marked),
    "other files": ("base", beside),
    "BERT's other files": ("bert", beside),
    "float64 norms": (
        "base",
        lambda f, _: weights(f, lambda t: {k: v.double() if "norm" in k else v for k, v in t.items()}),
    ),
    "a tied matrix stored twice": ("bert", tied_twice),
    "use_cache": ("base", lambda f, edit: edit(f / "config.json", use_cache=True)),
    "several ends": ("base", lambda f, edit: edit(f / "config.json", eos_token_id=[257, 260])),
    "dropout": ("base", lambda f, edit: edit(f / "config.json", residual_dropout=0.1)),
    "code": ("base", lambda f, edit: edit(f / "config.json", auto_map={"AutoModel": "code.Model"})),
    "BERT's code": ("bert", lambda f, edit: edit(f / "config.json", auto_map={"AutoModelForMaskedLM": "code.Model"})),
    "no class": ("base", lambda f, edit: edit(f / "config.json", architectures=...)),
    "another class": ("bert", lambda f, edit: edit(f / "config.json", architectures=["custom.Remote", "X"])),
    "spellings of the type": (
        "base",
        lambda f, edit: edit(f / "config.json", dtype="BFloat16", torch_dtype="torch.half"),
    ),
    "BERT's type": ("bert", lambda f, edit: edit(f / "config.json", dtype="Float33")),
    "keys nobody reads": (
        "bert",
        lambda f, edit: edit(f / "config.json", my_note={"a": 1}, gradient_checkpointing=True),
    ),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_moves_no_number_loads(checkpoint, edit, case):
    kind, act = HARMLESS[case]
    clean, other = checkpoint(kind, "clean"), checkpoint(kind, "o $HOME ü 漢")
    act(other, edit)
    assert np.array_equal(numbers(other), numbers(clean))


def test_types_may_be_mixed(checkpoint):
    folder = checkpoint("base")
    weights(folder, lambda tensors: {k: v if "norm" in k else v.bfloat16() for k, v in tensors.items()})
    mixed = numbers(folder)
    weights(folder, lambda tensors: {k: v.float() for k, v in tensors.items()})
    assert np.array_equal(mixed, numbers(folder))


@pytest.mark.parametrize("spelling", ["BFloat16", "torch.bfloat16", "bf16", torch.bfloat16])
def test_a_type_in_memory_has_several_spellings(checkpoint, spelling):
    assert load_model(checkpoint("base"), dtype=spelling).dtype == torch.bfloat16


HEADS = {
    "pooler": ["bert.pooler.dense.weight", "bert.pooler.dense.bias"],
    "next sentence": ["cls.seq_relationship.weight", "cls.seq_relationship.bias"],
    "classifier": ["classifier.weight", "qa_outputs.bias"],
    "discriminator": ["discriminator_predictions.dense.weight"],
}


@pytest.mark.parametrize("case", HEADS)
def test_unused_heads_are_named(checkpoint, capsys, case):
    folder = checkpoint("bert")
    clean = numbers(folder)
    weights(folder, lambda tensors: tensors | {name: torch.ones(2) for name in HEADS[case]})
    assert np.array_equal(numbers(folder), clean)
    (said,) = capsys.readouterr().err.splitlines()
    assert min(HEADS[case]) in said
    assert "not used: no part of BertForMaskedLM" in said


INSIDE = (
    "bert.encoder.layer.2.output.dense.weight",
    "bert.encoder.layer.0.attention.self.query.lora_A.weight",
    "bert.embeddings.other_embeddings.weight",
    "cls.predictions.transform.dense.scale",
)


@pytest.mark.parametrize("name", INSIDE)
def test_what_would_belong_inside_is_refused(checkpoint, name):
    folder = checkpoint("bert")
    weights(folder, lambda tensors: tensors | {name: torch.ones(2)})
    with pytest.raises(InputError, match=f"was not loaded as it is, unexpected keys: {name}$"):
        load_model(folder)


def test_a_head_that_is_missing_is_refused_without_a_set(checkpoint):
    folder = checkpoint("bert")
    weights(folder, lambda tensors: {k: v for k, v in tensors.items() if not k.startswith("cls.predictions.transform")})
    with pytest.raises(InputError, match=r"missing keys: cls\.predictions\.transform\.\S+ and 3 more") as error:
        load_model(folder)
    assert "{" not in str(error.value)


def lost(folder):
    (folder / SINGLE).unlink()
    (folder / "optimizer.pt").touch()


def dangling(folder):
    (folder / SINGLE).unlink()
    (folder / SINGLE).symlink_to(folder / "blobs" / "gone")


def part_of_a_set(folder):
    (folder / SINGLE).rename(folder / "model-00001-of-00003.safetensors")


def a_file(folder):
    folder.rename(folder.with_name("moved"))
    folder.write_text("")


def two_sets(folder):
    (folder / SINGLE).rename(folder / SHARD)
    (folder / "model-00001-of-00002.safetensors").touch()


SEEN = {
    "no weights": (lost, "has only config.json, optimizer.pt, tokenizer.json, tokenizer_config.json: add the weights"),
    "a link to nothing": (dangling, r"model.safetensors cannot be read \(No such file or directory\)"),
    "a folder for a file": (lambda f: ((f / "config.json").unlink(), (f / "config.json").mkdir()), "Is a directory"),
    "a shard is missing": (part_of_a_set, "has 1 of 3 shards; number 2 is missing"),
    "two sets": (two_sets, "keep one set of weights"),
    "a file for a folder": (a_file, r"is not a folder: .*\(Not a directory\)"),
}


@pytest.mark.parametrize("case", SEEN)
def test_the_reason_is_what_was_seen(checkpoint, case):
    act, match = SEEN[case]
    folder = checkpoint("base")
    act(folder)
    with pytest.raises(InputError, match=match) as error:
        load_model(folder)
    assert "\n" not in str(error.value)
    assert "download" not in str(error.value)


@pytest.mark.parametrize("name", [".", SINGLE, "config.json"])
def test_a_refusal_of_the_system_is_in_its_own_words(checkpoint, monkeypatch, name):
    folder = checkpoint("base")

    def denied(path, *_, **__):
        if str(path) == str(folder / name):
            raise PermissionError(13, "Permission denied", str(path))
        return allowed[name](path, *_, **__)

    place, attribute = (os, "listdir") if name == "." else (type(folder), "open")
    allowed = {name: getattr(place, attribute)}
    monkeypatch.setattr(place, attribute, denied)
    with pytest.raises(InputError, match=r"cannot be (read|listed) \(Permission denied\)$"):
        load_model(folder)


def test_content_of_an_index_may_point_to_the_single_file(checkpoint):
    folder = checkpoint("base")
    clean, names = numbers(folder), load_file(folder / SINGLE)
    (folder / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(names, SINGLE)}))
    assert np.array_equal(numbers(folder), clean)
