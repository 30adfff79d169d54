"""The events of a run as data: the stages in their order, and what the values of each kind hold."""

from __future__ import annotations

from collections.abc import Mapping

from autotl.records.facts import Kind

__all__ = ["AT_ANY_TIME", "EVENTS", "FINDINGS", "STAGES", "Values"]

Values = Mapping[str, str]  # the meaning of each value, by its name

# In the order of a run. A run has not all of them: what needs no mention, or no time is left for, has no event. The
# first probe belongs to the ranking.
STAGES = (
    "load", "split", "candidates", "start", "doctor", "similarity", "sample", "rank", "forecast", "probe", "control",
    "recheck", "final fit", "report", "end",
)  # fmt: skip
AT_ANY_TIME = ("download", "plugins")

_TRAINING: Values = {
    "epoch": "passes so far",
    "epochs": "passes that were asked for",
    "loss": "mean training loss since the event before",
    "followed_score": "the metric on some of the selection images; not its `score_val`",
}
_ENDED: Values = {
    "metric": "of the score",
    "score": "`score_val`, as in the event's `score`; None where there is none",
    "status": "finished, stopped, diverged or failed",
    "error": "why there is no score",
}
_PLUGIN: Values = {"plugin": "its name", "package": "that it was part of", "version": "of the package"}

# By stage, then by kind, in order.
EVENTS: Mapping[str, Mapping[Kind, Values]] = {
    "load": {
        Kind.LOADED: {
            "images": "number of images",
            "classes": "number of classes",
            "target": "kind of the labels: multiclass, multilabel or regression",
        }
    },
    "candidates": {
        Kind.CANDIDATES: {
            "backbones": "number of backbones with weights here",
            "strategies": "number of strategies",
        }
    },
    "start": {Kind.STARTED: {"device": "where the engine works", "precision": "that was asked for"}},
    "similarity": {
        Kind.SIMILARITY: {
            "level": "near, middling or far",
            "domain": "that the images are compared with",
            "value": "0: easily told apart; 1: alike",
            "low": "lower end of its 95% interval",
            "high": "upper end",
        }
    },
    "sample": {
        Kind.SUBSAMPLED: {
            "left_out": "images that no later stage uses",
            "images": "number of images before",
            "seconds_per_image": "forward pass of the cheapest backbone",
        }
    },
    "rank": {
        Kind.RANKING: {},
        Kind.SCORED: {
            "images": "that the scores are computed on",
            "ranking_scores": "values by name of score: `linear` is a linear probe's, cross-validated on these images; "
            "not a `score_val`",
        },
        Kind.EMBEDDING_FAILED: {"error": "why the backbone, the event's `candidate`, has no features"},
    },
    "forecast": {
        Kind.FORECAST: {
            "seconds": "of the whole run",
            "seconds_low": "lower end of its 80% interval",
            "seconds_high": "upper end",
            "bytes": "that the run holds at most; 0 where not known",
            "bytes_low": "lower end of its 80% interval",
            "bytes_high": "upper end",
        }
    },
    "probe": {
        Kind.TRIAL_STARTED: {
            "epochs": "that were asked for; 0 for a head in closed form",
            "low": "lower end of the forecast's 80% interval, seconds",
            "high": "upper end",
        },
        Kind.TRAINING: _TRAINING,
        Kind.TRIAL_ENDED: _ENDED,
        Kind.TRIAL_GIVEN_BACK: {"error": "why the slot that it ran on was lost; another one trains it"},
    },
    "control": {
        Kind.CONTROL_STARTED: {"control": "scratch or scratch_half"},
        Kind.TRAINING: _TRAINING,
        Kind.TRIAL_ENDED: _ENDED,
    },
    "final fit": {
        Kind.FINAL_FIT: {"low": "lower end of the forecast's 80% interval, seconds", "high": "upper end"},
        Kind.TRAINING: _TRAINING,
    },
    "report": {Kind.TEXT: {"text": "the recommendation, or what the report lacks"}},
    "end": {Kind.RUN_ENDED: {"status": "finished, interrupted or failed", "error": "of a run that failed"}},
    "download": {
        Kind.DOWNLOADING: {
            "megabytes": "of all weights",
            "seconds": "that it may take",
            "backbones": "names",
        },
        Kind.DOWNLOADED: {"backbone": "name"},
    },
    "plugins": {
        Kind.PLUGIN_LEFT_OUT: {"problem": "plugin, hook and what happened"},
        Kind.PLUGIN_MISSING: _PLUGIN,
        Kind.PLUGIN_DIFFERS: {**_PLUGIN, "installed": "version now"},
    },
}
# Stages with an event for each finding or guess, whose kind and values are those of `result.json`.
FINDINGS = ("load", "split", "doctor", "recheck", "report")
