"""Ratios, verdicts and text of values with errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from vrpo_theory.numerics import jackknife, pooled_df, total
from vrpo_theory.types import Estimate

UNDEFINED = "0/0 has no value: both are 0"
INFINITE = "no ratio: what it is held against is 0"
ROUNDING = 1e-12
"""Errors below this share of a ratio are rounding in float64: the relation is exact."""
SURE = 50
"""Degrees of freedom from which an error is known to a tenth, and is worth two digits."""
TINY = 1e-4
"""Numbers below this are written with an exponent."""


def quotient(above: Estimate, below: Estimate) -> Estimate:
    """Ratio of two estimates; as `ratio_of_sums`."""
    return ratio_of_sums([above], [below])


def ratio_of_sums(above: Sequence[Estimate], below: Sequence[Estimate]) -> Estimate:
    """Ratio of two sums over the same independent pairs, its error by the delta method.

    Of each pair it takes the error of above - ratio below: that of the two together where both know what each draw adds
    (`Estimate.left_out`), so that values in a fixed proportion have none; else the two are independent. NaN with a note
    if the sum below is 0.
    """
    top, bottom = (total([e.value for e in part]) for part in (above, below))
    if bottom == 0:
        return Estimate(math.nan, None, UNDEFINED if top == 0 else INFINITE)
    ratio = top / bottom
    found = combined(ratio, [(_residual(a, b, ratio), 1 / bottom) for a, b in zip(above, below, strict=True)])
    rounding = found.stderr is not None and found.stderr <= ROUNDING * abs(ratio)
    return replace(found, stderr=0.0) if rounding else found


def _residual(above: Estimate, below: Estimate, slope: float) -> Estimate:
    value = above.value - slope * below.value
    if above.left_out is None or below.left_out is None:
        return combined(value, [(above, 1.0), (below, slope)])
    return jackknife(value, above.left_out - slope * below.left_out)


def combined(value: float, parts: Sequence[tuple[Estimate, float]]) -> Estimate:
    """A value that depends on independent estimates, each with the slope it enters by; exact ones add no error."""
    known = [(e.stderr * slope, e.df) for e, slope in parts if e.stderr is not None]
    if not known:
        return Estimate(value)
    squares, dfs = [error**2 for error, _ in known], [df for _, df in known if df is not None]
    df = pooled_df(squares, dfs) if len(dfs) == len(known) else None
    return Estimate(value, math.sqrt(total(squares)), df=df)


def clear_of(estimate: Estimate, point: float, sigmas: float) -> bool:
    """Whether an estimate differs from a point by a number of standard errors, or the same tail of Student's t."""
    if not estimate.stderr:
        return estimate.value != point
    from scipy.stats import norm, t

    reach = sigmas if estimate.df is None else float(t.isf(norm.sf(sigmas), estimate.df))
    return abs(estimate.value - point) > reach * estimate.stderr


def plus_minus(estimate: Estimate) -> str:
    """0.077 +- 0.010: the error to two digits and the value to as many places; two digits of a value without error."""
    if not estimate.stderr:
        return f"{estimate.value:.2g}"
    places = max(0, 1 - math.floor(math.log10(estimate.stderr)))
    return f"{estimate.value:.{places}f} +- {estimate.stderr:.{places}f}"


def error_digits(df: float | None) -> int:
    """Digits that an error is worth: two where its degrees of freedom fix it to a tenth, else one."""
    return 2 if df is not None and df >= SURE else 1


def with_error(value: float | None, stderr: float | None, df: float | None = None) -> str:
    """0.0247(7) is 0.0247 with a standard error of 0.0007; exact numbers have none.

    The error has `error_digits`, and the value ends where it does.
    """
    if value is None:
        return "-"
    if not stderr:
        return f"{value + 0.0:.3g}"  # a zero has no sign
    digits = error_digits(df)
    if max(abs(value), stderr) < TINY:
        power = math.floor(math.log10(max(abs(value), stderr)))
        return f"{with_error(value / 10.0**power, stderr / 10.0**power, df)}e{power}"
    decimals = digits - 1 - math.floor(math.log10(stderr))
    shown, error = round(value, decimals) + 0.0, round(stderr, decimals)
    if decimals <= 0:
        return f"{shown:.0f}({error:.0f})"
    return f"{shown:.{decimals}f}({round(error * 10**decimals)})"
