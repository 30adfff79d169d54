"""A fact about a run, as a kind and values. `autotl.report.wording` turns it into a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any


@unique
class Kind(StrEnum):
    """Every kind of fact. Code compares kinds; nothing compares, splits or matches a sentence."""

    TEXT = "text"  # a sentence that was recorded as such: by autotl 0.1, or by a plugin

    # the data: files that are left out
    HIDDEN = "hidden"
    BESIDE_PARTS = "beside_parts"
    OUTSIDE_CLASS_FOLDERS = "outside_every_class_folder"
    NOT_AN_IMAGE = "not_an_image"
    LINK_OUTSIDE = "link_outside"
    OUTSIDE_CSV_FOLDER = "outside_csv_folder"
    NO_LABEL = "no_label"
    NO_SUCH_FILE = "no_such_file"
    NAMED_TWICE = "named_twice"
    EMPTY_FILE = "empty_file"
    NO_PIXELS = "no_pixels"
    TOO_MANY_PIXELS = "too_many_pixels"
    UNREADABLE = "not_a_readable_image"
    # the data: findings
    LEFT_OUT = "left_out"
    LARGE = "large"
    ONE_SIDED_CLASS = "one_sided_class"
    SHARED_GROUP = "shared_group"
    BROKEN = "broken"
    NO_TIME = "no_time"
    IMBALANCE = "imbalance"
    FEW = "few"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    LEAK = "leak"
    CONFLICT = "conflict"
    DARK = "dark"
    BRIGHT = "bright"
    FLAT = "flat"
    BLURRED = "blurred"
    TINY = "tiny"
    LONG = "long"
    # the data: how they are split
    SPLIT_SIZES = "split_sizes"
    TEST_HELD_OUT = "test_held_out"
    NO_TEST_PART = "no_test_part"
    SELECT_GIVEN = "select_given"
    SELECT_OUT_OF_FOLD = "select_out_of_fold"
    SELECT_HELD_OUT = "select_held_out"
    GROUPS_WHOLE = "groups_whole"
    # the ranking
    PAST_RUNS = "past_runs"
    SCORE_CONSTANT = "score_constant"
    SCORE_DISAGREES = "score_disagrees"
    SCORE_FAILED = "score_failed"
    SCORE_NOT_FINITE = "score_not_finite"
    NOT_EMBEDDED = "not_embedded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A kind, and the JSON-able values that its sentence is made of: fractions, seconds, counts, names."""

    kind: Kind
    values: dict[str, Any] = field(default_factory=dict)


def fact(kind: Kind, **values: Any) -> Fact:
    """Return a fact of `kind` with `values`."""
    return Fact(kind=kind, values=values)
