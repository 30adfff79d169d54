"""Recorded trials and their prediction files → decision, leaderboard and words.

The pipeline calls this after each trial, and replay calls it again on a finished folder: one code
path, so that a decision can be derived again from what the folder holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from autotl.candidates import gather
from autotl.decision import best_probability, estimates, rule_of_thumb, transfer
from autotl.decision.decide import Evidence, Judged, decide, leaderboard, seen_elsewhere
from autotl.records import (
    Calibration,
    Columns,
    Decision,
    Goal,
    Interval,
    LearningCurve,
    Ranking,
    TrialResult,
)
from autotl.records.encoding import rounded
from autotl.records.result import Case, Recommendation, Row, Winner, is_probe, looks
from autotl.search.standing import summary
from autotl.stats import metrics
from autotl.stats.calibration import calibrate

CONTROLS = {
    "scratch": "control: the same network without pretraining",
    "pixels": "control: no network at all",
    "shuffled": "control: labels without meaning",
}
AGAIN, CHECKPOINT = "fitted again on train and select", "the checkpoint of its probe, fitted on train"
UNFITTED = "not fitted: what lies in the folder is another candidate's"
BATCH_NOTE = "predictions do not cover every selection row"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """What the recorded trials say."""

    decision: Decision
    leaderboard: tuple[Row, ...]


def selection(part: np.ndarray, folds: int) -> np.ndarray:
    """Rows that candidates are judged on: select, or with folds every train row (out-of-fold)."""
    return np.flatnonzero(part == (0 if folds else 1))


def predicted_classes(path: Path, rows: np.ndarray) -> np.ndarray | None:
    """Class index of each of `rows` by a predictions file, or None when one is missing there."""
    found = probabilities_of(path, rows)
    return None if found is None else np.asarray(found.argmax(1))


def probabilities_of(path: Path, rows: np.ndarray) -> np.ndarray | None:
    """Probabilities (m, classes) of `rows` by a predictions file, or None when one is missing there."""
    with np.load(path, allow_pickle=False) as stored:
        have, probabilities = stored["rows"], stored["proba"]
    place = np.full(int(max(have.max(initial=-1), rows.max(initial=-1))) + 1, -1)
    place[have] = np.arange(len(have))
    found = place[rows]
    if (found < 0).any():
        return None
    return np.asarray(probabilities[found])


def sealed(done: TrialResult, folder: Path) -> TrialResult:
    """The result as it will be read back, floats rounded, with the digest of its predictions.

    What decides must be what is written, and what was decided upon must be told from what was put there later.
    """
    found = digest(folder, done.predictions)
    return msgspec.convert(rounded(msgspec.to_builtins(replace(done, digest=found))), TrialResult)


def digest(folder: Path, predictions: str | None) -> str | None:
    """Of the contents of a predictions file, None where there is none."""
    path = None if predictions is None else folder / predictions
    if path is None or not path.is_file():
        return None
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def score_trial(result: TrialResult, folder: Path, columns: Columns, goal: Goal) -> TrialResult:
    """The result with `score_val` from its predictions; without a score when they are not complete."""
    result = sealed(result, folder)
    if result.predictions is None:
        return replace(result, score_val=None)
    rows = selection(columns.part, columns.folds)
    predicted = predicted_classes(folder / result.predictions, rows)
    if predicted is None:
        return replace(result, score_val=None, error=result.error or BATCH_NOTE)
    score = metrics.score(goal.metric, columns.labels[rows], predicted, len(columns.classes))
    return replace(result, score_val=round(score, 6))


def judge(results: Sequence[TrialResult], folder: Path, case: Case) -> Verdict:
    """Decision and leaderboard from trial results whose predictions lie in `folder`.

    What was not tried of `case.strategies` may be better still. A goal that rules out one of `case.backbones`
    by what is declared of it rules out its candidates.
    """
    columns, goal, ranking = case.columns, case.goal, case.ranking
    labels, part, group, folds = columns.labels, columns.part, columns.group, columns.folds
    classes, similarity, strategies, skipped = (
        len(columns.classes),
        case.similarity,
        case.strategies,
        case.skipped,
    )
    backbones = case.backbones
    declared = {spec.name: gather.refused(spec, goal) for spec in backbones}
    rows = selection(part, folds)
    evidence, failed = [], []
    for name, result in summary(results).items():
        predicted = None
        if result.predictions is not None and result.status in ("finished", "stopped"):
            predicted = predicted_classes(folder / result.predictions, rows)
        if predicted is None:
            failed.append(result)
            continue
        spent = sum(r.cost.seconds for r in results if r.trial.candidate.id == name)
        evidence.append(
            Evidence(
                result=result,
                predicted=predicted,
                fit_time=round(spent, 6),
                refused=declared.get(result.trial.candidate.backbone, ""),
            )
        )
    train = int((part == 0).sum())
    judged = Judged(
        labels=labels[rows],
        classes=classes,
        group=None if group is None else group[rows],
        labelled=None if folds else train + len(rows),
    )
    rivals = [e for e in evidence if not e.result.trial.control]
    held_against = [e for e in evidence if e.result.trial.control]
    expected = estimates.estimates(rivals, ranking, judged, goal, out_of_fold=bool(folds))
    # The estimates count cross-validation on the train images where that says what is asked for.
    elsewhere = seen_elsewhere(rivals, ranking) if goal.metric == "accuracy" and not folds else {}
    decision, intervals = decide(rivals, judged, goal, expected, elsewhere)
    seen = best_probability.outlook(
        rivals, ranking, judged, goal, bool(folds), [s.name for s in strategies if s.depths]
    )
    decision = _with_prospects(decision, seen, [e.name for e in rivals])
    decision = _with_context(
        decision, rule_of_thumb.said(decision, rivals, judged, goal, train, similarity), ranking
    )
    decision = _with_controls(decision, rivals, held_against, judged, goal, train)
    board = leaderboard(rivals, decision, intervals, goal, failed)
    board += tuple(_control_row(e, judged, goal) for e in held_against)
    board += tuple(
        Row(candidate=s.name, status="skipped", backbone=s.name, notes=(s.reason,)) for s in skipped
    )
    return Verdict(decision=decision, leaderboard=board)


def _with_prospects(
    decision: Decision, seen: best_probability.Outlook | None, tried: Sequence[str]
) -> Decision:
    """The decision with the chance that it is right, and what was not tried and could prove it wrong."""
    if seen is None or decision.winner is None or decision.winner not in seen.behind:
        return decision
    chance, gap = seen.chances[decision.winner], seen.behind[decision.winner]
    opened = best_probability.still_open(seen.chances, decision.winners_set, tried)
    sure = (
        f"{len(seen.chances):,} recipes could be had and {len(tried)} were tried: the best of all is expected to score"
        f" {100 * gap.value:.1f} points more than the winner [{100 * gap.low:.1f}, {100 * gap.high:.1f}], which is"
        f" itself the best with a chance of {chance:.0%}"
    )
    better = []
    if opened:
        first = ", ".join(f"{one.candidate} ({one.chance:.0%})" for one in opened[:3])
        rest = f" and {len(opened) - 3} more" if len(opened) > 3 else ""
        better.append(f"not tried and not ruled out: {first}{rest}; a larger --budget would look at them")
    return replace(
        decision,
        chance=rounded(chance),
        open=opened,
        reasons=(*decision.reasons, sure),
        would_change=(*decision.would_change, *better),
    )


def _with_context(decision: Decision, rule: str, ranking: Ranking | None) -> Decision:
    """The decision with the rule of thumb beside it, and what more images to train on would buy."""
    grown = [
        growth
        for growth in (ranking.curves if ranking else ())
        if (decision.winner or "").startswith(f"{growth.backbone}@{growth.input_size}/")
    ]
    bought = [
        f"{g.more:,} more images to train on should buy {100 * g.gain.value:.1f} points of accuracy"
        f" [{100 * g.gain.low:.1f}, {100 * g.gain.high:.1f}], as the learning curve of a linear probe on this"
        " backbone goes" + _level(g)
        for g in grown
    ]
    return replace(
        decision,
        reasons=(*decision.reasons, *([rule] if rule else [])),
        would_change=(*decision.would_change, *bought),
    )


def _level(growth: LearningCurve) -> str:
    """Where a learning curve leads, as an end of a sentence: told only where it has come there."""
    if growth.asymptote is None:
        return "; where that ends is not told: a curve, on unseen or on fitted images, may still move"
    level = growth.asymptote
    return (
        f"; on unseen and on fitted images it has flattened, at {level.value:.1%} [{level.low:.1%}, {level.high:.1%}]"
        " on unseen ones"
    )


def _with_controls(
    decision: Decision,
    rivals: Sequence[Evidence],
    controls: Sequence[Evidence],
    judged: Judged,
    goal: Goal,
    images: int,
) -> Decision:
    """The decision with what the controls say: what pretraining gained, and three sentences."""
    if decision.winner is None:
        return decision
    reasons = list(decision.reasons)
    gained: Interval | None = None
    for control in controls:
        kind = control.result.trial.control
        if kind == "scratch":
            timed = [_timed(e, images) for e in rivals]
            gained, said = transfer.gain(timed, _timed(control, images), decision.winner, judged, goal)
        elif kind == "pixels":
            said = transfer.by_hand(control, decision, judged, goal)
        else:
            said = transfer.signal(control, judged, goal)
        reasons += [said] if said else []
    return replace(decision, transfer=gained, reasons=tuple(reasons))


def _timed(evidence: Evidence, images: int) -> transfer.Timed:
    """With the seconds of training; a closed-form head's are those of embedding `images`, cached or not."""
    result = evidence.result
    embedding = 0.0 if result.epochs_done else (result.latency or 0.0) * images
    return transfer.Timed(evidence=evidence, seconds=result.cost.seconds + embedding)


