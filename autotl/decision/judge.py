"""Judge recorded trials: results and their prediction files → decision and leaderboard.

The pipeline calls this after each trial, and replay calls it again on a finished folder: one code path, so that a
decision can be derived again from what the folder holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from autotl.candidates.declared_limits import broken_limit
from autotl.decision import leaderboard, limits, power, reasons, rule_of_thumb, transfer
from autotl.decision.evidence import (
    Evidence,
    Judged,
    belief_of,
    exportable,
    judged_rows,
    paired,
    predicted_labels,
    representative_results,
    selection,
    timed_alike,
)
from autotl.decision.winner import choose
from autotl.records import Decision, Goal, Interval, Prospect, Skipped, TrialResult
from autotl.records.candidate_id import backbone_of
from autotl.records.encoding import rounded
from autotl.records.facts import Fact, Kind, fact
from autotl.records.result import Case, Row
from autotl.search.belief import Belief, Outlook
from autotl.search.recipe import recipes
from autotl.stats import metrics

__all__ = ["Verdict", "decide", "expected_scores", "judge", "likelier", "open_recipes", "outlook"]

DRAWS = 2000
HELD = 0.99  # of the probability, that the tried and the open recipes hold together
OPEN_NAMED = 3  # recipes in the sentence
NOTICED = (
    0.01  # of the score: where the best of all is expected to gain more, a larger budget is the first advice
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """The decision and the leaderboard that recorded trials give."""

    decision: Decision
    leaderboard: tuple[Row, ...]


def judge(results: Sequence[TrialResult], folder: Path, case: Case) -> Verdict:
    """Return decision and leaderboard from trial results whose predictions are in `folder`.

    A goal that rules out one of `case.backbones` by what is declared of it rules out its candidates.
    """
    columns, goal = case.columns, case.goal
    judged = judged_rows(columns)
    shuffled = [result for result in results if result.trial.control == "shuffled"]
    evidence, failed = _evidence([r for r in results if r not in shuffled], folder, case)
    rivals = [e for e in evidence if not e.result.trial.control]
    controls = [e for e in evidence if e.result.trial.control]
    belief = belief_of(results, folder, case)
    expected = expected_scores(belief, rivals)
    decision = decide(rivals, judged, goal, expected)
    chances = outlook(belief, rivals, case)
    train = int((columns.part == 0).sum())
    decision = _with_cause(decision, failed, case)
    decision = _with_chances(decision, chances, rivals, expected, goal)
    rule = rule_of_thumb.compare(decision, rivals, judged, goal, train, case.similarity)
    decision = replace(
        decision,
        reasons=(*decision.reasons, *([rule] if rule else [])),
        would_change=(*decision.would_change, *_more_training_images(decision, rivals, case)),
    )
    decision = _with_controls(decision, rivals, controls, shuffled, judged, case)
    decision = msgspec.convert(rounded(msgspec.to_builtins(decision)), Decision)
    board = leaderboard.rows(rivals, decision, judged, goal, failed, expected)
    board += tuple(leaderboard.control_row(e, judged, goal) for e in controls)
    board += tuple(leaderboard.shuffled_row(result) for result in shuffled)
    return Verdict(decision=decision, leaderboard=board + _skipped(case.skipped))


def decide(
    evidence: Sequence[Evidence], judged: Judged, goal: Goal, expected: Mapping[str, Interval]
) -> Decision:
    """Return winner, winner's set and reasons; `expected` is each candidate's score on new images, by id."""
    choice = choose(evidence, judged, goal, expected)
    if choice is None:
        return Decision(winner=None, reasons=tuple(reasons.no_winner(evidence, goal)))
    winner, runner_up = choice.winner, choice.runner_up
    judged = replace(judged, comparisons=choice.comparisons)  # one level of significance in all that is said
    margin = paired(winner, runner_up, judged, goal) if runner_up else None
    interval = metrics.interval(goal.metric, judged.labels, winner.predicted, judged.classes, judged.group)
    return Decision(
        winner=winner.name,
        score=interval,
        expected=expected[winner.name],
        winners_set=tuple(e.name for e in choice.members),
        runner_up=runner_up.name if runner_up else None,
        margin=margin,
        reasons=tuple(reasons.why(choice, judged, goal)),
        would_change=tuple(power.would_separate(winner, runner_up, margin, judged)),
    )


def expected_scores(belief: Belief, evidence: Sequence[Evidence]) -> dict[str, Interval]:
    """Return what each candidate that was tried is expected to score on new images, by id."""
    scores = {}
    for e in evidence:
        epochs = max(e.result.epochs_done, 1.0) if e.result.trial.epochs else 0.0
        interval = belief.estimate(e.candidate, epochs)
        scores[e.name] = Interval(
            value=rounded(interval.value), low=rounded(interval.low), high=rounded(interval.high)
        )
    return scores


def outlook(belief: Belief, evidence: Sequence[Evidence], case: Case) -> Outlook | None:
    """Return all recipes that the run may try, and those that it tried, seen together.

    None where the ranking's scores are on the selection images themselves, and where no frozen head was tried: nothing
    is known then of what was not tried.
    """
    if case.ranking is None or case.columns.folds or not evidence:
        return None
    tried = {e.name: e.candidate for e in evidence}
    offered = recipes(case.ranking.ranked, case.strategies)
    others = {candidate.id: candidate for candidate in offered if candidate.id not in tried}
    return belief.outlook(list(tried.values()), list(others.values()), DRAWS)


def open_recipes(
    chances: Mapping[str, float], members: Sequence[str], tried: Sequence[str]
) -> tuple[Prospect, ...]:
    """Return the untried recipes that are needed beside the winner's set to hold `HELD` of the probability.

    The most likely come first. Candidates that were tried and are not in the winner's set are worse by their own
    measurement.
    """
    held = sum(chances.get(name, 0.0) for name in tried)
    opened = []
    for name, chance in chances.items():
        if held >= HELD or chance <= 0:
            break
        if name not in tried and name not in members:
            opened.append(Prospect(candidate=name, chance=rounded(chance)))
            held += chance
    return tuple(opened)


def _evidence(
    results: Sequence[TrialResult], folder: Path, case: Case
) -> tuple[list[Evidence], list[TrialResult]]:
    """Return the candidates that have predictions on every selection row, and the results of the others."""
    rows = selection(case.columns.part, case.columns.folds)
    declared = {spec.name: broken_limit(spec, case.goal) for spec in case.backbones}
    strategies = {strategy.name: strategy for strategy in case.strategies}
    evidence, failed = [], []
    for name, result in representative_results(timed_alike(results)).items():
        predicted = None
        if result.predictions is not None and result.status in ("finished", "stopped"):
            predicted = predicted_labels(
                folder / result.predictions, rows, len(case.columns.classes), case.columns.target
            )
        if predicted is None:
            failed.append(result)
            continue
        spent = sum(r.cost.seconds for r in results if r.trial.candidate.id == name)
        evidence.append(
            Evidence(
                result=result,
                predicted=predicted,
                fit_time=round(spent, 6),
                refused=declared.get(result.trial.candidate.backbone),
                exportable=exportable(result, strategies.get(result.trial.candidate.strategy)),
            )
        )
    return evidence, failed


def _with_cause(decision: Decision, failed: Sequence[TrialResult], case: Case) -> Decision:
    """Return the decision with the one reason why no fine-tuning of the winner's backbone has a score."""
    cause = reasons.why_not_tuned(backbone_of(decision.winner or ""), failed, case)
    return replace(
        decision,
        reasons=tuple(cause if each.kind is Kind.FROZEN_ALONE else each for each in decision.reasons),
    )


