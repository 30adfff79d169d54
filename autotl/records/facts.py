"""A fact: what a run has to say, as a kind and values. `autotl.report.wording` turns it into a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Every kind of fact. Code compares kinds; nothing compares, splits or matches a sentence."""

    TEXT = "text"  # a sentence that was recorded as such: by autotl 0.1, or by a plugin

    # search and decision
    NO_RECIPE_FITS = "no recipe fits"
    PROBES_WITHOUT_GAIN = "probes without gain"
    NO_GAIN_EXPECTED = "no gain expected"
    NOTHING_FINISHED = "nothing finished"
    NONE_WITHIN_LIMITS = "none within limits"
    CHEAPEST_BREAKS_LIMIT = "cheapest breaks limit"
    LIMITS_COST = "limits cost"
    CHOSEN_OVER_BEST = "chosen over best"
    BEST_AND_PREFERRED = "best and preferred"
    HIGHER_SCORE_NOT_CHOSEN = "higher score not chosen"
    FROZEN_OR_TUNED = "frozen or fine-tuned"
    FROZEN_ALONE = "frozen alone"
    DEPTH_COMPARED = "depth compared"
    BACKBONE_COMPARED = "backbone compared"
    NO_SIGNAL = "no signal"
    BEST_PROBABILITY = "best probability"
    OPEN_RECIPES = "open recipes"
    MORE_TRAINING_IMAGES = "more training images"
    RUNNER_UP_WORSE = "runner-up worse"
    RUNNER_UP_EQUAL = "runner-up equal"
    MORE_IMAGES_HOPELESS = "more images hopeless"
    MORE_SELECTION_IMAGES = "more selection images"
    CROSS_VALIDATION_WOULD_TELL = "cross-validation would tell"
    RULE_OF_THUMB = "rule of thumb"
    PRETRAINING_UNKNOWN = "pretraining unknown"
    PRETRAINING_GAIN = "pretraining gain"
    SHUFFLED_LABELS = "shuffled labels"
    PIXELS_ONLY = "pixels only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A kind, and the JSON-able values that its sentence is made of: fractions, seconds, counts, names."""

    kind: Kind
    values: dict[str, Any] = field(default_factory=dict)


def fact(kind: Kind, **values: Any) -> Fact:
    """Return a fact of `kind` with `values`."""
    return Fact(kind=kind, values=values)
