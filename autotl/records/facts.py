"""A fact: what a run has to say, as a kind and values. `autotl.report.wording` turns it into a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Every kind of fact. Code compares kinds; nothing compares, splits or matches a sentence."""

    TEXT = "text"  # a sentence that was recorded as such: by autotl 0.1, or by a plugin

    # Why a backbone is not tried.
    UNUSABLE = "unusable"  # message: of the exception, which says what to do
    TOO_MANY_PARAMETERS = "too many parameters"  # parameters, allowed
    WEIGHTS_OVER_MEMORY = "weights over memory"  # bytes, allowed
    LICENCE_NOT_ALLOWED = "licence not allowed"  # licence, allowed: names or globs
    WEIGHTS_MISSING_OFFLINE = "weights missing offline"  # backbone
    DOWNLOAD_TOO_LATE = "download too late"  # backbone, bytes
    TOO_SLOW = "too slow"  # latency, allowed: seconds an image
    RANKED_TOO_LOW = "ranked too low"  # place, of, rows: images that the ranking rests on


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A kind, and the JSON-able values that its sentence is made of: fractions, seconds, counts, names."""

    kind: Kind
    values: dict[str, Any] = field(default_factory=dict)


def fact(kind: Kind, **values: Any) -> Fact:
    """Return a fact of `kind` with `values`."""
    return Fact(kind=kind, values=values)
