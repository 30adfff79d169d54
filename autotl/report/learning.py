"""What the trainings say: why this depth, whether pretraining helped, how the scores before them did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from autotl.records import CurvePoint, Depth, TrialResult
from autotl.report.words import percent, points, points_interval
from autotl.result import Recommendation, Row

MOST_BACKBONES = 5
FLAT = 0.01  # a score that grew by less over the last third of a training has flattened
FALLING = 0.05  # a loss that fell by more, as a share, over the last fifth is still falling
FEWEST_PAIRS = 4  # of score and probe, to speak of agreement

Points = tuple[tuple[float, float], ...]  # (epochs, score), fewest epochs first


# --------------------------------------------------------------------------- depth


def by_depth(result: Recommendation) -> dict[str, dict[Depth, Row]]:
    """Best row by unfreeze depth of each backbone that was tried at more than one; the winner's first."""
    found: dict[str, dict[Depth, Row]] = {}
    for row in result.leaderboard:
        if row.score_val is not None and row.backbone:
            depths = found.setdefault(row.backbone, {})
            before = depths.get(row.unfreeze)
            if before is None or (before.score_val or 0.0) < row.score_val:
                depths[row.unfreeze] = row
    first = result.winner.backbone if result.winner else None
    names = sorted((name for name, depths in found.items() if len(depths) > 1), key=lambda n: (n != first, n))
    return {name: found[name] for name in names[:MOST_BACKBONES]}


# --------------------------------------------------------------------------- with and without pretraining


def controls(result: Recommendation) -> list[str]:
    """Candidates that know nothing from elsewhere: fresh backbones, and what the verdict compares with."""
    fresh = {spec.name for spec in result.backbones if spec.init == "random"}
    against = result.transfer.against if result.transfer else ""
    named = [row.candidate for row in result.leaderboard if row.backbone in fresh or row.candidate == against]
    return list(dict.fromkeys(named))


def score_curve(results: Iterable[TrialResult], candidate: str) -> Points:
    """Score by epochs trained: within the candidate's trainings where it was taken, else over them."""
    own = [r for r in results if r.trial.candidate.id == candidate and r.trial.id not in {"final", "tested"}]
    longest = max(own, key=lambda r: r.epochs_done, default=None)
    inside = [] if longest is None else [(p.epoch, p.score) for p in longest.curve if p.score is not None]
    over = [(r.epochs_done, r.score_val) for r in own if r.score_val is not None]
    chosen = inside if len(inside) > 1 else over
    return tuple(sorted(dict(chosen).items()))


def transfer(result: Recommendation) -> dict[str, Any]:
    """The verdict on pretraining with its interval, the curves, and the three signs of transfer."""
    winner = result.winner
    without = controls(result)
    curves: dict[str, Points] = {}
    if winner is not None:
        curves = {
            name: found
            for name in (winner.candidate, *without)
            if (found := score_curve(result.trials, name))
        }
    rows = {row.candidate: row for row in result.leaderboard}
    signs: list[tuple[str, str]] = []
    if winner is not None and without and {winner.candidate, without[0]} <= set(curves):
        signs = textbook(curves[winner.candidate], curves[without[0]])
    return {
        "verdict": _verdict(result),
        "against": [
            {"candidate": name, "score": percent(rows[name].score_val)}
            for name in without
            if rows[name].score_val is not None
        ],
        "signs": signs,
        "curves": curves if any(len(found) > 1 for found in curves.values()) and len(curves) > 1 else {},
    }


def _verdict(result: Recommendation) -> str:
    gain = result.transfer or (result.decision.transfer if result.decision else None)
    if gain is None:
        return ""
    value = gain.gain if hasattr(gain, "gain") else gain.value
    numbers = f"{points(value)} (95 % interval {points_interval(gain.low, gain.high)})"
    if gain.low > 0:
        return f"Pretraining helps here: {numbers} against the same training without it."
    if gain.high < 0:
        return f"Pretraining does harm here: {numbers} against the same training without it."
    return f"Whether pretraining helps here cannot be told from chance: {numbers} against the same training without it."


