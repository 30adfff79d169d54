"""What the trainings say: why this depth, whether pretraining helped, how the scores before them did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autotl.records import CurvePoint, Depth, Interval, TrialResult
from autotl.report.words import interval, percent, points, points_interval
from autotl.result import Recommendation, Row, is_probe
from autotl.testimony import kendall

MOST_BACKBONES = 5
FLAT = 0.05  # of a curve's whole way: it has flattened when its last third made less
FALLING = 0.05  # a loss that fell by more, as a share, over the last fifth is still falling
FEWEST_PAIRS = 4  # of score and probe, to speak of agreement

Points = tuple[tuple[float, float], ...]  # (seconds, score or loss), fewest seconds first


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


# --------------------------------------------------------------------------- with and without pretraining


def transfer(result: Recommendation) -> dict[str, Any]:
    """The verdict on pretraining with its interval, the curves, and the three signs of transfer."""
    reasons = result.decision.reasons if result.decision else ()
    said = [text[:1].upper() + text[1:] for text in reasons if text.startswith(_SAID)]
    curves, measure = transfer_curves(result)
    pair = [*curves.values()]
    return {
        "verdict": _verdict(result.transfer),
        "said": said,
        "controls": [
            {
                "candidate": row.candidate,
                "what": row.reason.removeprefix("control: "),
                "score": percent(row.score_val),
                "interval": "" if row.ci_low is None else interval(row.ci_low, row.ci_high),
            }
            for row in result.leaderboard
            if row.control and row.score_val is not None
        ],
        "signs": textbook(pair[0], pair[1], measure) if len(pair) == 2 else [],
        "measure": measure,
    }


_SAID = ("pretraining ", "whether pretraining ")  # how the verdict begins its sentence on it


def transfer_curves(result: Recommendation) -> tuple[dict[str, Points], str]:
    """Curves over training seconds of the winner's kin and of the same network from scratch, and of what.

    Scores where both trainings took them on the way, else training losses. Empty where one has no curve.
    """
    scratch = next((r for r in result.trials if r.trial.control == "scratch"), None)
    if scratch is None:
        return {}, ""
    kin = [
        r
        for r in result.trials
        if r.trial.candidate.backbone == scratch.trial.candidate.backbone
        and not r.trial.control
        and len(r.curve) > 1
    ]
    if not kin or len(scratch.curve) < 2:
        return {}, ""
    # The one that trained about as long, so that the curves share their seconds.
    tuned = min(kin, key=lambda r: (abs(r.curve[-1].seconds - scratch.curve[-1].seconds), r.trial.id))
    names = (tuned.trial.candidate.id, scratch.trial.candidate.id)
    scores = [tuple((p.seconds, p.score) for p in r.curve if p.score is not None) for r in (tuned, scratch)]
    if all(len(points) > 1 for points in scores):
        return dict(zip(names, scores, strict=True)), "score"
    losses = [tuple((p.seconds, p.loss) for p in r.curve) for r in (tuned, scratch)]
    return dict(zip(names, losses, strict=True)), "training loss"


def _verdict(gain: Interval | None) -> str:
    if gain is None:
        return ""
    numbers = f"{points(gain.value)} (95 % interval {points_interval(gain.low, gain.high)})"
    if gain.low > 0:
        return f"Pretraining helps here: {numbers} over the same network without it, trained for as long."
    if gain.high < 0:
        return (
            f"Pretraining does harm here: {numbers} against the same network without it, trained for as long."
        )
    return (
        "Whether pretraining helps here cannot be told from chance:"
        f" {numbers} against the same network without it, trained for as long."
    )


def textbook(tuned: Points, fresh: Points, measure: str) -> list[tuple[str, str]]:
    """Start, slope and asymptote of two curves over seconds (Torrey and Shavlik, 2009), with and without pretraining.

    >>> textbook(((1, 0.5), (2, 0.7)), ((1, 0.3), (2, 0.4)), "score")[0]
    ('start', 'score 0.50 against 0.30 after 1.0 s')
    """
    begin = max(tuned[0][0], fresh[0][0])
    one, two = _at(tuned, begin), _at(fresh, begin)
    signs = [("start", f"{measure} {one:.2f} against {two:.2f} after {begin:.1f} s")]
    steep = [(line[1][1] - line[0][1]) / (line[1][0] - line[0][0]) for line in (tuned, fresh)]
    signs.append(
        ("slope", f"{steep[0]:+.3f} a second at first, against {steep[1]:+.3f}".replace("-", _MINUS))
    )
    if _flat(tuned) and _flat(fresh):
        signs.append(
            ("asymptote", f"{tuned[-1][1]:.2f} against {fresh[-1][1]:.2f}; both curves have flattened")
        )
    else:
        signs.append(("asymptote", "not told: a curve still moves"))
    return signs


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


def loss_curves(result: Recommendation) -> dict[tuple[str, str], tuple[CurvePoint, ...]]:
    """Training loss by (what, candidate): the winner's final fit and longest probe, then two other candidates'."""
    if result.winner is None:
        return {}
    longest: dict[str, TrialResult] = {}
    curves: dict[tuple[str, str], tuple[CurvePoint, ...]] = {}
    winner = result.winner.candidate
    for r in result.trials:
        name = r.trial.candidate.id
        if len(r.curve) < 2 or r.trial.control:
            continue
        if not is_probe(r):
            if name == winner:
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