def _with_chances(
    decision: Decision,
    seen: Outlook | None,
    rivals: Sequence[Evidence],
    expected: Mapping[str, Interval],
    goal: Goal,
) -> Decision:
    """Return the decision with the chance that it is right, and the untried recipes that may be better."""
    if seen is None or decision.winner is None:
        return decision
    chance, gap = seen.chances[decision.winner], seen.behind[decision.winner]
    tried = [e.name for e in rivals]
    opened = open_recipes(seen.chances, decision.winners_set, tried)
    sure = fact(
        Kind.BEST_PROBABILITY,
        recipes=len(seen.chances),
        tried=len(tried),
        behind=gap.value,
        low=gap.low,
        high=gap.high,
        chance=chance,
        among_tried=seen.among_tried[decision.winner],
        **likelier(decision, seen.among_tried, rivals, expected, goal),
    )
    better: list[Fact] = []
    if opened:
        first = [[one.candidate, one.chance] for one in opened[:OPEN_NAMED]]
        better.append(fact(Kind.OPEN_RECIPES, first=first, more=max(0, len(opened) - OPEN_NAMED)))
    return replace(
        decision,
        chance=chance,
        open=opened,
        reasons=(*decision.reasons, sure),
        would_change=(*better, *decision.would_change)
        if gap.value > NOTICED
        else (*decision.would_change, *better),
    )


