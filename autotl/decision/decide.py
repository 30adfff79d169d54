"""TrialResults, Goal → Decision: paired statistics, the winner's set, reasons. Pure and re-runnable.

Everything is computed from what a run records (predictions on the selection rows, costs), so the
same folder gives the same decision, byte for byte.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from autotl.records import Decision, Goal, Interval, Ranking, TrialResult
from autotl.records.encoding import rounded
from autotl.records.result import Row
from autotl.stats import metrics

RESAMPLES = 400
A_HAIR = 0.003  # of the score: for so little nobody trains longer
A_LITTLE = 0.01  # of the score that speed or size may be expected to cost
POWER = NormalDist().inv_cdf(0.8)  # of the test that more images would make possible
HOPELESS = 50  # times the images there are, that nobody will label
# Of the width of a score's interval, that an estimate's has at least: at half of it, the least that covers 95 % on
# nine of the ten recorded sets held for 94 % of the replays on the tenth (docs/measurements/regret.md).
NARROWEST = 0.6
FOLDS = 5  # of the cross-validation that would judge two candidates on every labelled image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """A candidate's standing trial with its predicted classes on the selection rows."""

    result: TrialResult
    predicted: np.ndarray  # (m,) class index, aligned over all candidates
    fit_time: float  # seconds over all trials of the candidate
    refused: str = ""  # why the goal rules out its backbone by what is declared of it, in words

    @property
    def name(self) -> str:
        return self.result.trial.candidate.id

    @property
    def price(self) -> float:
        """What training and running it costs, for breaking ties: MACs times steps, not a stop-watch."""
        result = self.result
        return (result.macs or 1e9) * (1 + 3 * result.epochs_done) + (result.parameters or 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """The selection rows: their labels, groups and the number of classes."""

    labels: np.ndarray
    classes: int
    group: np.ndarray | None = None
    labelled: int | None = None  # images of train and select together; None: these rows are all


def decide(
    evidence: Sequence[Evidence],
    judged: Judged,
    goal: Goal,
    estimates: Mapping[str, float] | None = None,
    elsewhere: Mapping[str, int] | None = None,
) -> tuple[Decision, dict[str, Interval]]:
    """Winner, winner's set and reasons, and the interval of each candidate's score.

    The decision's own score is what to expect on new images: the winner's estimate where that rests on at least
    as many images beyond the judged ones (`elsewhere`, by candidate), else its score, corrected for having been
    chosen on it.

    The best is the one with the highest estimate (`autotl.decision.estimates`; without estimates, the highest score).
    The winner's set holds every candidate whose paired difference to the best is within its 95 %
    interval, Bonferroni-corrected for the number compared. `goal.prefer` says which member is taken:
    accuracy the best, or a cheaper one that is expected to be as good to a hair; speed the least latency,
    size the fewest parameters; what is left equal is broken by MACs × steps.
    """
    intervals = {
        e.name: metrics.interval(goal.metric, judged.labels, e.predicted, judged.classes, judged.group)
        for e in evidence
    }
    allowed = [e for e in evidence if not _ruled_out(e, goal)]
    if not allowed:
        return Decision(winner=None, reasons=tuple(_nobody(evidence, goal))), intervals
    scores = {e.name: round(intervals[e.name].value, 6) for e in allowed}
    estimates = estimates or scores
    ordered = sorted(allowed, key=lambda e: (-estimates[e.name], -scores[e.name], e.price, e.name))
    best = ordered[0]
    z = NormalDist().inv_cdf(1 - 0.05 / (2 * max(len(allowed) - 1, 1)))
    members = [e for e in ordered if e is best or _paired(best, e, judged, goal, z).low <= 0]
    winner = _cheapest(members, best, estimates, goal)
    others = [e for e in ordered if e is not winner]
    runner_up = others[0] if others else None
    margin = _paired(winner, runner_up, judged, goal, metrics.Z95) if runner_up else None
    score, more = intervals[winner.name], (elsewhere or {}).get(winner.name, 0)
    if more < len(judged.labels):
        score = _corrected(ordered, score, judged, goal)
    else:
        score = _moved(score, estimates[winner.name], len(judged.labels) / (len(judged.labels) + more))
    decision = Decision(
        winner=winner.name,
        score=score,
        winners_set=tuple(e.name for e in members),
        runner_up=runner_up.name if runner_up else None,
        margin=margin,
        reasons=(
            *_reasons(winner, best, members, ordered, judged, goal, score),
            *_limited([e for e in evidence if e not in allowed], intervals, winner, goal),
        ),
        would_change=tuple(_would_change(winner, runner_up, margin, judged)),
    )
    return decision, intervals


def seen_elsewhere(evidence: Sequence[Evidence], ranking: Ranking | None) -> dict[str, int]:
    """Train images that a linear probe on a candidate's backbone was cross-validated on, by candidate id."""
    rows = {
        (arm.backbone, arm.input_size): arm.rows
        for arm in (ranking.ranked if ranking else ())
        if "linear" in dict(arm.scores)
    }
    arms = {
        e.name: (e.result.trial.candidate.backbone, e.result.trial.candidate.input_size) for e in evidence
    }
    return {name: rows[arm] for name, arm in arms.items() if arm in rows}


def over_limit(result: TrialResult, goal: Goal) -> str:
    """Which limit a candidate breaks by measurement, in words; empty if none."""
    if goal.max_params is not None and (result.parameters or 0) > goal.max_params:
        return f"{result.parameters:,} parameters, more than the {goal.max_params:,} allowed"
    if goal.max_latency is not None and (result.latency or 0.0) > goal.max_latency:
        return f"{(result.latency or 0) * 1e3:.1f} ms an image, more than the {goal.max_latency * 1e3:.1f} ms allowed"
    if goal.max_memory is not None and (result.memory or 0) > goal.max_memory:
        return f"{(result.memory or 0) / 1e6:.0f} MB to predict, more than the {goal.max_memory / 1e6:.0f} MB allowed"
    return ""


def _ruled_out(e: Evidence, goal: Goal) -> str:
    return over_limit(e.result, goal) or e.refused


def _nobody(evidence: Sequence[Evidence], goal: Goal) -> list[str]:
    """Why there is no winner; where limits are the reason, what the smallest candidate would need."""
    if not evidence:
        return ["no candidate finished"]
    nearest = min(evidence, key=lambda e: (e.price, e.name))
    advice = "loosen the limit or try smaller --backbones"
    return [
        f"none of the {len(evidence)} candidates keeps the limits",
        f"the cheapest, {nearest.name}: {_ruled_out(nearest, goal)}; {advice}",
    ]


def _limited(
    broken: Sequence[Evidence], intervals: Mapping[str, Interval], winner: Evidence, goal: Goal
) -> list[str]:
    """What the limits cost: the best of those that break one, if it scored more than the winner."""
    if not broken:
        return []
    best = max(broken, key=lambda e: (intervals[e.name].value, e.name))
    count = "1 candidate breaks" if len(broken) == 1 else f"{len(broken)} candidates break"
    gain = intervals[best.name].value - intervals[winner.name].value
    lost = f"would score {gain * 100:.1f} points more" if gain > 0 else "would not have won either"
    return [f"limits: {count} one; the best of them, {best.name} ({_ruled_out(best, goal)}), {lost}"]


def leaderboard(
    evidence: Sequence[Evidence],
    decision: Decision,
    intervals: Mapping[str, Interval],
    goal: Goal,
    failed: Sequence[TrialResult] = (),
) -> tuple[Row, ...]:
    """A row a candidate, the winner first, then by score; those without a score last, with the reason."""
    rows = []
    for e in evidence:
        result, candidate = e.result, e.result.trial.candidate
        reason = _ruled_out(e, goal)
        rows.append(
            Row(
                candidate=e.name,
                status=result.status,
                backbone=candidate.backbone,
                input_size=candidate.input_size,
                strategy=candidate.strategy,
                unfreeze=candidate.unfreeze,
                score_val=intervals[e.name].value,
                ci_low=intervals[e.name].low,
                ci_high=intervals[e.name].high,
                in_winners_set=e.name in decision.winners_set,
                fit_time=e.fit_time,
                pred_time=result.latency,
                parameters=result.parameters,
                macs=result.macs,
                epochs=result.epochs_done,
                rows=result.trial.rows,
                reason=reason,
                notes=result.notes,
            )
        )
    rows.sort(
        key=lambda r: (
            r.candidate != decision.winner,
            -round(r.score_val or 0.0, 6),
            r.macs or 0,
            r.candidate,
        )
    )
    for result in failed:
        candidate = result.trial.candidate
        rows.append(
            Row(
                candidate=candidate.id,
                status=result.status,
                backbone=candidate.backbone,
                input_size=candidate.input_size,
                strategy=candidate.strategy,
                unfreeze=candidate.unfreeze,
                fit_time=result.cost.seconds,
                reason=result.error or ("" if result.notes else "no predictions"),
                notes=result.notes,
            )
        )
    return tuple(rows)


def _paired(one: Evidence, other: Evidence, judged: Judged, goal: Goal, z: float) -> Interval:
    difference = metrics.paired_difference(
        goal.metric, judged.labels, one.predicted, other.predicted, judged.classes, judged.group, z
    )
    return Interval(**{name: rounded(getattr(difference, name)) for name in ("value", "low", "high")})


def _cheapest(
    members: Sequence[Evidence], best: Evidence, estimates: Mapping[str, float], goal: Goal
) -> Evidence:
    """The member that is recommended. For accuracy, what is expected to be as good to a hair and is cheaper."""
    given = A_HAIR if goal.prefer == "accuracy" else A_LITTLE
    as_good = [e for e in members if estimates[e.name] >= estimates[best.name] - given]
    if goal.prefer == "speed":
        return min(as_good, key=lambda e: (round(e.result.latency or math.inf, 6), e.price, e.name))
    if goal.prefer == "size":
        return min(as_good, key=lambda e: (e.result.parameters or 2**62, e.price, e.name))
    return min(as_good, key=lambda e: (e.price, -estimates[e.name], e.name))


def _moved(measured: Interval, estimate: float, share: float) -> Interval:
    """An interval around the winner's estimate, for which the images of `measured` are a `share` of those seen.

    The choice followed the estimates and most of their images took no part in it, so it hardly flatters. More images
    make it narrower by the root of their number, but no more than to `NARROWEST`. A score of 100 % has no room above
    it; an estimate below that has, as much as below.
    """
    factor = max(NARROWEST, math.sqrt(share))
    below, above = measured.value - measured.low, measured.high - measured.value
    if measured.value in (0.0, 1.0):
        below = above = max(below, above)
    return Interval(
        value=rounded(estimate),
        low=rounded(max(0.0, estimate - factor * below)),
        high=rounded(min(1.0, estimate + factor * above)),
    )


def _corrected(ordered: Sequence[Evidence], interval: Interval, judged: Judged, goal: Goal) -> Interval:
    """The winner's interval, moved by what choosing the best of several on the same rows flatters it.

    Bootstrap bias correction (Tsamardinos, Greasidou, Borboudakis, Machine Learning 107, 2018): on each
    resample the best is chosen on the drawn rows and scored on the others; the mean gap is the bias.
    """
    if len(ordered) < 2:
        return interval
    weights = metrics.row_weights(goal.metric, judged.labels, judged.classes)
    hits = np.stack([(e.predicted == judged.labels) * weights for e in ordered])
    cluster = metrics.clusters(judged.group, len(judged.labels))
    number = int(cluster.max()) + 1
    generator = np.random.default_rng(0)
    gaps = []
    for _ in range(RESAMPLES):
        drawn = np.bincount(generator.integers(number, size=number), minlength=number)[cluster]
        inside, outside = drawn * weights, (drawn == 0) * weights
        if outside.sum() == 0 or inside.sum() == 0:
            continue
        chosen = int(np.argmax(hits @ drawn))
        gaps.append(
            float(hits[chosen] @ drawn) / inside.sum() - float(hits[chosen] @ (drawn == 0)) / outside.sum()
        )
    bias = max(0.0, float(np.mean(gaps))) if gaps else 0.0
    return Interval(
        value=rounded(max(0.0, interval.value - bias)),
        low=rounded(max(0.0, interval.low - bias)),
        high=rounded(interval.high),
    )


def _reasons(
    winner: Evidence,
    best: Evidence,
    members: Sequence[Evidence],
    ordered: Sequence[Evidence],
    judged: Judged,
    goal: Goal,
    score: Interval,
) -> list[str]:
    reasons = []
    candidate = winner.result.trial.candidate
    if winner is not best:
        gap = _paired(best, winner, judged, goal, metrics.Z95)
        wanted = f"it is the one for --prefer {goal.prefer}"
        if goal.prefer == "accuracy":
            wanted = "it is expected to be as good, and is cheaper"
        reasons.append(
            f"{best.name} scored {gap.value:.1%} more, which {len(judged.labels)} images cannot tell from chance;"
            f" among the {len(members)} that cannot be told apart {wanted}"
        )
    luckiest = max(ordered, key=lambda e: _score(e, judged, goal))
    if luckiest is not best and _score(luckiest, judged, goal) > _score(best, judged, goal):
        reasons.append(
            f"{luckiest.name} scored more on the selection images, {against(best, luckiest, judged, goal)};"
            " cross-validation on the train images counted too"
        )
    if winner is best and goal.prefer != "accuracy" and len(members) > 1:
        reasons.append(
            f"it scored best, and of the {len(members)} that cannot be told apart it is also the one for"
            f" --prefer {goal.prefer}"
        )
    frozen = [e for e in ordered if not e.result.epochs_done and _same_backbone(e, winner)]
    tuned = [e for e in ordered if e.result.epochs_done and _same_backbone(e, winner)]
    if candidate.unfreeze == 0 and tuned:
        reasons.append(f"frozen: {against(winner, tuned[0], judged, goal)} on the same backbone")
    elif candidate.unfreeze != 0 and frozen:
        reasons.append(f"fine-tuned: {against(winner, frozen[0], judged, goal)} on the same backbone")
    elif candidate.unfreeze == 0:
        reasons.append("frozen: no fine-tuning of this backbone was worth its time or fitted into the budget")
    depths = [e for e in tuned if e.name != winner.name]
    if candidate.unfreeze != 0 and depths:
        reasons.append(f"depth {candidate.unfreeze}: {against(winner, depths[0], judged, goal)}")
    rivals = [e for e in ordered if not _same_backbone(e, winner)]
    if rivals:
        reasons.append(f"backbone: {against(winner, rivals[0], judged, goal)}")
    majority = np.bincount(judged.labels, minlength=judged.classes).max() / max(len(judged.labels), 1)
    constant = majority if goal.metric == "accuracy" else 1.0 / judged.classes
    if score.low <= constant:
        reasons.append(f"no signal: always answering one class would reach {constant:.1%}")
    return reasons


def _score(e: Evidence, judged: Judged, goal: Goal) -> float:
    return metrics.score(goal.metric, judged.labels, e.predicted, judged.classes)


def _same_backbone(one: Evidence, other: Evidence) -> bool:
    return one.result.trial.candidate.backbone == other.result.trial.candidate.backbone


def against(winner: Evidence, other: Evidence, judged: Judged, goal: Goal) -> str:
    """The paired difference of two candidates in words."""
    gap = _paired(winner, other, judged, goal, metrics.Z95)
    sure = "" if gap.low > 0 or gap.high < 0 else ", within chance"
    return f"{gap.value * 100:+.1f} points [{gap.low * 100:+.1f}, {gap.high * 100:+.1f}]{sure} against {other.name}"


def _would_change(
    winner: Evidence, runner_up: Evidence | None, margin: Interval | None, judged: Judged
) -> list[str]:
    """Which of more images, labels or minutes would tell the first from the second: a power analysis.

    As many images as find a difference as large as it looks beyond chance in four of five repetitions.
    """
    if runner_up is None or margin is None:
        return []
    if margin.low > 0:
        return [f"nothing seen here: {runner_up.name}, the next best, is behind beyond chance"]
    rows = len(judged.labels)
    difference = abs(margin.value)
    if difference <= 0.001:
        return [f"anything: {runner_up.name} scores the same on these {rows} images"]
    error = (margin.high - margin.low) / 2 / metrics.Z95
    # Twice the images at least: with fewer, a difference within chance cannot have been beyond it.
    needed = rows * max(2.0, ((metrics.Z95 + POWER) * error / difference) ** 2)
    if needed > HOPELESS * rows:
        return [f"more images would hardly separate it from {runner_up.name}; take whichever suits you"]
    share = rows / (judged.labelled or rows)
    more = _about(needed - rows)
    images = f"about {more:,} more labelled images to choose on"
    if share < 1:
        images += f" ({_about((needed - rows) / share):,} more in all, divided as these)"
    which = f"would separate it from {runner_up.name} in four of five cases"
    said = [f"{images} {which}, if the difference is as large as it looks"]
    if share < 1 and needed <= (judged.labelled or rows):
        seconds = FOLDS * (winner.result.cost.seconds + runner_up.result.cost.seconds)
        said.append(
            f"or about {_minutes(seconds)} of cross-validating these two in {FOLDS} folds, which judges them on"
            f" all {judged.labelled:,} labelled images at hand"
        )
    return said


def _about(number: float) -> int:
    """To two digits."""
    step = int(10 ** max(0, math.floor(math.log10(max(number, 1))) - 1))
    return max(1, round(number / step) * step)


def _minutes(seconds: float) -> str:
    minutes = seconds / 60
    return "a minute" if minutes < 1.5 else f"{_about(minutes):,} minutes"
