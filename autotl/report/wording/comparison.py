"""Sentences on two runs that are compared."""

from __future__ import annotations

from collections.abc import Callable

from autotl.records.facts import Kind
from autotl.report.format import percent
from autotl.report.wording.targets import metric_name

RUNS = {1: "first", 2: "second"}


def _metrics_differ(first: str, second: str) -> str:
    return f"The first run is judged by {_words(first)}, the second by {_words(second)}"


def _preferences_differ(first: str, second: str) -> str:
    return f"The first run prefers {first}, the second {second}"


def _scores_changed(candidate: str, first: float, second: float) -> str:
    return f"{candidate} scores {percent(first)} in the first run and {percent(second)} in the second"


def _words(metric: str) -> str:
    return metric_name(metric)


COMPARISON: dict[Kind, Callable[..., str]] = {
    Kind.DATA_DIFFER: lambda: "The data differ, so scores are measured on other images",
    Kind.SPLIT_DIFFERS: lambda: "The same data are split differently, so scores are measured on other images",
    Kind.METRICS_DIFFER: _metrics_differ,
    Kind.PREFERENCES_DIFFER: _preferences_differ,
    Kind.BOTH_RECOMMEND: lambda candidate: f"Both runs recommend {candidate}",
    Kind.NEITHER_RECOMMENDS: lambda: "Neither run recommends a candidate",
    Kind.ONE_RECOMMENDS: lambda run: f"Only the {RUNS[run]} run recommends a candidate",
    Kind.SCORES_CHANGED: _scores_changed,
    Kind.TIE: lambda: (
        "The two are not significantly different in one of the runs, so either may be recommended"
    ),
}
