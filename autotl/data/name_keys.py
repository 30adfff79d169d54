"""Keys that names of files may hold: a prefix, a number, a folder. Each is a regular expression for ``--group``.

Nothing is known of what a key means; `autotl.data.groups` measures on features whether its images belong together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

FIELDS = 6  # fields of a name that are looked at
SAMPLE = 200  # names from which the number of fields is read
FIELD, SEPARATOR = r"[^/_\-. ]+", r"[_\-. ]"
NUMBERED = 0.8  # of the images in groups that have a number as their key
REST = rf"{SEPARATOR}[^/]*$"


KeyFrom = Literal["names", "camera", "burst", "session"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Key:
    """A partition of the images by their names, or by what their files say of camera and time."""

    by: KeyFrom = "names"
    expression: str = ""  # of names: searched in each; its groups form the key
    group: np.ndarray  # (n,) int64: number of the key
    keys: tuple[str, ...]  # by number


def name_keys(names: Sequence[str]) -> list[Key]:
    """Return every partition of the names by a field, by the fields up to it, or by a folder; each once.

    A field may count for itself (one person in all classes) or within its folder (numbers that begin again in each).
    """
    found: dict[bytes, Key] = {}
    for expression in _expressions(names):
        key = keyed(expression, names)
        if 1 < len(key.keys) < len(names):
            found.setdefault(key.group.tobytes(), key)
    return list(found.values())


def keyed(expression: str, names: Sequence[str]) -> Key:
    """Return the partition by an expression, as ``--group`` makes it; a name without a match is a group of its own."""
    pattern, texts = re.compile(expression), []
    for name in names:
        match = pattern.search(name)
        texts.append(f"\0{name}" if match is None else "\1".join(match.groups()))
    keys, group = np.unique(np.array(texts, str), return_inverse=True)
    return Key(
        expression=expression,
        group=group.astype(np.int64),
        keys=tuple(str(key).replace("\1", "/").lstrip("\0") for key in keys),
    )


def numbered(key: Key, names: Sequence[str]) -> Key:
    """Return the key that takes numbers alone, as long as most are, where these make up most of its groups.

    Among names such as 00001684_005 others begin with a word or another number: those are no key of that kind.
    """
    sizes = np.bincount(key.group)
    lasts = [value.rpartition("/")[2] for value in key.keys]  # a key may begin with its folder
    digits = [len(last) for last, size in zip(lasts, sizes, strict=True) if size > 1 and last.isdecimal()]
    if not digits or f"({FIELD})" not in key.expression:
        return key
    length = max(set(digits), key=digits.count)
    number = keyed(key.expression.replace(f"({FIELD})", rf"(\d{{{length}}})"), names)
    images = [int((np.bincount(each.group)[each.group] > 1).sum()) for each in (number, key)]
    return number if images[0] >= NUMBERED * images[1] else key


def simplest(key: Key, names: Sequence[str]) -> Key:
    """Return the same partition by the plainest expression that makes it, for a person to read."""
    for expression in _plain(key, names):
        plain = keyed(expression, names)
        if (plain.group == key.group).all():
            return plain
    return key


def _expressions(names: Sequence[str]) -> Iterator[str]:
    sampled = names[:: max(1, len(names) // SAMPLE)]
    fields = max((len(re.split(SEPARATOR, name.rpartition("/")[2])) - 1 for name in sampled), default=0)
    for number in range(min(FIELDS, fields)):
        before = rf"(?:{FIELD}{SEPARATOR}){{{number}}}" if number else ""
        for start in ("(?:^|/)", "([^/]+)/"):
            yield rf"{start}{before}({FIELD}){REST}"
            if number:
                yield rf"{start}({before}{FIELD}){REST}"
    yield r"(?:^|/)([A-Za-z]+)[^/]*$"
    yield r"([^/]+)/[^/]+$"
    yield r"([^/]+)/[^/]+/[^/]+$"
    yield r"([^/]+/[^/]+)/[^/]+$"


def _plain(key: Key, names: Sequence[str]) -> Iterator[str]:
    """Yield short expressions that may make the same partition: the first key's letters, and what stands around it."""
    pattern = re.compile(key.expression)
    match = next((match for name in names if (match := pattern.search(name))), None)
    if match is None:
        return
    last, name = match.lastindex or 0, match.string
    before, value, after = name[: match.start(last)], match.group(last), name[match.end(last) :][:1]
    letters = re.match(r"[A-Za-z]*", value)
    word = letters.group() if letters else ""
    beginning = before[before.rfind("/") + 1 :]
    lefts = ["/" if before.endswith("/") else re.escape(beginning[-8:]), ""]
    numbers = [rf"{word}\d+"] if word else [r"\d+", rf"\d{{{len(value)}}}"]
    for shape in [*numbers, r"\w+?", "[^/]+?"]:
        for left in dict.fromkeys(lefts):
            yield rf"{left}({shape}){re.escape(after)}"
        if match.re.groups > 1 and not beginning:
            yield from (rf"({folder}/{shape}){re.escape(after)}" for folder in (r"\d+", r"\w+", "[^/]+"))
