"""The environment: a rank needs a launcher's world, alien variables are ignored, and results are written and kept."""

import errno
import json
import os

import pytest

from vrpo_theory import Budget, Scheme
from vrpo_theory.errors import InputError
from vrpo_theory.files import require_writable, write_atomically
from vrpo_theory.reproduce import runner
from vrpo_theory.reproduce.exhibits.table3.ablation import Measured, merged
from vrpo_theory.runs import ranks
from vrpo_theory.types import Case, Estimate, PreferencePair, Response

LAUNCHED = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.fixture
def environment(monkeypatch):
    """Sets variables, and unsets those of launchers that are not given."""

    def put(**variables):
        for name in LAUNCHED:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    put()
    return put


@pytest.fixture(scope="module")
def plain(reproduce, tmp_path_factory):
    """The cells in the environment of the tests."""
    out = tmp_path_factory.mktemp("plain")
    assert reproduce(out).exit_code == 0
    return json.loads((out / "consistency.json").read_text())["cells"]


ALONE = [
    {"RANK": "1"},
    {"RANK": "3", "WORLD_SIZE": ""},
    {"RANK": "1", "WORLD_SIZE": "1"},
    {"RANK": "1", "WORLD_SIZE": "many"},
    {"RANK": "", "WORLD_SIZE": "", "LOCAL_RANK": ""},
    {"RANK": "x", "WORLD_SIZE": "-2"},
    {"RANK": "1", "WORLD_SIZE": "2.5"},
    {"LOCAL_RANK": "5"},
    {
        "SLURM_PROCID": "2",
        "SLURM_NTASKS": "4",
        "OMPI_COMM_WORLD_RANK": "1",
        "OMPI_COMM_WORLD_SIZE": "2",
        "PMI_SIZE": "2",
    },
]


@pytest.mark.parametrize("variables", ALONE, ids=str)
def test_without_a_launcher_s_world_a_process_is_alone(environment, variables):
    environment(**variables)
    assert (ranks.rank(), ranks.ranks(), ranks.own_device("cuda")) == (0, 1, "cuda")
    ranks.join()


@pytest.mark.parametrize("variables", [ALONE[0], ALONE[4]], ids=str)
def test_what_is_computed_is_written(reproduce, environment, tmp_path, variables):
    environment(**variables)
    assert reproduce(tmp_path).exit_code == 0
    assert json.loads((tmp_path / "consistency.json").read_text())["cells"]


def test_a_launched_process_has_its_place(environment):
    environment(**LAUNCHED)
    assert (ranks.rank(), ranks.ranks(), ranks.own_device("cuda"), ranks.own_device("cpu")) == (
        1, 2, "cuda:1", "cpu",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"MASTER_ADDR": ""}, "MASTER_ADDR not set"),
        ({"MASTER_PORT": "", "RANK": ""}, "RANK, MASTER_PORT not set"),
        ({"RANK": "2"}, "RANK=2 is no place"),
        ({"RANK": "first"}, "RANK=first is no place"),
    ],
)
def test_a_world_that_cannot_meet_is_refused_before_anything_is_computed(
    reproduce, environment, tmp_path, change, words
):
    environment(**LAUNCHED | change)
    result = reproduce(tmp_path / "out")
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert words in line
    assert "accelerate launch, or unset WORLD_SIZE" in line
    assert not (tmp_path / "out").exists()


def asked(prompt, answer):
    pair = PreferencePair(Response(prompt, (answer,)), Response(prompt, (0,)), f"{prompt} {answer}")
    return Case(None, None, pair)


def test_pairs_of_one_prompt_stay_together_and_all_come_back_in_order(environment, monkeypatch):
    """Two processes that evaluate one response in different batches would record two values of it."""
    pytest.importorskip("accelerate")
    cases = [asked((prompt,), answer) for prompt, answer in [(1, 1), (2, 1), (1, 2), (3, 1), (1, 3), (2, 2)]]
    shares = ranks.shares(cases, 2)
    assert shares == [[0, 2, 4], [1, 3, 5]]
    assert ranks.shares(cases[:4], 3) == [[0, 2], [1], [3]]
    with pytest.raises(InputError, match="4 processes for 3 prompts"):
        ranks.shares(cases, 4)
    one, none = Scheme(budget=Budget(4, 1)), Scheme(budget=Budget(1, 4))

    def compute(part):
        values = {one: [Estimate(float(cases.index(case))) for case in part], none: []}
        return [Measured("var_score", "mc", values)]

    environment(**LAUNCHED)
    monkeypatch.setattr(ranks, "join", lambda: None)
    everybody = [compute([cases[k] for k in share]) for share in shares]
    monkeypatch.setattr("accelerate.utils.gather_object", lambda mine: everybody)
    (row,) = ranks.gathered(compute, cases, merged)
    assert [e.value for e in row.values[one]] == [0, 1, 2, 3, 4, 5]
    assert row.values[none] == []


