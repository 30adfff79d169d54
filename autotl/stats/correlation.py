"""Rank correlation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations


def kendall(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Kendall's tau-b: share of pairs in the same order minus share in the other; None if all are equal.

    >>> kendall([(1, 1), (2, 2), (3, 3)])
    1.0
    """
    same = first = second = 0
    for (a, b), (c, d) in combinations(pairs, 2):
        one, two = (a > c) - (a < c), (b > d) - (b < d)
        same += one * two
        first += one != 0
        second += two != 0
    return same / (first * second) ** 0.5 if first and second else None
