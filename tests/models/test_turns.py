"""Two models on a device that has room for one: the same numbers, one model there at a time, one copy of a base."""

import json

import pytest
import torch

from tests.models.conftest import FAMILIES
from vrpo_theory import load_model
from vrpo_theory.checkpoints import lora, turns
from vrpo_theory.checkpoints.identity import tensors

ROW = {"prompt_ids": [3, 5, 7], "chosen_ids": [11, 2, 9, 4, 8], "rejected_ids": [1, 6]}


@pytest.fixture
def moved(monkeypatch):
    """Copies made on the device, as if it were another one; alive as long as somebody holds them."""
    made = []

    def copied(home, device):
        made.append(home.clone())
        return made[-1]

    monkeypatch.setattr(turns, "copied", copied)
    return made


@pytest.fixture
def arguments(golden, tmp_path):
    (tmp_path / "pairs.jsonl").write_text(json.dumps(ROW) + "\n")
    folders = golden("sdar")
    return ["--policy", folders["policy"], "--reference", folders["reference"], "--pairs", tmp_path / "pairs.jsonl"]


def held(model, made):
    """How many of the model's tensors are copies on the device."""
    places = {t.data_ptr() for t in made}
    return sum(t.data_ptr() in places for _, t in tensors(model.module))


def test_one_model_is_there_at_a_time(golden, moved):
    policy, reference = (load_model(f, **FAMILIES["sdar"]) for f in golden("sdar").values())
    known = policy.fingerprint, reference.fingerprint
    weights = len(list(tensors(policy.module)))
    turns.Turns([policy, reference], torch.device("cpu"))
    for inside, outside in ((policy, reference), (reference, policy), (policy, reference)):
        inside.turn()
        inside.turn()  # moves nothing
        assert (held(inside, moved), held(outside, moved)) == (weights, 0)
        assert (policy.fingerprint, reference.fingerprint) == known
    assert len(moved) == 3 * weights


@pytest.mark.parametrize("command", ["score", "plan"])
@pytest.mark.parametrize("asked", [True, False])
def test_the_commands_take_turns(arguments, vrpo, moved, monkeypatch, command, asked):
    """As asked, or unasked and with a line that says so where the device has no room; the numbers do not change."""
    own = {"score": ["--n-t", "4"], "plan": ["--pilot", "16", "--budget", "8"]}[command]
    together = vrpo(command, *arguments, *own, "--json")
    assert not moved
    assert "one at a time" not in together.stderr
    if not asked:
        monkeypatch.setattr(turns, "room", lambda device: 500_000)
    found = vrpo(command, *arguments, *own, "--json", *["--one-at-a-time"] * asked)
    assert found.exit_code == 0, found.stderr
    assert moved
    said = "the two models need 0.000757 GB, cpu has 0.0005 GB for them: they are evaluated one at a time"
    assert (said in found.stderr) == (not asked)
    first, second = (json.loads(result.stdout) for result in (together, found))
    for name in first.keys() - {"provenance", "command"}:  # the command repeats the option
        assert first[name] == second[name]


def test_an_adapter_s_reference_is_its_base(golden, tmp_path, vrpo, arguments, monkeypatch):
    """One model is loaded; the reference's numbers are those of the base as it was."""
    pytest.importorskip("peft")
    folder = golden("sdar")["policy"]
    tuned = load_model(folder)
    lora.add(tuned.module, 2, seed=1)
    with torch.no_grad():
        for name, p in tuned.module.named_parameters():
            if ".lora_B." in name:
                p += 0.1
    lora.save(tuned.module, tmp_path / "adapter")
    arguments[3] = folder
    two = vrpo("score", *arguments[:3], golden("sdar")["reference"], *arguments[4:], "--adapter", tmp_path / "adapter",
               "--json")  # fmt: skip
    loads = []
    monkeypatch.setattr("vrpo_theory.models.load_model", lambda *a, **k: loads.append(a) or load_model(*a, **k))
    one = vrpo("score", *arguments, "--adapter", tmp_path / "adapter", "--json")
    assert one.exit_code == 0, one.stderr
    assert len(loads) == 1
    base = vrpo("score", *arguments, "--json")
    found, other, plain = (json.loads(r.stdout)["pairs"][0]["elbo"] for r in (one, two, base))
    assert found["policy_chosen"] == pytest.approx(other["policy_chosen"], abs=1e-5)
    assert found["reference_chosen"] == pytest.approx(plain["reference_chosen"], abs=1e-5)
    assert abs(found["policy_chosen"] - found["reference_chosen"]) > 1e-3