def test_processes_that_do_not_meet_are_refused(environment, monkeypatch):
    accelerate = pytest.importorskip("accelerate")
    environment(**LAUNCHED)
    monkeypatch.setattr(accelerate, "PartialState", lambda **options: type("Alone", (), {"num_processes": 1}))
    with pytest.raises(InputError, match="WORLD_SIZE=2, but 1 processes met"):
        ranks.join()

    def unreachable(**options):
        raise RuntimeError("connection refused\nat length")

    monkeypatch.setattr(accelerate, "PartialState", unreachable)
    with pytest.raises(InputError, match=r"could not meet \(connection refused\)"):
        ranks.join()


@pytest.mark.parametrize(
    "variables",
    [
        {"COLUMNS": "wide", "LINES": ""},
        {"NO_COLOR": "1", "TERM": "dumb", "FORCE_COLOR": ""},
        {"CUDA_VISIBLE_DEVICES": "", "HF_HOME": "/proc/nowhere"},
        {"TMPDIR": "/nowhere/at/all", "HOME": "/nowhere"},
        {"ACCELERATE_USE_CPU": "", "ACCELERATE_MIXED_PRECISION": "fp8", "TORCH_DEVICE_BACKEND_AUTOLOAD": "x"},
    ],
    ids=str,
)
def test_alien_variables_change_nothing(reproduce, environment, plain, tmp_path, variables):
    environment(**variables)
    result = reproduce(tmp_path)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "consistency.json").read_text())["cells"] == plain


@pytest.mark.parametrize("place", ["file", "file/below", "taken"])
def test_results_that_could_not_be_written_are_not_computed(reproduce, environment, tmp_path, monkeypatch, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "taken" / "consistency.json").mkdir(parents=True)
    monkeypatch.setattr(runner, "run", lambda *arguments, **options: pytest.fail("computed"))
    result = reproduce(tmp_path / place)
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert "Not a directory" in line or "is a folder" in line


def test_a_folder_that_takes_no_files_is_said_to(tmp_path, monkeypatch):
    require_writable(tmp_path / "new" / "below")
    assert list(tmp_path.iterdir()) == []

    def closed(**options):
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr("vrpo_theory.files.tempfile.TemporaryFile", closed)
    with pytest.raises(InputError, match="Read-only file system"):
        require_writable(tmp_path)


def test_an_edited_results_file_is_kept_aside_and_computed_again(reproduce, tmp_path):
    path = tmp_path / "consistency.json"
    assert reproduce(tmp_path).exit_code == 0
    first = json.loads(path.read_text())
    assert "inputs unchanged" in reproduce(tmp_path).stderr
    edited = json.loads(path.read_text())
    edited["cells"][0]["value"] = 12.5
    path.write_text(json.dumps(edited))
    again = reproduce(tmp_path)
    assert "changed after it was computed" in again.stderr
    assert "unchanged" not in again.stderr
    assert json.loads(path.read_text())["cells"] == first["cells"]
    assert json.loads((tmp_path / "consistency.edited.json").read_text()) == edited


@pytest.mark.parametrize("text", ["[]", '{"cells": 1, "provenance": {}}', '{"cells": [], "provenance": []}', "\x00"])
def test_what_is_no_results_file_is_computed_again(reproduce, tmp_path, text):
    (tmp_path / "consistency.json").write_text(text)
    result = reproduce(tmp_path)
    assert result.exit_code == 0, result.output
    assert "unchanged" not in result.stderr


def test_a_file_system_without_fsync_takes_files(tmp_path, monkeypatch):
    def fsync(handle):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("vrpo_theory.files.os.fsync", fsync)
    code = errno.EINVAL
    write_atomically(tmp_path / "a", "text")
    assert (tmp_path / "a").read_text() == "text"
    code = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        write_atomically(tmp_path / "a", "other")
    assert (tmp_path / "a").read_text() == "text"
