"""A fact: what a run has to say, as a kind and values. `autotl.report.wording` turns it into a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Every kind of fact. Code compares kinds; nothing compares, splits or matches a sentence."""

    TEXT = "text"  # a sentence that was recorded as such: by autotl 0.1, or by a plugin

    # Events and notes of a run, in the order of its stages
    LOADED = "loaded"
    IMBALANCED_METRIC = "imbalanced_metric"
    CONTINUED = "continued"
    CANDIDATES = "candidates"
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    STARTED = "started"
    NO_SIMILARITY = "no_similarity"
    SUBSAMPLED = "subsampled"
    RANKING = "ranking"
    NOT_EMBEDDED = "not_embedded"
    SCORED = "scored"
    HISTORY_USED = "history_used"
    HISTORY_NOT_WRITTEN = "history_not_written"
    NO_DEPTH_PROFILE = "no_depth_profile"
    NOT_TIMED = "not_timed"
    FORECAST = "forecast"
    TRIAL_STARTED = "trial_started"
    TRAINING = "training"
    TRIAL_ENDED = "trial_ended"
    TOO_SLOW = "too_slow"
    NOT_TRAINED = "not_trained"
    PLUGIN_LEFT_OUT = "plugin_left_out"
    CONTROL_STARTED = "control_started"
    CONTROLS_SKIPPED = "controls_skipped"
    SCRATCH_SKIPPED = "scratch_skipped"
    FINAL_FIT = "final_fit"
    FINAL_FIT_SHORT = "final_fit_short"
    FINAL_FIT_FAILED = "final_fit_failed"
    REFIT_ON_TEST = "refit_on_test"
    REFIT_FAILED = "refit_failed"
    NO_TEST_SCORE = "no_test_score"
    NO_OOD = "no_ood"
    NO_EXPLANATION = "no_explanation"
    ENDED_EARLY = "ended_early"
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
