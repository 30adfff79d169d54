"""A fact: what a run has to say, as a kind and values. `autotl.report.wording` turns it into a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Every kind of fact. Code compares kinds; nothing compares, splits or matches a sentence."""

    TEXT = "text"  # a sentence that was recorded as such: by autotl 0.1, or by a plugin

    # Notes of the engine on a trial.
    HEAD_FITTED = "head_fitted"  # by: method and setting of a closed-form head
    FEWER_ROWS = "fewer_rows"  # rows, of: a closed-form head was fitted on fewer rows for lack of time
    BATCH_NORM_MEASURED = "batch_norm_measured"  # a conversion had folded the statistics away
    BATCH_HALVED = "batch_halved"  # batch: images a step after memory ran out
    RATE_LOWERED = "rate_lowered"  # cause (diverged, constant), rate, next_rate
    FEWER_EPOCHS = "fewer_epochs"  # epochs, of: the schedule was shortened to the time there was
    FLIPS = "flips"  # used, plain, flipped: accuracies of a linear probe on both kinds of images
    FLIPS_UNKNOWN = "flips_unknown"  # too few images to compare
    MEMORY_UNKNOWN = "memory_unknown"  # error: the memory of prediction could not be measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A kind, and the JSON-able values that its sentence is made of: fractions, seconds, counts, names."""

    kind: Kind
    values: dict[str, Any] = field(default_factory=dict)


def fact(kind: Kind, **values: Any) -> Fact:
    """Return a fact of `kind` with `values`."""
    return Fact(kind=kind, values=values)
