"""Sentences of the ranking."""

from __future__ import annotations

from collections.abc import Callable

from autotl.records.facts import Fact, Kind
from autotl.report.format import numbered, percent
from autotl.report.wording.targets import TARGETS

PRIOR = "the prior alone (published accuracy, size and past runs)"


def judged_on(rows: int) -> str:
    """Return on how many images a backbone was ranked."""
    return f"scored on {numbered(rows, 'image')}" if rows else f"by {PRIOR}: no time to embed images"


def _score(name: str) -> str:
    return "the prior (published accuracy, size and past runs)" if name == "prior" else f"score {name!r}"


def _score_disagrees(score: str, tau: float, share: float) -> str:
    weighs = "has no weight" if share == 0 else f"has {percent(share, 0)} of its usual weight"
    return f"{_score(score)} disagrees with this run's linear probes (Kendall's tau {tau:+.2f}) and {weighs}"


def _on(backbone: str) -> str:
    return f" on backbone {backbone}" if backbone else ""


def score_problem(fact: Fact) -> str:
    """Return what a guest's score did wrong, for its author."""
    values = fact.values
    if fact.kind == Kind.SCORE_NOT_FINITE:
        return (
            f"returned {values['value']}{_on(values['backbone'])}; expected a finite number for any finite features; "
            "return a low value where there is none"
        )
    return f"raised {values['error']}{_on(values['backbone'])}; expected a finite number; correct the score's function"


def wrong_width(backbone: str, declared: int | None, width: int) -> str:
    """Return that a guest's backbone has features of another width than its spec declares."""
    return (
        f"feature_dim is declared as {declared}, and the features are {width} wide; {width} is used; "
        "correct feature_dim, or name the network's classifier in classifier_name"
    )


RANKING: dict[Kind, Callable[..., str]] = {
    Kind.PAST_RUNS: lambda runs, backbones: (
        f"{numbered(runs, 'past run')} adjust the prior of {numbered(backbones, 'backbone')}"
    ),
    Kind.SCORE_CONSTANT: lambda score: f"{_score(score)} is the same for every backbone and has no weight",
    Kind.SCORE_DISAGREES: _score_disagrees,
    Kind.SCORE_FAILED: lambda score, error, backbone="": f"{_score(score)} failed{_on(backbone)}: {error}",
    Kind.SCORE_DECLINES: lambda score, target: f"{_score(score)} is not defined for {TARGETS[target]}",
    Kind.SCORE_NOT_FINITE: lambda score, value, backbone="": (
        f"{_score(score)} returned {value}{_on(backbone)}"
    ),
    Kind.NOT_EMBEDDED: lambda: "no image was embedded in its time",
}
