"""Make the rows of the leaderboard. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autotl.decision import limits
from autotl.decision.evidence import Evidence, Judged
from autotl.records import Decision, Fact, Goal, Interval, Kind, TrialResult, fact
from autotl.records.result import Row
from autotl.stats import metrics

__all__ = ["control_row", "rows", "shuffled_row"]


def rows(
    evidence: Sequence[Evidence],
    decision: Decision,
    judged: Judged,
    goal: Goal,
    failed: Sequence[TrialResult] = (),
    expected: Mapping[str, Interval] | None = None,
) -> tuple[Row, ...]:
    """Return a row a candidate, the winner first, then by score; those without a score last, with the reason."""
    scored = [_row(e, decision, judged, goal, (expected or {}).get(e.name)) for e in evidence]
    scored.sort(
        key=lambda r: (
            r.candidate != decision.winner,
            -round(r.score_val or 0.0, 6),
            r.macs or 0,
            r.candidate,
        )
    )
    return (*scored, *(_without_score(result) for result in failed))


def control_row(evidence: Evidence, judged: Judged, goal: Goal) -> Row:
    """Return the row of a control, which never competes."""
    return _row(evidence, Decision(winner=None), judged, goal)


def shuffled_row(result: TrialResult) -> Row:
    """Return the row of the permutation test: the chance level, and where 95% of the permutations score."""
    candidate = result.trial.candidate
    values = next((note.values for note in result.notes if note.kind is Kind.SHUFFLED_LABELS), {})
    return Row(
        candidate=candidate.id,
        status=result.status,
        backbone=candidate.backbone,
        input_size=candidate.input_size,
        strategy=candidate.strategy,
        score_val=values.get("chance"),
        ci_low=values.get("low"),
        ci_high=values.get("high"),
        fit_time=result.cost.seconds,
        control=result.trial.control,
        facts=result.notes,
    )


def _row(
    e: Evidence, decision: Decision, judged: Judged, goal: Goal, expected: Interval | None = None
) -> Row:
    result, candidate = e.result, e.candidate
    interval = metrics.interval(goal.metric, judged.labels, e.predicted, judged.classes, judged.group)
    limit = None if result.trial.control else limits.broken_by(e, goal)
    return Row(
        candidate=e.name,
        status=result.status,
        backbone=candidate.backbone,
        input_size=candidate.input_size,
        strategy=candidate.strategy,
        unfreeze=candidate.unfreeze,
        score_val=interval.value,
        ci_low=interval.low,
        ci_high=interval.high,
        expected=None if expected is None else expected.value,
        in_winners_set=e.name in decision.winners_set,
        fit_time=e.fit_time,
        pred_time=result.latency,
        parameters=result.parameters,
        macs=result.macs,
        epochs=result.epochs_done,
        rows=result.trial.rows,
        control=result.trial.control,
        facts=result.notes if limit is None else (limit,),
    )


def _without_score(result: TrialResult) -> Row:
    candidate = result.trial.candidate
    return Row(
        candidate=candidate.id,
        status=result.status,
        backbone=candidate.backbone,
        input_size=candidate.input_size,
        strategy=candidate.strategy,
        unfreeze=candidate.unfreeze,
        fit_time=result.cost.seconds,
        facts=(_why(result), *result.notes),
    )


def _why(result: TrialResult) -> Fact:
    return fact(Kind.FAILED, error=result.error) if result.error else fact(Kind.NO_PREDICTIONS)
