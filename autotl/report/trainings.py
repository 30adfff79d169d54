"""Read a result's trainings: rows by depth, learning curves, expected and reached accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autotl.decision.evidence import representative_results
from autotl.decision.transfer import NO_NETWORK
from autotl.records import CurvePoint, Depth, DepthProfile, Profile, TrialResult
from autotl.records.result import Recommendation, Row, is_probe, repeats_probe

MOST_BACKBONES = 5
SHOWN_EPOCHS = 40  # rows of a training's table at most
FLAT = 0.05  # a curve has flattened when its last third made at most this share of its whole change
FALLING = 0.05  # a loss that fell by more, as a share, over the last fifth is still falling
FEWEST_POINTS = 4  # of a curve of losses that shows whether it has flattened

Points = tuple[tuple[float, float], ...]  # (seconds, score), fewest seconds first


def rivals(result: Recommendation) -> list[Row]:
    """Return the rows with a score that compete: no controls."""
    return [row for row in result.leaderboard if row.score_val is not None and not row.control]


# --------------------------------------------------------------------------- depth


def by_depth(result: Recommendation) -> dict[str, dict[Depth, Row]]:
    """Return the best row by unfreeze depth of each backbone tried at more than one; the winner's first."""
    best: dict[str, dict[Depth, Row]] = {}
    for row in rivals(result):
        if row.backbone:
            depths = best.setdefault(row.backbone, {})
            before = depths.get(row.unfreeze)
            if before is None or (before.score_val or 0.0) < (row.score_val or 0.0):
                depths[row.unfreeze] = row
    first = result.winner.backbone if result.winner else None
    names = sorted((name for name, depths in best.items() if len(depths) > 1), key=lambda n: (n != first, n))
    return {name: best[name] for name in names[:MOST_BACKBONES]}


def depth_profiles(result: Recommendation) -> list[DepthProfile]:
    """Return the accuracy of frozen features by depth, the winner's backbone first."""
    first = result.winner.backbone if result.winner else None
    usable = [profile for profile in result.depth_profiles if len(profile.points) > 1]
    return sorted(usable, key=lambda profile: profile.backbone != first)[:MOST_BACKBONES]


def deepest_is_best(profile: DepthProfile) -> bool:
    """Return True if no depth is better than the last by more than two standard errors."""
    last = profile.points[-1].linear
    error = 2 * math.sqrt(last * (1 - last) / max(profile.rows, 1))
    return max(point.linear for point in profile.points) - last <= error


def constant_score(of: Profile) -> float:
    """Return what always giving the same answer scores: accuracy, R², or about the mean average precision."""
    if of.target == "regression":
        return 0.0
    if of.target == "multilabel":
        return sum(of.counts) / max(len(of.counts) * of.images, 1)
    return max(of.counts, default=0) / max(sum(of.counts), 1)


def tells_depths_apart(profile: DepthProfile, of: Profile) -> bool:
    """Return True if a head after some depth is better than a constant answer, such as the largest class."""
    share = constant_score(of)
    error = 2 * math.sqrt(share * (1 - share) / max(profile.rows, 1))
    return max(point.linear for point in profile.points) > share + error


def enough_depth(profile: DepthProfile) -> int:
    """Return the shallowest depth that is at most two standard errors less accurate than the last."""
    last = profile.points[-1].linear
    error = 2 * math.sqrt(max(last * (1 - last), 0.01 / max(profile.rows, 1)) / max(profile.rows, 1))
    return next(point.depth for point in profile.points if point.linear >= last - min(error, 0.01))


# --------------------------------------------------------------------------- with and without pretraining


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The score of a training over its seconds; one point if the score was measured at the end only."""

    candidate: str
    points: Points
    frozen: bool = False  # a head in closed form: its seconds are those of computing the features


def transfer_pair(result: Recommendation) -> tuple[Training, Training] | None:
    """Return the winner's training and that of the same network from scratch; None where one is missing."""
    scratch = next((r for r in result.trials if r.trial.control == "scratch"), None)
    winner = result.winner.candidate if result.winner else ""
    probes = [r for r in result.trials if is_probe(r) and not r.trial.control]
    probe = representative_results(probes).get(winner)
    if scratch is None or probe is None:
        return None
    images = result.data.counts.get("train", 0)
    pair = (_training(probe, images), _training(scratch, images))
    return pair if all(training.points for training in pair) else None


def _training(trial: TrialResult, images: int) -> Training:
    points = [(point.seconds, point.score) for point in trial.curve if point.score is not None]
    frozen = not trial.epochs_done
    if len(points) < 2 and trial.score_val is not None:
        embedding = (trial.latency or 0.0) * images if frozen else 0.0
        points = [(trial.cost.seconds + embedding, trial.score_val)]
    return Training(candidate=trial.trial.candidate.id, points=tuple(points), frozen=frozen)


def without_network(result: Recommendation) -> float | None:
    """Return the score of the best baseline without a network, if one was measured."""
    scores = [row.score_val for row in result.leaderboard if row.control in NO_NETWORK]
    return max((score for score in scores if score is not None), default=None)


