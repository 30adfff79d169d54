"""Numbers as people read them."""

from __future__ import annotations

import re

NARROW = "\N{NARROW NO-BREAK SPACE}"


def percent(share: float | None, digits: int = 1) -> str:
    """A fraction as percent: ``91.2 %``; nothing for None."""
    return "" if share is None else f"{100 * share:.{digits}f}{NARROW}%"


def interval(low: float | None, high: float | None) -> str:
    """An interval of fractions in percent, without the sign: ``89.0–93.1``."""
    return "" if low is None or high is None else f"{100 * low:.1f}–{100 * high:.1f}"


def points(gap: float) -> str:
    """A difference of fractions in percentage points, with its sign."""
    return f"{100 * gap:+.1f} points".replace("-", "\N{MINUS SIGN}")


def points_interval(low: float, high: float) -> str:
    """The interval of a difference, in percentage points."""
    return f"{100 * low:+.1f} to {100 * high:+.1f}".replace("-", "\N{MINUS SIGN}")


def duration(seconds: float) -> str:
    """``42 ms``, ``7.2 s``, ``1 min 35 s``, ``1 h 07 min``.

    >>> [duration(s).replace(NARROW, " ") for s in (0.00042, 0.042, 7.25, 95, 4000)]
    ['0.42 ms', '42 ms', '7.2 s', '1 min 35 s', '1 h 07 min']
    """
    if seconds < 0.9995:
        milliseconds = 1000 * seconds
        text = f"{milliseconds:.2g} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"
    elif seconds < 59.5:
        text = f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    elif seconds < 3599.5:
        text = f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    else:
        minutes = round(seconds / 60)
        text = f"{minutes // 60} h {minutes % 60:02d} min"
    return text.replace(" ", NARROW)


def count(number: float) -> str:
    """``850 k``, ``4.2 M``, ``1.3 G``."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            value = number / factor
            return f"{value:.1f}{NARROW}{unit}" if value < 9.95 else f"{value:.0f}{NARROW}{unit}"
    return f"{number:.0f}"


def short(candidate: str, most: int = 30) -> str:
    """A candidate's or backbone's name without its origin, cut in the middle where it is long."""
    name = candidate.partition(":")[2] if ":" in candidate.partition("@")[0] else candidate
    keep = (most - 1) // 2
    return name if len(name) <= most else f"{name[:keep]}…{name[-keep:]}"


def shown(text: str) -> str:
    """A name as it can stand on a page: what is no character, or turns the others round, becomes a mark."""
    return _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text)


# Controls, halves of surrogate pairs (bytes of file names that are no UTF-8), and marks of direction.
_UNSHOWN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)