def _control_row(evidence: Evidence, judged: Judged, goal: Goal) -> Row:
    result, candidate = evidence.result, evidence.result.trial.candidate
    found = metrics.interval(goal.metric, judged.labels, evidence.predicted, judged.classes, judged.group)
    return Row(
        candidate=evidence.name,
        status=result.status,
        backbone=candidate.backbone,
        input_size=candidate.input_size,
        strategy=candidate.strategy,
        unfreeze=candidate.unfreeze,
        score_val=found.value,
        ci_low=found.low,
        ci_high=found.high,
        fit_time=evidence.fit_time,
        pred_time=result.latency,
        parameters=result.parameters,
        macs=result.macs,
        epochs=result.epochs_done,
        control=result.trial.control,
        reason=CONTROLS[result.trial.control],
    )


def tested(fit: TrialResult | None, folder: Path, columns: Columns, goal: Goal) -> Interval | None:
    """A model's score on the test part by its recorded predictions; None where there are none."""
    labels, part, group, classes = columns.labels, columns.part, columns.group, len(columns.classes)
    rows = np.flatnonzero(part == 2)
    if fit is None or fit.predictions is None or not len(rows):
        return None
    predicted = predicted_classes(folder / fit.predictions, rows)
    if predicted is None:
        return None
    return metrics.interval(
        goal.metric, labels[rows], predicted, classes, None if group is None else group[rows]
    )


