"""Match SPDX licence expressions against names, glob patterns and shorthands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

__all__ = ["PERMISSIVE", "SHORTHANDS", "UNKNOWN", "allowed"]

UNKNOWN = "unknown"  # what a licence that is not stated is called

# What the shorthand ``permissive`` stands for.
PERMISSIVE = (
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC-BY-4.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unlicense",
    "Zlib",
)
SHORTHANDS = {"permissive": PERMISSIVE}


def allowed(licence: str | None, patterns: Sequence[str]) -> bool:
    """Return whether an SPDX expression matches `patterns`: names, globs such as ``Apache-*``, or ``permissive``.

    Of ``A OR B`` one must be allowed, of ``A AND B`` both; an exception (``WITH``) is not looked at.
    Letter case does not matter. No pattern allows all; a licence that is not stated is called "unknown".

    >>> allowed("MIT OR GPL-3.0-only", ["permissive"]), allowed("MIT AND GPL-3.0-only", ["permissive"])
    (True, False)
    """
    if not patterns:
        return True
    wanted = [name.lower() for pattern in patterns for name in SHORTHANDS.get(pattern.lower(), (pattern,))]
    return _holds(re.findall(r"[()]|[^\s()]+", licence or UNKNOWN), wanted)


def _holds(words: list[str], wanted: Sequence[str]) -> bool:
    """Return whether an expression holds; a name holds if one of `wanted` matches it. OR binds loosest."""
    for operator, combine in (("OR", any), ("AND", all)):
        parts = _split(words, operator)
        if len(parts) > 1:
            return combine(_holds(part, wanted) for part in parts)
    if words[:1] == ["("] and words[-1:] == [")"]:
        return _holds(words[1:-1], wanted)
    name = words[0].lower() if words else UNKNOWN
    return any(fnmatchcase(name, pattern) for pattern in wanted)


def _split(words: list[str], operator: str) -> list[list[str]]:
    """Return the words between the operators outside all brackets."""
    parts: list[list[str]] = [[]]
    depth = 0
    for word in words:
        depth += (word == "(") - (word == ")")
        if depth == 0 and word.upper() == operator:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts
