"""Sentences of the ranking."""

from __future__ import annotations

from collections.abc import Callable

from autotl.records.facts import Kind
from autotl.report.format import numbered


def judged_on(rows: int) -> str:
    """Return on how many images a backbone was ranked."""
    return (
        f"scored on {numbered(rows, 'image')}"
        if rows
        else "ranked by its prior alone: no time to embed images"
    )


def _score(name: str) -> str:
    return "the prior" if name == "prior" else f"score {name!r}"


def _score_disagrees(score: str, tau: float, share: float) -> str:
    weighs = "has no weight" if share == 0 else f"has {share:.0%} of its usual weight"
    return f"{_score(score)} disagrees with this run's linear probes (Kendall's tau {tau:+.2f}) and {weighs}"


RANKING: dict[Kind, Callable[..., str]] = {
    Kind.PAST_RUNS: lambda runs, backbones: (
        f"{numbered(runs, 'past run')} adjust the prior of {numbered(backbones, 'backbone')}"
    ),
    Kind.SCORE_CONSTANT: lambda score: f"{_score(score)} is the same for every backbone and has no weight",
    Kind.SCORE_DISAGREES: _score_disagrees,
    Kind.SCORE_FAILED: lambda score, error: f"{_score(score)} failed: {error}",
    Kind.SCORE_NOT_FINITE: lambda score, value: f"{_score(score)} returned {value}",
    Kind.NOT_EMBEDDED: lambda: "no image was embedded in its time",
}
