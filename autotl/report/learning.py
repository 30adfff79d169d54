"""What the trainings say: why this depth, whether pretraining helped, how the scores before them did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autotl.decision.evidence import representative_results
from autotl.records import CurvePoint, Depth, DepthProfile, Interval, TrialResult
from autotl.records.facts import Kind
from autotl.records.result import Recommendation, Row, is_probe
from autotl.report.format import duration, interval, percent, points, points_interval
from autotl.report.wording import control, sentence
from autotl.stats.correlation import kendall

MOST_BACKBONES = 5
FLAT = 0.05  # of a curve's whole way: it has flattened when its last third made less
FALLING = 0.05  # a loss that fell by more, as a share, over the last fifth is still falling
FEWEST_PAIRS = 4  # of score and probe, to speak of agreement

Points = tuple[tuple[float, float], ...]  # (seconds, score), fewest seconds first


def rivals(result: Recommendation) -> list[Row]:
    """The rows with a score that compete: no controls."""
    return [row for row in result.leaderboard if row.score_val is not None and not row.control]


# --------------------------------------------------------------------------- depth


def by_depth(result: Recommendation) -> dict[str, dict[Depth, Row]]:
    """Best row by unfreeze depth of each backbone that was tried at more than one; the winner's first."""
    found: dict[str, dict[Depth, Row]] = {}
    for row in rivals(result):
        if row.backbone:
            depths = found.setdefault(row.backbone, {})
            before = depths.get(row.unfreeze)
            if before is None or (before.score_val or 0.0) < (row.score_val or 0.0):
                depths[row.unfreeze] = row
    first = result.winner.backbone if result.winner else None
    names = sorted((name for name, depths in found.items() if len(depths) > 1), key=lambda n: (n != first, n))
    return {name: found[name] for name in names[:MOST_BACKBONES]}


def profiles(result: Recommendation) -> list[DepthProfile]:
    """What frozen features tell at each depth, the winner's backbone first."""
    first = result.winner.backbone if result.winner else None
    found = [each for each in result.depth_profiles if len(each.points) > 1]
    return sorted(found, key=lambda each: each.backbone != first)[:MOST_BACKBONES]


def depth_said(result: Recommendation) -> list[str]:
    """Why this depth, in sentences: what the decision says of it, and what the features do."""
    reasons = result.decision.reasons if result.decision else ()
    said = [sentence(reason) for reason in reasons if reason.kind in _OF_DEPTH]
    first = next(iter(profiles(result)), None)
    return [*said, *([_features_said(first)] if first is not None else [])]


_OF_DEPTH = (Kind.FROZEN_OR_TUNED, Kind.FROZEN_ALONE, Kind.DEPTH_COMPARED)


def _features_said(profile: DepthProfile) -> str:
    """Where along the network the features tell most of the labels, and what that speaks for."""
    last = profile.points[-1]
    best = max(profile.points, key=lambda point: point.linear)
    count = len(profile.points)
    chance = 2 * math.sqrt(last.linear * (1 - last.linear) / max(profile.rows, 1))
    if best.linear - last.linear <= chance:
        return (
            f"the frozen features of {profile.backbone} tell most where they enter the classifier:"
            f" {percent(last.linear)} with a linear head there, after {percent(profile.points[0].linear)} at the first"
            f" of {count} depths, so nothing is gained by cutting it short"
        )
    return (
        f"the frozen features of {profile.backbone} tell most after layer group {best.depth} of {count}:"
        f" {percent(best.linear)} with a linear head there, {percent(last.linear)} where they enter the classifier."
        " Its last groups are made for what it was pretrained on, which speaks for training them anew"
    )


# --------------------------------------------------------------------------- with and without pretraining


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a training's score grew with its seconds; one point where it was taken at the end alone."""

    candidate: str
    points: Points
    frozen: bool = False  # a head in closed form: its seconds are those of computing the features