def likelier(
    decision: Decision,
    chances: Mapping[str, float],
    rivals: Sequence[Evidence],
    expected: Mapping[str, Interval],
    goal: Goal,
) -> dict[str, object]:
    """Return which candidate is likelier to be the best than the winner, and why it is not recommended.

    `chances` are those of the candidates that were tried, by id. Empty where none is likelier.
    """
    winner = str(decision.winner)
    likeliest = max(chances, key=lambda name: chances[name])
    if chances[likeliest] <= chances[winner]:
        return {}
    scores = [expected[winner].value, expected[likeliest].value]
    by_name = {e.name: e for e in rivals}
    if limits.broken_by(by_name[likeliest], goal) is not None:
        because = "limit"
    elif likeliest not in decision.winners_set:
        because = "significant"
    elif scores[0] >= scores[1]:
        because = "expected"
    elif by_name[winner].exportable and not by_name[likeliest].exportable:
        because = "exportable"
    else:
        because = goal.prefer
    return {
        "likeliest": likeliest,
        "likeliest_chance": chances[likeliest],
        "expected": scores,
        "because": because,
        **reasons.named(goal),
    }


def _more_training_images(decision: Decision, rivals: Sequence[Evidence], case: Case) -> list[Fact]:
    """Return the expected gain from more images to train on, by the winner's learning curve."""
    winner = next((e.candidate for e in rivals if e.name == decision.winner), None)
    if winner is None:
        return []
    return [
        fact(
            Kind.MORE_TRAINING_IMAGES,
            images=g.more,
            gain=g.gain.value,
            low=g.gain.low,
            high=g.gain.high,
            **({"metric": "r2"} if case.columns.target == "regression" else {}),
            limit=None if g.asymptote is None else [g.asymptote.value, g.asymptote.low, g.asymptote.high],
        )
        for g in (case.ranking.curves if case.ranking else ())
        if (g.backbone, g.input_size) == (winner.backbone, winner.input_size)
    ]


def _with_controls(
    decision: Decision,
    rivals: Sequence[Evidence],
    controls: Sequence[Evidence],
    shuffled: Sequence[TrialResult],
    judged: Judged,
    case: Case,
) -> Decision:
    """Return the decision with what the controls show: what pretraining gained, and facts."""
    winner = next((e for e in rivals if e.name == decision.winner), None)
    if winner is None:
        return decision
    goal, images = case.goal, int((case.columns.part == 0).sum())
    gained, shown = transfer.verdict(winner, controls, judged, goal)
    by_hand = transfer.without_network(winner, controls, judged, goal)
    if shown is not None and shown.kind is Kind.PRETRAINING_GAIN and by_hand is not None:
        same = shown.values["control"] == by_hand.values["control"]
        by_hand = None if same else by_hand  # it is in the verdict
    scratch = next((e for e in controls if e.result.trial.control == "scratch"), None)
    ahead = None
    if scratch is not None:
        timed = [_timed(e, images) for e in rivals]
        ahead = transfer.head_start(timed, _timed(scratch, images), winner.name, judged, goal)
    facts = [shown, ahead, by_hand, *(note for result in shuffled for note in result.notes)]
    return replace(
        decision, transfer=gained, reasons=(*decision.reasons, *(one for one in facts if one is not None))
    )


def _timed(evidence: Evidence, images: int) -> transfer.Timed:
    """Return it with its seconds of training; a closed-form head's are those of embedding `images`."""
    result = evidence.result
    embedding = 0.0 if result.epochs_done else (result.latency or 0.0) * images
    return transfer.Timed(evidence=evidence, seconds=result.cost.seconds + embedding)


def _skipped(skipped: Sequence[Skipped]) -> tuple[Row, ...]:
    return tuple(Row(candidate=s.name, status="skipped", backbone=s.name, facts=(s.reason,)) for s in skipped)
