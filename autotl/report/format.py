"""Numbers, durations and names as people read them, in a page, in a terminal and in a spreadsheet.

Names come from files and may hold anything. One function writes them to each medium: `shown` to a page, `printable`
to a terminal, `cell` to a CSV.

Units are joined to their number by a narrow no-break space; `printable` makes it a plain one for a terminal.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable

from autotl.records.candidate_id import origin_of, without_origin

NARROW = "\N{NARROW NO-BREAK SPACE}"
EXACT = 1e-9  # below which a difference is one of arithmetic
MINUS = "\N{MINUS SIGN}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """Return a fraction as percent; an empty text for None. Only what is none or all is written as 0 or 100.

    >>> percent(0.912), percent(0.912, 0), percent(1.0), percent(1999 / 2000), percent(0.004, 0)
    ('91.2%', '91%', '100.0%', '>99.9%', '<1%')
    """
    if fraction is None:
        return ""
    if fraction < 0:  # R² of what is worse than a constant
        text = f"{-100 * fraction:.{digits}f}"
        return f"{MINUS if float(text) else ''}{text}%"
    text, least = f"{100 * fraction:.{digits}f}", f"{10.0**-digits:.{digits}f}"
    if float(text) == 100 and fraction < 1 - EXACT:
        return f">{100 - float(least):.{digits}f}%"
    return f"<{least}%" if float(text) == 0 and fraction > EXACT else f"{text}%"


def percent_range(low: float, high: float) -> str:
    """Return an interval of fractions in percent in a sentence: ``89.0% to 93.1%``."""
    return f"{percent(low)} to {percent(high)}"


def interval(low: float | None, high: float | None) -> str:
    """Return an interval of fractions in percent, without the sign: ``89.0–93.1``; below 0 ``−3.1 to 4.0``."""
    if low is not None and high is not None and low < 0:
        return f"{100 * low:.1f} to {100 * high:.1f}".replace("-", MINUS)
    return "" if low is None or high is None else f"{100 * low:.1f}–{100 * high:.1f}"


def points(difference: float) -> str:
    """Return a difference of fractions in percentage points, with its sign."""
    return f"{_signed(difference)} points"


def points_interval(low: float, high: float) -> str:
    """Return the interval of a difference in percentage points: ``−1.8 to +1.8``."""
    return f"{_signed(low)} to {_signed(high)}"


def _signed(difference: float) -> str:
    """Return percentage points with a true minus sign, and no sign before zero."""
    text = f"{100 * difference:+.1f}".replace("-", MINUS)
    return "0.0" if text[1:] == "0.0" else text


def duration(seconds: float) -> str:
    """Return seconds as ``42 ms``, ``7.2 s``, ``1 min 35 s`` or ``1 h 07 min``.

    >>> [printable(duration(s)) for s in (0.00042, 0.003, 0.042, 7.25, 95, 4000)]
    ['0.42 ms', '3.0 ms', '42 ms', '7.2 s', '1 min 35 s', '1 h 07 min']
    """
    if seconds < 0.9995:
        milliseconds = 1000 * seconds
        text = f"{milliseconds:#.2g} ms" if 0 < milliseconds < 9.95 else f"{milliseconds:.0f} ms"
    elif seconds < 59.5:
        text = f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    elif seconds < 3599.5:
        text = f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    else:
        minutes = round(seconds / 60)
        text = f"{minutes // 60} h {minutes % 60:02d} min"
    return text.replace(" ", NARROW)


def duration_interval(low: float, high: float) -> str:
    """Return an interval of seconds: ``12–15 s``, or both ends with their units where these differ.

    >>> printable(duration_interval(12, 15)), printable(duration_interval(50, 70))
    ('12–15 s', '50 s–1 min 10 s')
    """
    first, last = duration(low), duration(high)
    number, _, unit = first.partition(NARROW)
    shared = NARROW not in unit and last.partition(NARROW)[2] == unit
    return f"{number}–{last}" if shared else f"{first}–{last}"


def count(number: float) -> str:
    """Return a count as ``850 k``, ``4.2 M`` or ``1.3 G``."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            value = number / factor
            return f"{value:.1f}{NARROW}{unit}" if value < 9.95 else f"{value:.0f}{NARROW}{unit}"
    return f"{number:.0f}"


