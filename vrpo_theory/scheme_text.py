"""The text form of a scheme: how it is written, and the document that it stands for."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from vrpo_theory.designs.balanced_by_length import BalancedByLength
from vrpo_theory.registry import Registry, expression
from vrpo_theory.weightings.context import ContextWeights

KEYS = ("design", "weighting", "n_t", "n_yt", "shared", "levels_shared", "blocks_shared", "groups", "rejected")
RARE = ("levels_shared", "blocks_shared")
"""Kinds of sharing that are written only where they are used."""
MEMBERS = ("design", "weighting", "rejected")
"""Keys of designs and weights, which are written as calls."""
EXAMPLE = "power_strata(power=2.0), two_way(), n_t=8, n_yt=1, groups=2"
DEFAULT = "default"
"""In the place of a design: that of `DEFAULT_MEMBERS`, and its weights unless others are given."""
DEFAULT_MEMBERS = (BalancedByLength(), ContextWeights())
"""Design and weights where none are given, and nothing is known of the models.

Strata of power 1.25 with bounds that need not be whole, balanced masks, context weights. What depends on n and L is the
design's: strata are narrower where masks are more, and masks choose in ascending or descending l. Of what was tried it
has the largest mean gain over VRPO among those that lose on no toy of this package, shocks and rough tables included
(`vrpo_theory.reproduce`, exhibit "designs"); on chains power 1.5 gains more.
"""
FORM = f"write DESIGN, WEIGHTING, n_t=..., n_yt=..., shared=..., groups=..., for example {EXAMPLE!r}"


def document_of(text: str) -> dict[str, Any]:
    """The JSON form that a text says, unchecked; ValueError for text that is not of this form."""
    call = _call(text)
    given = [*zip(MEMBERS, call.args, strict=False), *((k.arg, k.value) for k in call.keywords)]
    document = {str(name): _value(name, node) for name, node in given}
    if len(document) < len(call.args) + len(call.keywords) or len(call.args) > 2:
        raise ValueError(f"scheme {text!r}: two members at most, then each option once; {FORM}")
    return document


def spelt_out(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON form with the members that the word `DEFAULT` stands for."""
    if document.get("design") != DEFAULT:
        return document
    design, weighting = DEFAULT_MEMBERS
    return {"weighting": weighting.spec, **document, "design": design.address}


def member(family: Registry[Any], spec: object) -> Any:
    """A member of a family from the text of its call; ValueError for anything else."""
    if not isinstance(spec, str):
        raise ValueError(f"{family.kind} must be written as a call, such as 'power_strata(power=2.0)', got {spec!r}")
    return family.build(spec)


def _call(text: str) -> ast.Call:
    """The text as the arguments of a call."""
    call = expression(f"scheme({text})")
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or "*" in text:
        raise ValueError(f"{text!r} is not of the form: {FORM}")
    return call


def _value(name: str | None, node: ast.expr) -> Any:
    """Of an option: a member's call as text, anything else as a literal."""
    if name in MEMBERS:
        return ast.unparse(node)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{name} must be a number, True or False, got {ast.unparse(node)}") from None
