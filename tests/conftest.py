"""Keeps the books of chance: what all sampling tests together may cost in false alarms."""

import os
import shutil
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # toys are slower on two threads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

FALSE_ALARMS = 1e-6


def pytest_collection_modifyitems(items):
    rates = []
    for item in items:
        marker = item.get_closest_marker("statistical")
        if marker is not None:
            if set(marker.kwargs) != {"rate", "detects"} or not marker.kwargs["detects"]:
                raise pytest.UsageError(f"{item.nodeid}: statistical(rate=..., detects=...) needs both")
            rates.append(marker.kwargs["rate"])
    if sum(rates) > FALSE_ALARMS:
        raise pytest.UsageError(f"the suite's false-failure rate is {sum(rates):.2g}, above {FALSE_ALARMS:.0e}")


@pytest.fixture(autouse=True, scope="session")
def _threads():
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(scope="session")
def vrpo():
    """Runs the command in this process: vrpo("score", "--limit", 2), with environment variables as keywords."""
    from typer.testing import CliRunner

    from vrpo_theory.cli import app

    def run(*arguments, charset="utf-8", **environment):
        words = [str(argument) for argument in arguments]
        return CliRunner(charset=charset).invoke(app, words, prog_name="vrpo", env=environment)

    return run


LLADA_CONFIG = Path(__file__).parent / "data/llada8b_format/tokenizer_config_without_added_tokens.json"
SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|mdm_mask|>"]
MERGES = [("h", "e"), ("Ċ", "Ċ"), ("ĊĊ", "Ċ")]  # Ċ stands for a newline


@pytest.fixture(scope="session")
def byte_level():
    """Makes a tokenizer: each byte is a token, but for "he" and for two and three newlines."""
    return _byte_level


def _byte_level():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pieces = sorted(pre_tokenizers.ByteLevel.alphabet()) + ["".join(merge) for merge in MERGES]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


@pytest.fixture(scope="session")
def llada_folder(tmp_path_factory, byte_level):
    """A byte-level tokenizer of three merges with LLaDA's configuration."""
    folder = tmp_path_factory.mktemp("llada")
    byte_level().save(str(folder / "tokenizer.json"))
    shutil.copy(LLADA_CONFIG, folder / "tokenizer_config.json")
    return folder