def transfer(result: Recommendation) -> dict[str, Any]:
    """The verdict on pretraining with its interval, the curves, and the three signs of transfer."""
    reasons = result.decision.reasons if result.decision else ()
    said = [sentence(reason)[:1].upper() + sentence(reason)[1:] for reason in reasons if reason.kind in _SAID]
    pair = transfer_pair(result)
    return {
        "verdict": _verdict(result.transfer),
        "said": said,
        "controls": [
            {
                "candidate": row.candidate,
                "what": control(row.control).removeprefix("control: "),
                "score": percent(row.score_val),
                "interval": "" if row.ci_low is None else interval(row.ci_low, row.ci_high),
            }
            for row in result.leaderboard
            if row.control and row.score_val is not None
        ],
        "signs": textbook(*pair) if pair else [],
        "pair": [training.candidate for training in pair or ()],
    }


_SAID = (Kind.PRETRAINING_GAIN, Kind.PRETRAINING_UNKNOWN)


def transfer_pair(result: Recommendation) -> tuple[Training, Training] | None:
    """The winner's training and that of the same network from scratch; None where one is missing."""
    scratch = next((r for r in result.trials if r.trial.control == "scratch"), None)
    winner = result.winner.candidate if result.winner else ""
    probes = [r for r in result.trials if is_probe(r) and not r.trial.control]
    standing = representative_results(probes).get(winner)
    if scratch is None or standing is None:
        return None
    images = result.data.counts.get("train", 0)
    pair = (_training(standing, images), _training(scratch, images))
    return pair if all(training.points for training in pair) else None


def _training(done: TrialResult, images: int) -> Training:
    points = [(point.seconds, point.score) for point in done.curve if point.score is not None]
    frozen = not done.epochs_done
    if len(points) < 2 and done.score_val is not None:
        embedding = (done.latency or 0.0) * images if frozen else 0.0
        points = [(done.cost.seconds + embedding, done.score_val)]
    return Training(candidate=done.trial.candidate.id, points=tuple(points), frozen=frozen)


def without_network(result: Recommendation) -> float | None:
    """What the baseline without any network reaches, if it was measured."""
    return next((row.score_val for row in result.leaderboard if row.control == "pixels"), None)


def _verdict(gain: Interval | None) -> str:
    if gain is None:
        return ""
    numbers = f"{points(gain.value)} (95 % interval {points_interval(gain.low, gain.high)})"
    if gain.low > 0:
        return (
            f"Pretraining helps here: {numbers} over the same network without it, trained at least as long."
        )
    if gain.high < 0:
        return f"Pretraining does harm here: {numbers} against the same network without it, trained at least as long."
    return (
        "Whether pretraining helps here cannot be told from chance:"
        f" {numbers} against the same network without it, trained at least as long."
    )


def textbook(tuned: Training, fresh: Training) -> list[tuple[str, str]]:
    """Start, slope and asymptote with pretraining and without (Torrey and Shavlik, 2009), over seconds.

    >>> one = Training(candidate="a", points=((1, 0.5), (2, 0.7)))
    >>> other = Training(candidate="b", points=((1, 0.3), (2, 0.4)))
    >>> textbook(one, other)[1][1]
    '+20.0 points a second at first, against +10.0'
    """
    with_, without = tuned.points, fresh.points
    if len(with_) < 2 or len(without) < 2:
        reached = [f"{percent(line[-1][1])} after {duration(line[-1][0])}" for line in (with_, without)]
        return [("reached", f"{reached[0]} against {reached[1]}")]
    begin = max(with_[0][0], without[0][0])
    one, two = _at(with_, begin), _at(without, begin)
    steep = [100 * (line[1][1] - line[0][1]) / (line[1][0] - line[0][0]) for line in (with_, without)]
    slope = f"{steep[0]:+.1f} points a second at first, against {steep[1]:+.1f}".replace("-", _MINUS)
    flat = _flat(with_) and _flat(without)
    level = f"{percent(with_[-1][1])} against {percent(without[-1][1])}; both curves have flattened"
    return [
        ("start", f"{percent(one)} against {percent(two)} after {duration(begin)}"),
        ("slope", slope),
        ("asymptote", level if flat else "not told: a curve still moves"),
    ]


_MINUS = "\N{MINUS SIGN}"


def _at(curve: Points, x: float) -> float:
    """The value at x, straight lines between points."""
    before = [point for point in curve if point[0] <= x][-1]
    after = next((point for point in curve if point[0] >= x), curve[-1])
    if after[0] == before[0]:
        return before[1]
    return before[1] + (after[1] - before[1]) * (x - before[0]) / (after[0] - before[0])