def textbook(tuned: Points, fresh: Points) -> list[tuple[str, str]]:
    """Higher start, higher slope, higher asymptote (Torrey and Shavlik, 2009), of two score curves.

    >>> textbook(((1, 0.5), (2, 0.7)), ((1, 0.3), (2, 0.4)))[0]
    ('start', '+20.0 points after 1 epochs')
    """
    begin = max(tuned[0][0], fresh[0][0])
    signs = [("start", f"{points(_at(tuned, begin) - _at(fresh, begin))} after {begin:g} epochs")]
    slopes = [
        (line[1][1] - line[0][1]) / (line[1][0] - line[0][0]) for line in (tuned, fresh) if len(line) > 1
    ]
    if len(slopes) == 2:
        words = f"{points(slopes[0])} an epoch at first, against {points(slopes[1])} without pretraining"
        signs.append(("slope", words))
    else:
        signs.append(("slope", "not measured: a curve has one point only"))
    if _flat(tuned) and _flat(fresh):
        signs.append(("asymptote", f"{points(tuned[-1][1] - fresh[-1][1])}, both curves have flattened"))
    else:
        signs.append(("asymptote", "not told: a curve still rises"))
    return signs


def _at(curve: Points, epoch: float) -> float:
    """The score at an epoch, straight lines between points."""
    before = [point for point in curve if point[0] <= epoch][-1]
    after = next((point for point in curve if point[0] >= epoch), curve[-1])
    if after[0] == before[0]:
        return before[1]
    return before[1] + (after[1] - before[1]) * (epoch - before[0]) / (after[0] - before[0])


def _flat(curve: Points) -> bool:
    if len(curve) < 3:
        return False
    first, last = curve[0][0], curve[-1][0]
    return abs(curve[-1][1] - _at(curve, last - (last - first) / 3)) < FLAT


# --------------------------------------------------------------------------- curves


def loss_curves(result: Recommendation) -> dict[tuple[str, str], tuple[CurvePoint, ...]]:
    """Training loss by (what, candidate): the winner's final fit and longest probe, then two other candidates'."""
    if result.winner is None:
        return {}
    longest: dict[str, TrialResult] = {}
    curves: dict[tuple[str, str], tuple[CurvePoint, ...]] = {}
    winner = result.winner.candidate
    for r in result.trials:
        name = r.trial.candidate.id
        if len(r.curve) < 2:
            continue
        if r.trial.id == "final":
            curves["final fit", name] = r.curve
        elif name not in longest or r.epochs_done > longest[name].epochs_done:
            longest[name] = r
    if winner in longest:
        curves["probe of the winner", winner] = longest.pop(winner).curve
    for row in result.leaderboard:
        if row.candidate in longest and len(curves) < 4:
            curves["", row.candidate] = longest[row.candidate].curve
    return curves


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
            "so": _so(tau),
        }
        for name, found in sorted(pairs.items())
        if len(found) >= FEWEST_PAIRS and (tau := kendall(found)) is not None
    ]


def kendall(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Kendall's tau-b: share of pairs in the same order minus share in the other; None if all are equal.

    >>> kendall([(1, 1), (2, 2), (3, 3)])
    1.0
    """
    same = first = second = 0
    for (a, b), (c, d) in combinations(pairs, 2):
        one, two = (a > c) - (a < c), (b > d) - (b < d)
        same += one * two
        first += one != 0
        second += two != 0
    return same / (first * second) ** 0.5 if first and second else None


def _so(tau: float) -> str:
    if tau >= 0.6:
        return "told well what would come"
    if tau >= 0.2:
        return "told something"
    return "told nothing here" if tau > -0.2 else "misled here"


def _best(result: Recommendation) -> Mapping[tuple[str, int], float]:
    best: dict[tuple[str, int], float] = {}
    for row in result.leaderboard:
        if row.score_val is not None:
            key = (row.backbone, row.input_size)
            best[key] = max(best.get(key, 0.0), row.score_val)
    return best