def value_at(curve: Points, x: float) -> float:
    """Return the value of a curve at `x`, with straight lines between its points."""
    before = [point for point in curve if point[0] <= x][-1]
    after = next((point for point in curve if point[0] >= x), curve[-1])
    if after[0] == before[0]:
        return before[1]
    return before[1] + (after[1] - before[1]) * (x - before[0]) / (after[0] - before[0])


def is_flat(curve: Points) -> bool:
    """Return True if the last third of a curve made at most a small share of its whole change."""
    if len(curve) < 4:
        return False
    first, last = curve[0], curve[-1]
    return abs(last[1] - value_at(curve, last[0] - (last[0] - first[0]) / 3)) <= FLAT * abs(
        last[1] - first[1]
    )


# --------------------------------------------------------------------------- curves


def curves(result: Recommendation) -> dict[tuple[str, str], tuple[CurvePoint, ...]]:
    """Return learning curves by (title, candidate): the winner's final fit and longest probe, then two others."""
    if result.winner is None:
        return {}
    longest: dict[str, TrialResult] = {}
    drawn: dict[tuple[str, str], tuple[CurvePoint, ...]] = {}
    winner = result.winner.candidate
    for r in result.trials:
        name = r.trial.candidate.id
        if len(r.curve) < 2 or r.trial.control or repeats_probe(r):
            continue
        if not is_probe(r):
            if name == winner:
                drawn["final fit", name] = r.curve
        elif name not in longest or r.epochs_done > longest[name].epochs_done:
            longest[name] = r
    if winner in longest:
        drawn["probe of the winner", winner] = longest.pop(winner).curve
    for row in result.leaderboard:
        if row.candidate in longest and len(drawn) < 4:
            drawn["", row.candidate] = longest[row.candidate].curve
    return drawn


def with_epochs(result: Recommendation) -> list[TrialResult]:
    """Return the trainings whose loss was recorded, the winner's first, then in the order they were made."""
    winner = result.winner.candidate if result.winner else None
    recorded = [r for r in result.trials if r.curve and not repeats_probe(r)]
    return sorted(recorded, key=lambda r: r.trial.candidate.id != winner)


def shown_points(curve: Sequence[CurvePoint]) -> list[CurvePoint]:
    """Return the points of a curve that a table shows: all, or of a long one so many at equal distances."""
    places = {round(place * (len(curve) - 1) / (SHOWN_EPOCHS - 1)) for place in range(SHOWN_EPOCHS)}
    return [curve[place] for place in sorted(places)] if len(curve) > SHOWN_EPOCHS else list(curve)


def whole_training(result: Recommendation, candidate: str) -> TrialResult | None:
    """Return a candidate's training whose loss shows whether it is trained enough; None where none recorded losses.

    A final fit that continues a probe begins on more images and at a higher rate, so its loss rises and falls again
    whatever that of the probe did.
    """
    own = [r for r in result.trials if r.curve and r.trial.candidate.id == candidate and not r.trial.control]
    fits = [r for r in own if not is_probe(r) and not repeats_probe(r) and r.trial.resume_from is None]
    probes = [r for r in own if is_probe(r) or repeats_probe(r)]
    return fits[-1] if fits else max(probes, key=lambda r: r.epochs_done, default=None)


def loss_fall(curve: Sequence[CurvePoint]) -> float | None:
    """Return the share by which the loss fell over the last fifth of all epochs; None where a curve is too short.

    Too short is also the curve of a continuation that began within that fifth: its rate was raised again.
    """
    last = curve[-1]
    before = [point.loss for point in curve if point.epoch <= 0.8 * last.epoch]
    if len(curve) < FEWEST_POINTS or not before:
        return None
    return 1 - last.loss / before[-1] if before[-1] > 0 else 0.0


def final_seconds(result: Recommendation) -> float | None:
    """Return the seconds that fits of the winner on train and select took; None without one."""
    winner = result.winner.candidate if result.winner else ""
    seconds = [
        r.cost.seconds
        for r in result.trials
        if "select" in r.trial.fit_on and r.trial.candidate.id == winner and not r.trial.control
    ]
    return sum(seconds) if seconds else None


# --------------------------------------------------------------------------- expected and reached


def expected_and_reached(result: Recommendation) -> list[tuple[str, float, float]]:
    """Return (backbone at size, accuracy expected before any training, best score)."""
    if result.ranking is None:
        return []
    best = best_scores(result)
    return [
        (f"{r.backbone} at {r.input_size} px", r.expected, best[r.backbone, r.input_size])
        for r in result.ranking.ranked
        if (r.backbone, r.input_size) in best
    ]


def best_scores(result: Recommendation) -> Mapping[tuple[str, int], float]:
    """Return the best score of each backbone at each input size."""
    best: dict[tuple[str, int], float] = {}
    for row in rivals(result):
        key = (row.backbone, row.input_size)
        best[key] = max(best.get(key, 0.0), row.score_val or 0.0)
    return best