def _flat(curve: Points) -> bool:
    """Whether the last third moved by no more than a small share of the whole way."""
    if len(curve) < 4:
        return False
    first, last = curve[0], curve[-1]
    return abs(last[1] - _at(curve, last[0] - (last[0] - first[0]) / 3)) <= FLAT * abs(last[1] - first[1])


# --------------------------------------------------------------------------- curves


def curves(result: Recommendation) -> dict[tuple[str, str], tuple[CurvePoint, ...]]:
    """Learning curves by (what, candidate): the winner's final fit and longest probe, then two other candidates'."""
    if result.winner is None:
        return {}
    longest: dict[str, TrialResult] = {}
    found: dict[tuple[str, str], tuple[CurvePoint, ...]] = {}
    winner = result.winner.candidate
    for r in result.trials:
        name = r.trial.candidate.id
        if len(r.curve) < 2 or r.trial.control:
            continue
        if not is_probe(r):
            if name == winner:
                found["final fit", name] = r.curve
        elif name not in longest or r.epochs_done > longest[name].epochs_done:
            longest[name] = r
    if winner in longest:
        found["probe of the winner", winner] = longest.pop(winner).curve
    for row in result.leaderboard:
        if row.candidate in longest and len(found) < 4:
            found["", row.candidate] = longest[row.candidate].curve
    return found


def still_falling(curve: Sequence[CurvePoint]) -> str:
    """Whether a training was done, in a sentence."""
    if len(curve) < 4:
        return ""
    cut = curve[-1].epoch - 0.2 * (curve[-1].epoch - curve[0].epoch)
    before = [point.loss for point in curve if point.epoch <= cut][-1]
    fell = 1 - curve[-1].loss / before if before > 0 else 0.0
    if fell > FALLING:
        return (
            f"The training loss still fell by {percent(fell, 0)} over the last fifth of the fit that ships: a larger"
            " budget may buy more."
        )
    return "The training loss had flattened at the end of the fit that ships: more passes alone would buy little."


# --------------------------------------------------------------------------- scores against probes


def expectations(result: Recommendation) -> list[tuple[str, float, float]]:
    """(backbone at size, accuracy expected before any training, best score it reached)."""
    if result.ranking is None:
        return []
    best = _best(result)
    return [
        (f"{r.backbone} at {r.input_size} px", r.expected, best[r.backbone, r.input_size])
        for r in result.ranking.ranked
        if (r.backbone, r.input_size) in best
    ]


def agreement(result: Recommendation) -> list[dict[str, Any]]:
    """How each score ordered the backbones against how their best candidates came out (Kendall's tau)."""
    if result.ranking is None:
        return []
    best = _best(result)
    weights = {each.score: f"{each.weight:.2f} of {each.usual:.2f}" for each in result.ranking.believed}
    pairs: dict[str, list[tuple[float, float]]] = {}
    for ranked in result.ranking.ranked:
        reached = best.get((ranked.backbone, ranked.input_size))
        if reached is not None:
            for name, value in ranked.scores:
                pairs.setdefault(name, []).append((value, reached))
            pairs.setdefault("what the ranking went by", []).append((ranked.expected, reached))
    return [
        {
            "score": name,
            "tau": f"{tau:+.2f}".replace("-", "\N{MINUS SIGN}"),
            "backbones": len(found),
            "weight": weights.get(name, ""),
            "so": _so(tau),
        }
        for name, found in sorted(pairs.items())
        if len(found) >= FEWEST_PAIRS and (tau := kendall(found)) is not None
    ]


def _so(tau: float) -> str:
    if tau >= 0.6:
        return "told well what would come"
    if tau >= 0.2:
        return "told something"
    return "told nothing here" if tau > -0.2 else "misled here"


def _best(result: Recommendation) -> Mapping[tuple[str, int], float]:
    best: dict[tuple[str, int], float] = {}
    for row in rivals(result):
        key = (row.backbone, row.input_size)
        best[key] = max(best.get(key, 0.0), row.score_val or 0.0)
    return best
