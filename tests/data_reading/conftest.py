"""A byte-level tokenizer of three merges with LLaDA's configuration, and files of rows."""

import json
import shutil
from pathlib import Path

import pytest

from vrpo_theory.data import load_tokenizer

LLADA_CONFIG = Path(__file__).parents[1] / "data/llada8b_format/tokenizer_config_without_added_tokens.json"
SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|mdm_mask|>"]
MERGES = [("h", "e"), ("Ċ", "Ċ"), ("ĊĊ", "Ċ")]  # Ċ stands for a newline


def byte_level():
    """Each byte is a token, but for "he" and for two and three newlines."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pieces = sorted(pre_tokenizers.ByteLevel.alphabet()) + ["".join(merge) for merge in MERGES]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


@pytest.fixture(scope="session")
def llada_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llada")
    byte_level().save(str(folder / "tokenizer.json"))
    shutil.copy(LLADA_CONFIG, folder / "tokenizer_config.json")
    return folder


@pytest.fixture(scope="session")
def llada(llada_folder):
    return load_tokenizer(llada_folder)


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """The same tokens without a chat template, from files that ask for truncation, padding and a start token."""
    from tokenizers.processors import TemplateProcessing

    folder = tmp_path_factory.mktemp("plain")
    tokenizer = byte_level()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    start = SPECIAL[0]
    tokenizer.post_processor = TemplateProcessing(f"{start} $A", None, [(start, tokenizer.token_to_id(start))])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 4}')
    return load_tokenizer(folder)


@pytest.fixture
def write(tmp_path):
    """Write rows (objects as JSON, bytes as they are) one a line; the file's path."""

    def write(*rows):
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path = tmp_path / "pairs.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    return write