def crowned(found: Verdict, test: Interval | None, model_is: str) -> tuple[Winner | None, tuple[Row, ...]]:
    """The winner with its scores, and the leaderboard with its score on the test part."""
    decision = found.decision
    row = next((line for line in found.leaderboard if line.candidate == decision.winner), None)
    if row is None or decision.score is None:
        return None, found.leaderboard
    winner = Winner(
        candidate=row.candidate,
        backbone=row.backbone,
        strategy=row.strategy,
        unfreeze=row.unfreeze,
        input_size=row.input_size,
        score_val=row.score_val or 0.0,
        ci_low=decision.score.low,
        ci_high=decision.score.high,
        score_test=test.value if test else None,
        test_low=test.low if test else None,
        test_high=test.high if test else None,
        model_is=model_is,
    )
    board = tuple(
        replace(line, score_test=winner.score_test) if line is row else line for line in found.leaderboard
    )
    return winner, board


def fit_of(state: Recommendation) -> TrialResult | None:
    """What ships of the winner: its last fit, or a probe whose own model was tested; None for neither."""
    name = state.decision.winner if state.decision else None
    fits = [
        done
        for done in state.trials
        if not is_probe(done) and done.model is not None and done.trial.candidate.id == name
    ]
    return fits[-1] if fits else None


