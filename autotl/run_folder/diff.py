"""Compare two results: what changed from one run to the other, and why the verdict did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from autotl.records.candidate_id import backbone_of
from autotl.records.facts import Fact, Kind, fact
from autotl.records.result import Recommendation, Row

# Options that do not bear on the result.
_ASIDE = frozenset({"out", "command"})
_SPLITS = ("seed", "group", "no_auto_group", "test_size")  # options that move images to other parts


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
    why: tuple[Fact, ...]


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
        "winner's set": tuple(sorted(state.winners_set)),
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


def _why(one: Recommendation, other: Recommendation) -> list[Fact]:
    """Return why the verdicts differ, causes in data and setup first."""
    first, second = _winner(one), _winner(other)
    facts = []
    if one.data.fingerprint != other.data.fingerprint:
        facts.append(fact(Kind.DATA_DIFFER))
    elif one.data.counts != other.data.counts or any(
        one.options.get(name) != other.options.get(name) for name in _SPLITS
    ):
        facts.append(fact(Kind.SPLIT_DIFFERS))
    if one.metric != other.metric:
        facts.append(fact(Kind.METRICS_DIFFER, first=one.metric, second=other.metric))
    if one.goal.prefer != other.goal.prefer:
        facts.append(fact(Kind.PREFERENCES_DIFFER, first=one.goal.prefer, second=other.goal.prefer))
    if first == second:
        same = fact(Kind.BOTH_RECOMMEND, candidate=first) if first else fact(Kind.NEITHER_RECOMMENDS)
        return [same, *facts]
    if first is None or second is None:
        return [*facts, fact(Kind.ONE_RECOMMENDS, run=2 if first is None else 1)]
    here, there = _scored(one), _scored(other)
    if second not in here:
        facts.append(_without_score(one, second, wins=2, run=1))
    if first not in there:
        facts.append(_without_score(other, first, wins=1, run=2))
    if second in here and first in there:
        facts += [
            fact(
                Kind.SCORES_CHANGED, candidate=name, first=here[name].score_val, second=there[name].score_val
            )
            for name in (first, second)
        ]
        if second in one.winners_set or first in other.winners_set:
            facts.append(fact(Kind.TIE))
    return facts


def _without_score(state: Recommendation, candidate: str, *, wins: int, run: int) -> Fact:
    """Return why run number `run`, whose result is `state`, has no score of the winner of run `wins`."""
    row = next((r for r in state.leaderboard if r.candidate == candidate), None)
    backbone = backbone_of(candidate)
    reasons = row.facts if row else tuple(s.reason for s in state.skipped if s.name == backbone)
    return fact(
        Kind.WINNER_NOT_SCORED,
        candidate=candidate,
        wins=wins,
        run=run,
        status=row.status if row else "skipped",
        reasons=[[reason.kind, reason.values] for reason in reasons],
    )