def short_count(number: float) -> str:
    """Return a count as an option takes it: ``850.0k``, ``4.2M``, ``1.3B``."""
    for factor, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.1f}{unit}"
    return f"{number:.0f}"


def loss(value: float) -> str:
    """Return a loss with four digits.

    >>> loss(0.394), loss(0.35371), loss(12.3)
    ('0.3940', '0.3537', '12.30')
    """
    return f"{value:#.4g}".rstrip(".")


def file_size(number: float) -> str:
    """Return bytes as ``12.0 MB``."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= factor:
            return f"{number / factor:.1f}{NARROW}{unit}"
    return f"{number:.0f}{NARROW}bytes"


def gigabytes(number: float) -> str:
    """Return bytes in GB, with the digits of `file_size`, for a sentence that has the unit."""
    return f"{number / 1e9:.1f}"


def shorten(name: str, most: int) -> str:
    """Return a name cut in the middle to `most` characters.

    >>> shorten("mobilenetv3_small_100.lamb_in1k", 21)
    'mobilenetv….lamb_in1k'
    """
    keep = max(1, (most - 1) // 2)
    return name if len(name) <= most else f"{name[:keep]}…{name[len(name) - keep :]}"


def name_parts(name: str, most: int) -> list[str]:
    """Return a name in pieces of at most `most` characters, each of which ends where a part of the name ends.

    >>> name_parts("mobilenetv3_small_100.lamb_in1k@96", 24)
    ['mobilenetv3_small_100.', 'lamb_in1k@96']
    """
    pieces = [""]
    for part in re.findall(r"[^/_.:@&?\s-]+[/_.:@&?\s-]*|[/_.:@&?\s-]+", name):
        for chunk in (part[first : first + most] for first in range(0, len(part), most)):
            if pieces[-1] and len(pieces[-1]) + len(chunk) > most:
                pieces.append("")
            pieces[-1] += chunk
    return pieces


def bare_names(names: Iterable[str]) -> dict[str, str]:
    """Return each name without its origin where that is autotl's own and the rest is unique.

    >>> bare_names(["autotl:a", "timm:a", "timm:b", "mine:c"])
    {'autotl:a': 'autotl:a', 'timm:a': 'timm:a', 'timm:b': 'b', 'mine:c': 'mine:c'}
    """
    distinct = list(dict.fromkeys(names))
    rests = {name: name.removeprefix(f"{origin_of(name)}:") for name in distinct}
    uses = Counter(rests.values())
    return {name: without_origin(name) if uses[rest] == 1 else name for name, rest in rests.items()}


def shown(text: str) -> str:
    """Return a name as it can stand on a page; control characters and marks of direction are replaced."""
    return _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text)


# Controls, halves of surrogate pairs (bytes of file names that are not UTF-8), and marks of direction.
_UNSHOWN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)


def printable(text: str) -> str:
    """Return a line of text for a terminal: no control characters (names come from files), plain spaces."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in text.replace(NARROW, " ")
    )


def cell(text: str) -> str:
    """Return a text as a cell of a CSV that a spreadsheet takes for text and not for a formula; `uncelled` undoes it.

    >>> [cell(text) for text in ("=1+1", "-0.5", "cat", "'")]
    ["'=1+1", '-0.5', 'cat', "''"]
    """
    return "'" + text if text.startswith(_MISREAD) and not _NUMBER.fullmatch(text) else text


def uncelled(text: str) -> str:
    """Return the text that `cell` made this cell of."""
    return text.removeprefix("'")


_MISREAD = ("=", "+", "-", "@", "\t", "\r", "'")  # what makes a cell a formula, and the mark against it
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?", re.ASCII)


def csv_line(cells: Iterable[object]) -> str:
    """Return a line of a CSV for spreadsheets and `csv.reader`; None is an empty cell.

    Python's writer leaves a carriage return bare where lines end in a newline, and no reader takes it then.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([cell(value) if isinstance(value, str) else value for value in cells])
    return out.getvalue().removesuffix("\r\n") + "\n"


def numbered(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun.

    >>> numbered(1, "image"), numbered(1200, "entry", "entries")
    ('1 image', '1,200 entries')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