def conclude(
    state: Recommendation,
    fit: TrialResult | None,
    folder: Path,
    columns: Columns,
    *,
    ships: bool | None = None,
) -> Recommendation:
    """The result with what follows from its decision: winner, test score, calibration and words.

    `fit` is what ships of the winner, see `fit_of`; `ships` says whether the folder's model is the winner's
    (by default: whether there is such a fit, or a probe that kept its model).
    """
    decision = state.decision
    if decision is None:
        return state
    test = tested(fit, folder, columns, state.goal)
    again = fit is not None and "select" in fit.trial.fit_on
    found = Verdict(decision=decision, leaderboard=state.leaderboard)
    if ships is None:
        ships = fit is not None or _kept_model(state, decision.winner)
    winner, board = crowned(found, test, AGAIN if again else CHECKPOINT if ships else UNFITTED)
    row = next((line for line in board if line.candidate == decision.winner), None) if winner else None
    pace = 1.0 / row.pred_time if row is not None and row.pred_time else None
    said = words(decision, row, state.metric, bool(columns.folds), test, pace, looks(state))
    if winner is not None and not ships:
        said += " Mind: the model in the folder is another candidate's; `autotl fit` trains this one."
    return replace(
        state,
        winner=winner,
        leaderboard=board,
        calibration=calibrated(decision, state.trials, folder, columns),
        summary=said,
    )


def _kept_model(state: Recommendation, winner: str | None) -> bool:
    """Whether the standing probe of a candidate had a model to ship."""
    probes = [done for done in state.trials if is_probe(done) and not done.trial.control]
    standing = summary(probes).get(winner or "")
    return standing is not None and standing.model is not None


def calibrated(
    decision: Decision, trials: Sequence[TrialResult], folder: Path, columns: Columns
) -> Calibration | None:
    """The temperature of the winner's probabilities, from its predictions on the selection rows."""
    probes = [done for done in trials if is_probe(done) and not done.trial.control]
    standing = summary(probes).get(decision.winner or "")
    if standing is None or standing.predictions is None:
        return None
    rows = selection(columns.part, columns.folds)
    labels, group = columns.labels, columns.group
    shares = probabilities_of(folder / standing.predictions, rows)
    return None if shares is None else calibrate(shares, labels[rows], None if group is None else group[rows])


def words(
    decision: Decision,
    row: Row | None,
    metric: str,
    out_of_fold: bool,
    test: Interval | None,
    images_per_second: float | None,
    looks: int = 1,
) -> str:
    """The recommendation in plain words, two or three sentences; `looks` counts models tried on the test part."""
    if decision.winner is None or row is None:
        return "No recommendation: " + "; ".join(decision.reasons) + "."
    measure = metric.replace("_", " ")
    how = (
        "frozen, with a new head on its features"
        if row.unfreeze == 0
        else (
            "fine-tuned as a whole"
            if row.unfreeze == "all"
            else f"fine-tuned in its last {_groups(row.unfreeze)}"
        )
    )
    score = decision.score or Interval(
        value=row.score_val or 0.0, low=row.ci_low or 0.0, high=row.ci_high or 1.0
    )
    seen = "out-of-fold" if out_of_fold else "to be expected on new images"
    first = (
        f"Use {row.backbone} at {row.input_size} px, {how} ({row.strategy}): {measure}"
        f" {score.value:.1%} {seen} [{score.low:.1%}, {score.high:.1%}]"
    )
    if test is not None:
        which = "the untouched test images" if looks <= 1 else f"the test images, seen by {looks} models,"
        first += f", {test.value:.1%} on {which} [{test.low:.1%}, {test.high:.1%}]"
    parts = [first + "."]
    others = len(decision.winners_set) - 1
    if others > 0:
        parts.append(
            f"{others} other candidate{'s' if others > 1 else ''} cannot be told apart from it"
            f" on this many images; the next is {decision.runner_up}."
        )
    elif decision.runner_up and decision.margin:
        parts.append(
            f"It is ahead of the next, {decision.runner_up}, by {decision.margin.value * 100:.1f} points"
            f" [{decision.margin.low * 100:.1f}, {decision.margin.high * 100:.1f}]."
        )
    signal = [reason for reason in decision.reasons if reason.startswith("no signal")]
    parts += [f"Mind: {reason}." for reason in signal]
    if images_per_second:
        parts.append(f"It predicts about {images_per_second:,.0f} images a second here.")
    return " ".join(parts)


def _groups(number: int | str) -> str:
    return "layer group" if number == 1 else f"{number} layer groups"
