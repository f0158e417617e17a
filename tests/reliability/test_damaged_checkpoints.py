"""Checkpoints that are cut, lie or hold absurd sizes: refused in one line, before anything large is allocated."""

import json
import os
import random
import shutil
import struct
from pathlib import Path

import pytest

from vrpo_theory import load_model
from vrpo_theory.errors import InputError

from .limits import little_memory, little_time, needs_proc
from .tried import count

DATA = Path(__file__).parents[1] / "data"
FAMILIES = {
    "llada": (DATA / "cases/base/policy", {}),
    "bert": (DATA / "cases/bert/policy", {}),
    "decoder": (DATA / "golden/dream", {}),
    "experts": (DATA / "golden/llada2", {"mask_token_id": 157, "block_length": 4}),
}
WEIGHTS = "model.safetensors"
pytestmark = needs_proc


class Copy:
    """A checkpoint that may be damaged, and what loading says against it."""

    def __init__(self, folder, family):
        source, self.options = FAMILIES[family]
        self.folder = folder / family
        self.folder.mkdir()
        for name in ("config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json"):
            if (source / name).exists():
                shutil.copy(source / name, self.folder)
        self.weights, self.config = self.folder / WEIGHTS, self.folder / "config.json"
        self.bytes, self.settings = self.weights.read_bytes(), json.loads(self.config.read_text())
        (length,) = struct.unpack("<Q", self.bytes[:8])
        self.header, self.values = json.loads(self.bytes[8 : 8 + length]), self.bytes[8 + length :]
        self.tensors = sorted(self.header.keys() - {"__metadata__"})
        self.fingerprint = load_model(self.folder, **self.options).fingerprint

    def write(self, header, values=None):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        self.weights.write_bytes(struct.pack("<Q", len(text)) + text + (self.values if values is None else values))

    def said(self):
        """The one line that refuses it; empty if it loads."""
        count("checkpoints tried")
        try:
            with little_time(), little_memory():
                load_model(self.folder, **self.options)
        except InputError as error:
            (line,) = str(error).split("\n")
            return line
        return ""


@pytest.fixture(params=FAMILIES)
def copy(request, tmp_path):
    return Copy(tmp_path, request.param)


def offsets(size, number):
    """Where to cut: the ends, and places of a fixed seed."""
    return sorted({0, 1, 7, 8, 9, size - 1, *random.Random(0).sample(range(size), number)})[:number]


@pytest.mark.parametrize("number", [8, pytest.param(200, marks=pytest.mark.soak)])
def test_weights_that_are_cut(copy, number):
    for offset in offsets(len(copy.bytes), number):
        copy.weights.write_bytes(copy.bytes[:offset])
        assert WEIGHTS in copy.said(), offset


