"""The packaged pair of models: what it is made of, and that its card tells the truth."""

import hashlib
import json

import pytest
import torch
from scipy.stats import binom

from vrpo_theory import MODELS, Case, rounding, tabulate
from vrpo_theory.data import toy
from vrpo_theory.generation import generate
from vrpo_theory.models.base import fingerprint
from vrpo_theory.models.llada import LLaDA, load
from vrpo_theory.training import train
from vrpo_theory.training.toy import tuning
from vrpo_theory.training.toy.measure import likelihoods, variances
from vrpo_theory.training.toy.recipe import RECIPE
from vrpo_theory.types import ROLES

TOY = MODELS["toy_llada"]
CARD = TOY.card()
TUNING = json.loads((TOY.FOLDER / "tuning.json").read_text())
NUMBER = 32


@pytest.mark.parametrize("length", toy.LENGTHS)
def test_pairs_are_held_out_and_verifiable(length):
    pairs = [TOY.case(i, length).pair for i in range(NUMBER)]
    assert len({pair.chosen.key for pair in pairs}) == NUMBER
    for i, pair in enumerate(pairs):
        assert pair.chosen.length == pair.rejected.length == length
        assert toy.split_of(pair.chosen.prompt) == "test"
        assert toy.verify(pair.chosen.prompt, pair.chosen.ids)
        assert pair.rejected.ids == toy.read(pair.chosen.prompt).mistake
        assert pair == toy.question(RECIPE.seed, "test", i, length=length).pair(f"toy_llada-{length}-{i}")


def test_what_is_not_packaged_is_refused():
    for seed in (-1, NUMBER):
        with pytest.raises(ValueError, match=f"{NUMBER} pairs of length 9, numbered from 0"):
            TOY.case(seed, 9)
    for length in (7, 13):
        with pytest.raises(ValueError, match=f"no responses of {length} tokens: choose a length from 8, 9, 10, 11, 12"):
            TOY.case(0, length)


def test_a_case_is_the_callers_own():
    one, other = TOY.case(0), TOY.case(1)
    with torch.no_grad():
        next(one.policy.parameters()).zero_()
    assert one.policy.fingerprint != other.policy.fingerprint == TOY.case(0).policy.fingerprint
    assert isinstance(one.policy, LLaDA)
    assert toy.MASK == one.policy.mask_token_id == one.policy.vocabulary - 1


@pytest.mark.parametrize("role", ROLES)
def test_weights_are_the_cards(role):
    file = TOY.FOLDER / role / "model.safetensors"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == CARD["weights"][role]
    assert file.stat().st_size < 10**6
    model = load(TOY.FOLDER / role)
    assert sum(p.numel() for p in model.parameters()) == CARD["parameters"] < 110_000
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_the_card_is_of_this_recipe():
    assert json.loads(json.dumps(RECIPE.options())) == CARD["options"]


def test_rate_and_steps_are_what_the_validation_split_says():
    assert TUNING["reference"] == fingerprint(load(TOY.FOLDER / "reference").parameters())
    choice = {name: tuning.choose(TUNING["cells"])[name] for name in ("rate", "steps")}
    assert choice == TUNING["choice"]
    assert choice == {"rate": RECIPE.preference.rate, "steps": RECIPE.preference.steps}
    assert {(cell["rate"], cell["steps"]) for cell in TUNING["cells"]} == {
        (rate, steps) for rate in tuning.RATES for steps in tuning.STEPS
    }


class First:
    """An objective that is cut off after its first steps."""

    def __init__(self, inner, steps):
        self.inner, self.steps, self.losses = inner, steps, []

    def backward(self, model, step):
        if step == self.steps:
            raise KeyboardInterrupt
        self.losses.append(self.inner.backward(model, step))
        return self.losses[-1]


@pytest.mark.parametrize("stage", ["supervised", "preference"])
def test_training_begins_as_the_card_says(stage):
    """The stage itself, from where it started: language, draws, loss, optimizer and rate all enter step 2's loss."""
    reference = load(TOY.FOLDER / "reference").requires_grad_(False)
    model = RECIPE.start() if stage == "supervised" else load(TOY.FOLDER / "reference")
    recorded = CARD["losses"][stage]
    objective = First(RECIPE.supervise() if stage == "supervised" else RECIPE.prefer(reference), len(recorded))
    with pytest.raises(KeyboardInterrupt):
        train(model, objective, getattr(RECIPE, stage))
    error = len(recorded) * rounding.of_model(model, 32) * recorded[0]  # of every step
    assert objective.losses == pytest.approx(recorded, abs=error)
    assert abs(recorded[0] - recorded[2]) > 1e-3


def test_exact_measurements_are_the_cards():
    """To rounding; another pair, or a weight off by a thousandth, is seen."""
    first = TOY.case(0)
    tabulated = tabulate([Case(first.policy, first.reference, TOY.case(i).pair) for i in range(NUMBER)])
    found = {**likelihoods(tabulated), "variance": variances(tabulated, 0.2)}
    for name, value in flat(found):
        assert value == pytest.approx(dict(flat(CARD))[name], rel=rounding.of_functional(first.policy, 32)), name


def flat(document, path=()):
    for name, value in document.items():
        if isinstance(value, dict):
            yield from flat(value, (*path, name))
        else:
            yield (*path, name), value


@pytest.mark.parametrize("sampler", ["low_confidence", "diffusion"])
def test_the_policy_is_clearly_better(sampler):
    after, before = (CARD["accuracy"][role][sampler]["all"] for role in ROLES)
    assert after["value"] - before["value"] > 5 * (after["stderr"] ** 2 + before["stderr"] ** 2) ** 0.5


def shortfall(role, card):
    """P(as few right answers to 150 new prompts | the card's accuracy less six of its errors)."""
    questions = [toy.question(9, "test", i) for i in range(150)]
    canvases = [(q.prompt, len(q.answer)) for q in questions]
    written = generate(load(TOY.FOLDER / role), canvases, "low_confidence")
    right = sum(toy.verify(q.prompt, answer.ids) for q, answer in zip(questions, written, strict=True))
    return binom.cdf(right, len(questions), card["value"] - 6 * card["stderr"])


@pytest.mark.statistical(rate=2e-9, detects="a policy that is right as seldom as its reference")
def test_accuracy_on_new_prompts_is_the_cards():
    """An exact binomial tail; the reference in the policy's place is seen."""
    card = CARD["accuracy"]["policy"]["low_confidence"]["all"]
    assert shortfall("policy", card) > 1e-9
    assert shortfall("reference", card) < 1e-9
