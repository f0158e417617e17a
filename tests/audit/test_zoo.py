"""Every member of the zoo gets its verdict, and its mistake its name.

Verdicts are wrong with probability 1e-9 at most, by the audit's own alpha. A name is lost only if a mean strays by 7 of
its standard errors, or a rival comes out closer, which is 10 of them away in the least distinct case.
"""

import math

import pytest

from vrpo_theory import audit
from vrpo_theory.auditing import zoo
from vrpo_theory.auditing.mistakes import known
from vrpo_theory.auditing.zoo import ZOO
from vrpo_theory.errors import CheckError

NAMED = {
    "prompt-masked", "raw-time-weight", "fixed-draw", "infinite-variance", "false-standard-error", "global-generator",
    "over-budget",
}  # fmt: skip
"""Mistakes that are known by something else than their mean."""


@pytest.mark.statistical(rate=1.2e-9, detects="a bias of 0.01 nats per token in any cell; a wrong name")
@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["small", "whole"])
@pytest.mark.parametrize("name", ZOO)
def test_verdict_and_name(name, whole):
    """A right one is accepted cell by cell: one cell of its grid here, and the whole grid where that may take long."""
    member = ZOO[name]
    grid = {"lengths": member.lengths, "n": member.n, "toys": member.toys}
    if member.verdict == "accepted" and not whole:
        grid |= {"lengths": member.lengths[:2][-1:], "toys": member.toys[:2][-1:]}
    found = audit(member.estimator, **grid, alpha=1e-9, seconds=600)
    assert (found.verdict, first(found)) == (member.verdict, member.mistake), found.reason
    assert found.mistake == (member.mistake if member.verdict == "rejected" else None)
    if member.verdict == "accepted":
        for cell in found.cells:
            low, high = cell.interval()
            assert cell.heavy == (low == -math.inf)
            low = 0.0 if cell.heavy else low
            assert -0.01 * cell.toy.length <= low <= 0 <= high <= 0.01 * cell.toy.length
    if member.verdict == "rejected":
        low, high = next(c for c in found.cells if c.verdict == "rejected").interval()
        assert low > 0 or high < 0


def first(found):
    """Name of the first finding."""
    return found.findings[0].name if found.findings else None


@pytest.mark.statistical(rate=1e-9, detects="conduct given as the reason of a bias that it cannot cause")
@pytest.mark.parametrize("conduct", [m for m in ZOO if ZOO[m].mistake in ("global-generator", "over-budget")])
def test_conduct_is_told_but_explains_no_bias(conduct):
    """A bias that no known mistake has, on top of conduct that cannot bias."""

    def odd(model, prompt, answer, n, generator):
        return ZOO[conduct].estimator(model, prompt, answer, n, generator) * (1.7 if len(answer) == 5 else 0.9)

    found = audit(odd, lengths=[2, 5], n=[4], toys=["rough", "copied"], alpha=1e-9, seconds=600)
    assert (found.verdict, found.mistake) == ("rejected", None)
    assert ZOO[conduct].mistake in [finding.name for finding in found.findings]
    with pytest.raises(CheckError, match=r"no known mistake explains this$"):
        found.raise_for_verdict()


def test_the_zoo_covers_every_known_mistake():
    mistakes = {member.mistake for member in ZOO.values()} - {None}
    assert mistakes | {"prompt-in-length"} == {m.name for m in known()} | NAMED


def test_members_are_ordinary_functions():
    assert zoo.rounded_counts is ZOO["rounded_counts"].estimator
    with pytest.raises(AttributeError, match="it has: "):
        _ = zoo.unicorn


@pytest.mark.statistical(rate=1e-9, detects="a public code's rounding called biased where it is not")
def test_rounding_is_harmless_one_by_one_and_where_the_batch_divides():
    """L = 8: a batch of 8 has odd 8/gcd, one of 16 even."""
    options = {"lengths": [8], "toys": ["copied"], "alpha": 1e-9, "seconds": 600}
    assert audit(ZOO["rounded_counts"].estimator, n=[8], **options).verdict == "accepted"
    found = audit(ZOO["rounded_counts"].estimator, n=[16], full=True, **options)
    assert {c.batch_size: c.verdict for c in found.cells} == {1: "accepted", 16: "rejected"}


@pytest.mark.statistical(rate=1e-9, detects="a variance off by 25%, a standard error off by 12%")
def test_variance_and_standard_error_are_held_against_the_exact_ones():
    """Seven standard errors, from 10,000 calls; the range of one estimate bounds its kurtosis."""
    from vrpo_theory.auditing.cells import AuditCell, Rules
    from vrpo_theory.auditing.estimator import Estimator
    from vrpo_theory.auditing.toys import toy

    cell = AuditCell(toy("rough", 8), 4, None, Rules(0.01, 1e-9, 1e-9, (2.0, 0.0)), seed=0)
    cell.sample(Estimator(ZOO["count_form_with_error"].estimator), 10_000)
    variance, stderr = cell.variance_ratio(), cell.stderr_ratio()
    assert abs(variance.value - 1) < 7 * variance.stderr < 0.25
    assert abs(math.log(stderr.value)) < 7 * stderr.stderr < 0.25