@pytest.mark.parametrize("number", [8, pytest.param(200, marks=pytest.mark.soak)])
def test_a_configuration_that_is_cut(copy, number):
    text = copy.config.read_bytes()
    for offset in offsets(len(text.rstrip()), min(number, len(text) // 2)):
        copy.config.write_bytes(text[:offset])
        assert "config.json" in copy.said(), offset


@pytest.mark.parametrize("number", [10, pytest.param(300, marks=pytest.mark.soak)])
def test_a_header_with_flipped_bits_is_refused_or_says_the_same(copy, number):
    rng, end = random.Random(1), len(copy.bytes) - len(copy.values)
    for _ in range(number):
        spoilt = bytearray(copy.bytes)
        spoilt[rng.randrange(end)] ^= 1 << rng.randrange(8)
        copy.weights.write_bytes(spoilt)
        if not copy.said():
            assert load_model(copy.folder, **copy.options).fingerprint == copy.fingerprint


def lies(copy):
    """Headers that do not say what the file holds."""
    header, one, other = copy.header, copy.tensors[0], copy.tensors[1]
    of_one = header[one]

    def changed(**fields):
        return {**header, one: {**of_one, **fields}}

    shape = of_one["shape"]
    without = {name: entry for name, entry in header.items() if name != one}
    text = json.dumps(header).encode()
    twice = text[:-1] + b", " + json.dumps({one: header[other]}).encode()[1:]
    return {
        "a shape of terabytes": changed(shape=[10**6, 10**6]),
        "a shape beyond 64 bits": changed(shape=[2**40, 2**40]),
        "a negative size": changed(shape=[-1, *shape[1:]]),
        "a size with a fraction": changed(shape=[1.5]),
        "no sizes": changed(shape=[]),
        "a tensor of no values": changed(shape=[0, *shape[1:]]),
        "another type": changed(dtype="I32"),
        "bits": changed(dtype="BOOL"),
        "no type": changed(dtype="F31"),
        "values beyond the end": changed(data_offsets=[len(copy.values), 2 * len(copy.values)]),
        "values before the start": changed(data_offsets=[-8, 8]),
        "the values of another": changed(data_offsets=header[other]["data_offsets"]),
        "an end before the start": changed(data_offsets=of_one["data_offsets"][::-1]),
        "a tensor that is missing": without,
        "a tensor more": {
            **header,
            f"{one}_more": {"dtype": "F32", "shape": [0], "data_offsets": [len(copy.values)] * 2},
        },
        "another name": {**without, one + "x": of_one},
        "a name twice": twice,
        "a list": b"[]",
        "no JSON": b"{" * 100,
        "nothing": b"",
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_headers_that_lie(tmp_path, family):
    copy = Copy(tmp_path, family)
    told = {}
    for case, header in lies(copy).items():
        copy.write(header)
        told[case] = copy.said()
    assert [case for case, said in told.items() if not said] == []
    assert all(str(copy.folder) in said for said in told.values())


@pytest.mark.parametrize("length", [2**63, 2**40, 10**8, 0])
def test_a_header_s_length_that_lies(copy, length):
    copy.weights.write_bytes(struct.pack("<Q", length) + copy.bytes[8:])
    assert WEIGHTS in copy.said()


ABSURD = (10**12, 2**63, -1, 0, 0.5, 1e308, "many", None, True, [], {})
KEPT = {"transformers_version", "_name_or_path"}


def absurdities(settings, number):
    """Pairs of an option and another value, every option among them."""
    every = [(name, value) for value in ABSURD for name in sorted(settings) if settings[name] != value]
    return every if number is None else random.Random(2).sample(every, number)


@pytest.mark.parametrize("number", [25, pytest.param(None, marks=pytest.mark.soak)])
def test_absurd_settings_are_refused_or_change_nothing_large(copy, number):
    """Some settings move no number, or a number that they may move; none takes memory or ends in a traceback."""
    refused = 0
    for name, value in absurdities(copy.settings, number):
        copy.config.write_text(json.dumps({**copy.settings, name: value}))
        refused += bool(copy.said())
    assert refused


def test_files_that_are_no_files(copy, tmp_path):
    """A link to the file itself is one; what never ends, or cannot be opened, is not."""
    elsewhere = tmp_path / "elsewhere"
    for path in (copy.weights, copy.config):
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
        assert copy.said() == ""
        for make in (
            lambda path: path.symlink_to(path.parent / "nowhere"),
            lambda path: path.symlink_to(path),
            lambda path: path.symlink_to("/dev/zero"),
            lambda path: path.mkdir(),
            lambda path: os.mkfifo(path),
        ):
            path.unlink()
            make(path)
            said = copy.said()
            assert path.name in said
            if path.is_dir():
                path.rmdir()
                path.touch()
        path.unlink()
        elsewhere.rename(path)


@pytest.mark.parametrize("target", ["/etc/passwd", "../model.safetensors", "a/../model.safetensors", "C:\\model", ""])
def test_an_index_that_points_outside(copy, target):
    copy.weights.rename(copy.folder / "model-00001-of-00001.safetensors")
    table = dict.fromkeys(copy.tensors, target)
    (copy.folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": table}))
    assert "expected a safetensors file beside it" in copy.said()
