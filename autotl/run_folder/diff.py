"""Compare two results: what changed from one run to the other, and why the verdict did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from autotl.records.candidate_id import backbone_of
from autotl.records.result import Recommendation, Row
from autotl.report.wording import joined, sentence

# Options that say how a run went, not what it was about.
_ASIDE = frozenset({"out", "command"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that is not the same in both runs."""

    what: str
    one: Any
    other: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescored:
    """A candidate that both runs judged."""

    candidate: str
    one: float
    other: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs, side by side."""

    same_verdict: bool
    data: tuple[Change, ...]
    setup: tuple[Change, ...]
    only_one: tuple[str, ...]  # candidates with a score in the first run alone
    only_other: tuple[str, ...]
    scores: tuple[Rescored, ...]  # those whose score changed, most first
    verdict: tuple[Change, ...]
    why: tuple[str, ...]  # sentences


def compare(one: Recommendation, other: Recommendation) -> Comparison:
    """Compare `other` with `one`: differences, and how they bear on the verdict."""
    data = _changes(_data(one), _data(other))
    setup = _changes(_setup(one), _setup(other))
    here, there = _scored(one), _scored(other)
    scores = [
        Rescored(candidate=name, one=here[name].score_val or 0.0, other=there[name].score_val or 0.0)
        for name in here
        if name in there and here[name].score_val != there[name].score_val
    ]
    scores.sort(key=lambda s: (-abs(s.other - s.one), s.candidate))
    return Comparison(
        same_verdict=_winner(one) == _winner(other),
        data=data,
        setup=setup,
        only_one=tuple(name for name in here if name not in there),
        only_other=tuple(name for name in there if name not in here),
        scores=tuple(scores),
        verdict=_changes(_verdict(one), _verdict(other)),
        why=tuple(_why(one, other)),
    )


def _data(state: Recommendation) -> dict[str, Any]:
    data = state.data
    return {
        "fingerprint": data.fingerprint,
        "classes": ", ".join(data.classes),
        **{f"images, {part}": count for part, count in data.counts.items()},
        "chosen on": data.select_from,
        "tested on": data.test_from,
        "groups kept together": data.grouped,
    }


def _setup(state: Recommendation) -> dict[str, Any]:
    options = {k: v for k, v in state.options.items() if k not in _ASIDE}
    goal = msgspec.to_builtins(state.goal)
    versions = {f"version of {name}": version for name, version in state.versions.items()}
    return {**options, **goal, "seed": state.seed, **versions, "device": state.device, "status": state.status}


def _verdict(state: Recommendation) -> dict[str, Any]:
    winner = state.winner
    return {
        "winner": _winner(state),
        "score": None if winner is None else winner.score_val,
        "test score": None if winner is None else winner.score_test,
        "winner's set": ", ".join(sorted(state.winners_set)),
        "runner-up": None if state.decision is None else state.decision.runner_up,
    }


def _changes(one: dict[str, Any], other: dict[str, Any]) -> tuple[Change, ...]:
    names = dict.fromkeys((*one, *other))
    return tuple(
        Change(what=name, one=one.get(name), other=other.get(name))
        for name in names
        if one.get(name) != other.get(name)
    )


def _winner(state: Recommendation) -> str | None:
    return state.decision.winner if state.decision else None


def _scored(state: Recommendation) -> dict[str, Row]:
    return {row.candidate: row for row in state.leaderboard if row.score_val is not None and not row.control}


def _why(one: Recommendation, other: Recommendation) -> list[str]:
    """Return the sentences on how the verdicts come to differ, the plainest cause first."""
    first, second = _winner(one), _winner(other)
    said = []
    if one.data.fingerprint != other.data.fingerprint:
        said.append("The data are not the same, so scores were measured on other images.")
    elif one.data.counts != other.data.counts:
        said.append("The same data were split differently, so scores were measured on other images.")
    if one.metric != other.metric:
        said.append(f"The first run is judged by {_words(one.metric)}, the second by {_words(other.metric)}.")
    if one.goal.prefer != other.goal.prefer:
        said.append(
            f"Ties go to {one.goal.prefer} in the first run and to {other.goal.prefer} in the second."
        )
    if first == second:
        return [f"Both recommend {first}." if first else "Neither recommends anything.", *said]
    if first is None or second is None:
        return [*said, f"Only the {'second' if first is None else 'first'} run came to a recommendation."]
    here, there = _scored(one), _scored(other)
    if second not in here:
        said.append(f"{second}, which wins the second run, {_absence(one, second)} in the first.")
    if first not in there:
        said.append(f"{first}, which won the first run, {_absence(other, first)} in the second.")
    if second in here and first in there:
        said.append(
            f"{first} went from {here[first].score_val:.1%} to {there[first].score_val:.1%},"
            f" {second} from {here[second].score_val:.1%} to {there[second].score_val:.1%}."
        )
        if second in one.winners_set or first in other.winners_set:
            said.append("They could not be told apart in the first place: a tie fell the other way.")
    return said


def _absence(state: Recommendation, candidate: str) -> str:
    row = next((r for r in state.leaderboard if r.candidate == candidate), None)
    if row is not None:
        reason = joined(row.facts)
        return f"{row.status} ({reason})" if reason else row.status
    backbone = backbone_of(candidate)
    skipped = next((s for s in state.skipped if s.name == backbone), None)
    return f"was not tried ({sentence(skipped.reason)})" if skipped else "was not tried"


def _words(metric: str) -> str:
    return metric.replace("_", " ")
