"""Counts that the authors' public likelihood code draws: rounded to even, hence not always uniform. Ours."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction


def rounded_counts(length: int, batch: int) -> dict[int, Fraction]:
    """Law of one of the ``batch`` counts l_j = ((round(k + j L/b) - 1) mod L) + 1, one k ~ U{1..L} shared by all.

    Returns
    -------
    dict
        Probability of every l in 1..L, averaged over j = 0..b-1; exact. Rounding is half to even.
    """
    counts = Counter(
        (round(k + Fraction(j * length, batch)) - 1) % length + 1 for k in range(1, length + 1) for j in range(batch)
    )
    return {count: Fraction(counts[count], length * batch) for count in range(1, length + 1)}


def uniform(length: int, batch: int) -> bool:
    """Whether those counts are uniform: unless L > 1 and b/gcd(L, b) is even.

    j L/b has fractional part 1/2 for some j just when b/gcd(L, b) is even. Then half to even sends k + j L/b to its
    even neighbour for every k, so two k in a row share one count and the next is skipped; every other rounding shifts
    all k alike, modulo L. If L is even, even counts gain what odd ones lose. If L is odd, what lies above L comes round
    with the other parity: at L = 3, b = 2 the counts 1, 2, 3 have the shares 3:2:1.
    """
    return length == 1 or (batch // math.gcd(length, batch)) % 2 == 1
