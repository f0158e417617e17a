"""Tokenizers with and without a chat template, and files of rows."""

import json

import pytest

from vrpo_theory.data import load_tokenizer


@pytest.fixture(scope="session")
def llada(llada_folder):
    return load_tokenizer(llada_folder)


@pytest.fixture(scope="session")
def plain(tmp_path_factory, byte_level):
    """The same tokens without a chat template, from files that ask for truncation, padding and a start token."""
    from tokenizers.processors import TemplateProcessing

    folder = tmp_path_factory.mktemp("plain")
    tokenizer = byte_level()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    start = "<|startoftext|>"
    tokenizer.post_processor = TemplateProcessing(f"{start} $A", None, [(start, tokenizer.token_to_id(start))])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 4}')
    return load_tokenizer(folder)


@pytest.fixture
def write(tmp_path):
    """Write rows (objects as JSON, bytes as they are) one per line; the file's path."""

    def write(*rows):
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path = tmp_path / "pairs.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    return write
