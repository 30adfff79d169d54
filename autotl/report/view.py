"""From a result to what the templates show: texts, shares and positions, nothing left to compute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from autotl.records import Depth
from autotl.records.facts import Kind
from autotl.records.result import Recommendation, Row, is_probe
from autotl.report import forecast, learning, wording
from autotl.report.figures import depth_word, pareto
from autotl.report.format import NARROW, count, duration, interval, percent, points, points_interval
from autotl.report.inputs import Material
from autotl.report.mistakes import mistakes

TONES = 6  # colours of the bar of time
SHOWN_CLASSES = 60  # more than this and only the largest and the smallest are drawn
STAGES = {
    "load": "listing files",
    "decode": "reading images",
    "profile": "profiling the data",
    "start": "starting torch",
    "rank": "ranking backbones",
    "search": "probing candidates",
    "probe": "probing candidates",
    "timing": "timing backbones",
    "controls": "controls",
    "final fit": "training the winner",
    "similarity": "looking at the images",
    "explain": "explaining answers",
    "report": "writing the report",
    "other": "everything else",
}
CONTROLS = "Controls: what the others are held against"
STATUS = {
    "finished": "finished",
    "stopped": "stopped early",
    "diverged": "diverged",
    "failed": "failed",
    "skipped": "not tried",
}


def view(result: Recommendation, material: Material | None = None) -> dict[str, Any]:
    """Everything a page says, in the order it says it."""
    material = Material() if material is None else material
    ranking = result.ranking.notes if result.ranking else ()
    notes = [
        *result.notes,
        *map(_sentence, ranking),
        *(f"A plugin was left out: {problem}" for problem in result.problems),
    ]
    return {
        "name": PurePath(result.data.source).name or result.data.source,
        "status": result.status,
        "metric": result.metric.replace("_", " "),
        "seen": _seen(result),
        "recommendation": _recommendation(result),
        "cost": _cost(result),
        "board": _board(result),
        "depths": [
            {"backbone": name, "depths": _depth_lines(lines)}
            for name, lines in learning.by_depth(result).items()
        ],
        "depth_said": [_sentence(text) for text in learning.depth_said(result)],
        "transfer": learning.transfer(result),
        "curves": _curves(result),
        "mistakes": mistakes(material),
        "data": _data(result),
        "time": _time(result),
        "agreement": learning.agreement(result),
        "repeat": _repeat(result),
        "notes": [*notes, *([material.missing] if material.missing else [])],
        "drawings": material.drawings,
    }


def _seen(result: Recommendation) -> str:
    """Which images scores are from, in words."""
    if result.data.folds:
        number = result.data.counts.get("train", 0)
        return f"{number:,} training images, out-of-fold: each is judged by a fit that has not seen it"
    number = result.data.counts.get("select", 0)
    return f"the {number:,} images that are kept to choose by" if number else "the images the choice rests on"


# --------------------------------------------------------------------------- 1. the recommendation


def recipe(strategy: str, unfreeze: Depth) -> str:
    """Strategy and depth in words."""
    if unfreeze == 0:
        return f"kept frozen, with a new head ({strategy})"
    if unfreeze == "all":
        return f"fine-tuned as a whole ({strategy})"
    groups = "layer group" if unfreeze == 1 else f"{unfreeze} layer groups"
    return f"fine-tuned in its last {groups} ({strategy})"


def _recommendation(result: Recommendation) -> dict[str, Any]:
    winner = result.winner
    decision = result.decision
    shared = {
        "reasons": [_sentence(text) for text in wording.sentences(decision.reasons)] if decision else [],
        "would_change": [_sentence(text) for text in _would_change(result)],
    }
    if winner is None:
        going = result.status == "running"
        headline = "No recommendation yet" if going else "No recommendation"
        why = "The run goes on." if going else "No candidate finished in the time there was."
        return {"headline": headline, "lede": [why], "figures": [], "backbone": "", **shared}
    row = next((row for row in result.leaderboard if row.candidate == winner.candidate), None)
    lede = [_what_it_reaches(result, row), _how_sure(result)]
    return {
        "headline": f"Use {winner.backbone}",
        "backbone": winner.backbone,
        "how": f"at {winner.input_size}{NARROW}px, {recipe(winner.strategy, winner.unfreeze)}.",
        "lede": [sentence for sentence in lede if sentence],
        "figures": _figures(result, row),
        **shared,
    }


def _would_change(result: Recommendation) -> list[str]:
    """What the decision names, and the backbones that nobody had time to train."""
    said = [*wording.sentences(result.decision.would_change)] if result.decision else []
    waiting = len(_untried(result))
    if waiting and result.status == "finished":
        what = "one backbone was" if waiting == 1 else f"{waiting} backbones were"
        said.append(f"a larger budget: {what} offered and never trained")
    return said


def _what_it_reaches(result: Recommendation, row: Row | None) -> str:
    """First sentence: the score with its interval, on which images, and what it costs."""
    winner = result.winner
    assert winner is not None
    metric = result.metric.replace("_", " ")
    if winner.score_test is not None:
        sure = f" ({interval(winner.test_low, winner.test_high)})" if winner.test_low is not None else ""
        number = result.data.counts.get("test", 0)
        text = f"It reaches {percent(winner.score_test)} {metric}{sure} on {number:,} test images that no choice has seen"
    else:
        value, low, high = _expected(result)
        text = f"It is expected to reach {percent(value)} {metric} ({interval(low, high)}) on new images"
        if unseen := result.data.counts.get("test"):
            text += f" (there was no time to judge it on the {unseen:,} test images)"
    costs = []
    if row is not None and row.fit_time is not None:
        costs.append(f"took {duration(row.fit_time)} to train")
    if row is not None and row.pred_time:
        costs.append(f"predicts {_pace(row.pred_time)} here")
    return (
        text
        + "".join(f"{', ' if n + 1 < len(costs) else ' and '}{each}" for n, each in enumerate(costs))
        + "."
    )


def _pace(seconds: float) -> str:
    """``410 images a second``, or ``an image in 1.8 s``."""
    if seconds > 0.5:
        return f"an image in {duration(seconds)}"
    pace = 1 / seconds
    rounded = round(pace, -1 if pace >= 100 else 0)
    return f"about {rounded:,.0f} images a second"


def _how_sure(result: Recommendation) -> str:
    decision = result.decision
    if decision is None:
        return ""
    if any(reason.kind is Kind.NO_SIGNAL for reason in decision.reasons):
        return "But it is hardly better than always answering one class: do not rely on it."
    ties = len(decision.winners_set) - 1
    if ties > 0:
        others = "one other candidate" if ties == 1 else f"{ties} other candidates"
        them = "it" if ties == 1 else "them"
        return (
            f"On this many images it cannot be told apart from {others}, marked = below: its lead over {them} may be"
            " chance."
        )
    if decision.runner_up and decision.margin:
        lead = points(decision.margin.value).lstrip("+")
        return f"It is {lead} ahead of the next, {decision.runner_up}, more than chance explains."
    return "Nothing else finished that it could be compared with."


def _expected(result: Recommendation) -> tuple[float, float, float]:
    """Return the winner's expected score on new images with its interval; its selection score without one."""
    winner = result.winner
    assert winner is not None
    if winner.expected is None or winner.expected_low is None or winner.expected_high is None:
        return winner.score_val, winner.ci_low, winner.ci_high
    return winner.expected, winner.expected_low, winner.expected_high


def _figures(result: Recommendation, row: Row | None) -> list[dict[str, str]]:
    winner = result.winner
    assert winner is not None
    value, low, high = _expected(result)
    seen = "out-of-fold" if result.data.folds else "on the selection images"
    figures = [
        {
            "label": f"expected {result.metric.replace('_', ' ')}",
            "value": percent(value),
            "note": f"95 % interval {interval(low, high)} on new images; score {percent(winner.score_val)} {seen}",
        }
    ]
    if winner.score_test is not None:
        sure = winner.test_low is not None and winner.test_high is not None
        figures.append(
            {
                "label": f"test {result.metric.replace('_', ' ')}",
                "value": percent(winner.score_test),
                "note": f"95 % interval {interval(winner.test_low, winner.test_high)}" if sure else "",
            }
        )
    if result.transfer is not None:
        gain = result.transfer
        figures.append(
            {
                "label": "gain of pretraining",
                "value": points(gain.value),
                "note": f"95 % interval {points_interval(gain.low, gain.high)}",
            }
        )
    if row is not None and row.fit_time is not None:
        figures.append({"label": "to train", "value": duration(row.fit_time), "note": "all its trials"})
    if row is not None and row.pred_time is not None:
        figures.append(
            {"label": "to predict", "value": duration(row.pred_time), "note": "an image, on this machine"}
        )
    if row is not None and row.parameters:
        figures.append({"label": "parameters", "value": count(row.parameters), "note": "backbone and head"})
    return figures


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


# --------------------------------------------------------------------------- 2. accuracy against cost


def _cost(result: Recommendation) -> dict[str, Any]:
    """What to read off the drawings, in words."""
    goal = result.goal
    scored = learning.rivals(result)
    priced = [row for row in scored if row.pred_time]
    front = [priced[n] for n in pareto([(row.pred_time or 0.0, row.score_val or 0.0) for row in priced])]
    winner = result.winner
    words = ""
    cheaper = [row for row in front if winner and row.candidate != winner.candidate]
    best = next((row for row in priced if winner and row.candidate == winner.candidate), None)
    faster = [row for row in cheaper if best and (row.pred_time or 0) < 0.67 * (best.pred_time or 0)]
    if len(scored) == 1:
        words = "Only one candidate was measured: there is nothing to weigh it against."
    elif best is not None and faster:
        close = max(faster, key=lambda row: row.score_val or 0.0)
        words = (
            f"If speed matters: {close.candidate} runs {(best.pred_time or 0) / (close.pred_time or 1):.1f} times as"
            f" fast as the winner, at {points((close.score_val or 0) - (best.score_val or 0))}."
        )
    elif best is not None:
        words = "No candidate that was measured runs much faster than the winner."
    limits = []
    if goal.max_latency is not None:
        limits.append(f"at most {duration(goal.max_latency)} an image")
    if goal.max_params is not None:
        limits.append(f"at most {count(goal.max_params)} parameters")
    if goal.max_memory is not None:
        limits.append(f"at most {goal.max_memory / 2**20:,.0f} MiB")
    return {"so": words, "limits": "; ".join(limits), "any": bool(scored)}


# --------------------------------------------------------------------------- 2. the leaderboard


def _board(result: Recommendation) -> dict[str, Any]:
    scored = learning.rivals(result)
    held = [row for row in result.leaderboard if row.score_val is not None and row.control]
    rest = [row for row in result.leaderboard if row.score_val is None]
    lows = [value for row in [*scored, *held] for value in (row.ci_low, row.score_val) if value is not None]
    floor = (
        min(0.9, math.floor(min(lows) * 20) / 20) if lows else 0.0
    )  # a round figure left of every interval
    winner = result.winner.candidate if result.winner else None
    lines = [_line(row, place, winner, floor) for place, row in enumerate(scored, start=1)]
    return {
        "rows": lines,
        "groups": [
            *_groups(lines),
            *([{"title": CONTROLS, "rows": [_line(row, 0, winner, floor) for row in held]}] if held else []),
        ],
        "scale": (percent(floor, 0), percent((1 + floor) / 2, 1 if floor * 100 % 2 else 0), percent(1.0, 0)),
        "ties": sum(row.in_winners_set for row in scored),
        "rest": [
            *(
                {"candidate": row.candidate, "status": STATUS[row.status], "reason": row.reason}
                for row in rest
            ),
            *(
                {"candidate": name, "status": STATUS["skipped"], "reason": reason}
                for name, reason in _untried(result).items()
            ),
        ],
    }


def _untried(result: Recommendation) -> dict[str, str]:
    """Backbones that were ranked and not trained at any input size, each with what was known of it."""
    known = {row.backbone for row in result.leaderboard if not row.control}
    waiting: dict[str, str] = {}
    for place, arm in enumerate(result.ranking.ranked if result.ranking else (), start=1):
        if arm.backbone not in known:
            promised = f"place {place} before any training, {percent(arm.expected, 0)} expected, {arm.reason}"
            waiting.setdefault(arm.backbone, f"{promised}; the search ended before its turn")
    return waiting


def _groups(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The winner with those that cannot be told apart from it, and the others."""
    tied = [line for line in lines if line["won"] or line["tied"]]
    behind = [line for line in lines if not (line["won"] or line["tied"])]
    if not tied:
        return [{"title": "", "rows": lines}] if lines else []
    first = "Recommended" if len(tied) == 1 else f"As good on this many images: {len(tied)} candidates"
    groups = [{"title": first, "rows": tied}]
    return [*groups, {"title": "Behind beyond chance", "rows": behind}] if behind else groups


def _line(row: Row, place: int, winner: str | None, floor: float) -> dict[str, Any]:
    assert row.score_val is not None
    low = row.score_val if row.ci_low is None else row.ci_low
    high = row.score_val if row.ci_high is None else row.ci_high

    def across(score: float) -> float:
        return round(100 * min(1.0, max(0.0, (score - floor) / (1 - floor))), 2)

    return {
        "place": place or "",
        "candidate": row.candidate,
        "backbone": row.backbone or row.candidate,
        "input_size": row.input_size,
        "strategy": row.strategy + ("" if row.unfreeze == 0 else f":{row.unfreeze}") + _settings(row),
        "won": row.candidate == winner,
        "tied": row.in_winners_set and row.candidate != winner,
        "score": percent(row.score_val),
        "score_value": row.score_val,
        "interval": "" if row.ci_low is None else interval(low, high),
        "dot": across(row.score_val),
        "left": across(low),
        "width": round(across(high) - across(low), 2),
        "fit": "" if row.fit_time is None else duration(row.fit_time),
        "fit_value": row.fit_time,
        "pred": "" if row.pred_time is None else duration(row.pred_time),
        "pred_value": row.pred_time,
        "size": count(row.parameters) if row.parameters else "",
        "size_value": row.parameters,
        "status": "" if row.status == "finished" else STATUS[row.status],
        "reason": wording.control(row.control) if row.control else row.reason,
    }


def _settings(row: Row) -> str:
    """What differs from the strategy's defaults, as it stands in the candidate's name."""
    hyper = row.candidate.partition("?")[2]
    return f" ({hyper.replace('&', ', ')})" if hyper else ""


# --------------------------------------------------------------------------- 3. why this depth


def _depth_lines(depths: dict[Depth, Row]) -> list[dict[str, Any]]:
    ordered = sorted(depths.items(), key=lambda item: 99 if item[0] == "all" else int(item[0]))
    best = max(row.score_val or 0.0 for row in depths.values())
    return [
        {
            "depth": depth_word(depth),
            "score": percent(row.score_val),
            "interval": "" if row.ci_low is None else interval(row.ci_low, row.ci_high),
            "fit": "" if row.fit_time is None else duration(row.fit_time),
            "best": row.score_val == best,
        }
        for depth, row in ordered
    ]


# --------------------------------------------------------------------------- 4. the data


def _data(result: Recommendation) -> dict[str, Any]:
    profile, data = result.profile, result.data
    most = max(profile.counts, default=0)
    bars = [
        {"name": name, "count": f"{number:,}", "width": round(100 * number / most, 1) if most else 0.0}
        for name, number in sorted(
            zip(profile.classes, profile.counts, strict=False), key=lambda pair: (-pair[1], pair[0])
        )
    ]
    hidden = max(0, len(bars) - SHOWN_CLASSES)
    if hidden:
        bars = bars[: SHOWN_CLASSES // 2] + bars[-SHOWN_CLASSES // 2 :]
    seen: dict[tuple[str, str], Any] = {}
    for finding in (*data.findings, *profile.findings):
        seen.setdefault((finding.kind, finding.what), finding)
    return {
        "facts": _facts(result),
        "bars": bars,
        "hidden": hidden,
        "label": min(14, max((len(name) for name in profile.classes), default=1)) + 1,  # characters
        "split": _sentence(data.split) if data.split else "",
        "findings": [
            {
                "what": _sentence(finding.what),
                "action": finding.action,
                "where": list(finding.where[:5]),
                "more": max(0, finding.count - 5) if finding.where else 0,
                "sure": "" if finding.certainty >= 0.995 else f"{finding.certainty:.0%} sure",
            }
            for finding in seen.values()
        ],
        "similarity": [
            {"domain": each.domain, "word": each.word, "sentence": each.sentence}
            for each in (result.similarity or profile.similarity)
        ],
    }


def _facts(result: Recommendation) -> list[tuple[str, str]]:
    profile, parts = result.profile, result.data.counts
    kinds = [f"{parts[part]:,} {part}" for part in ("train", "select", "test") if parts.get(part)]
    if parts.get("left out"):
        kinds.append(f"{parts['left out']:,} left out")
    low, high = profile.sides
    sides = f"{profile.side} px" if low == high else f"{profile.side} px ({low} to {high})"
    facts = [
        ("images", f"{profile.images:,}"),
        ("classes", f"{len(profile.classes):,}"),
        ("parts", ", ".join(kinds)),
        ("largest : smallest class", f"{profile.imbalance:.1f} : 1"),
        ("shorter side", sides),
    ]
    if profile.gray >= 0.005:
        facts.append(("without colour", percent(profile.gray, 0)))
    if profile.alpha >= 0.005:
        facts.append(("with transparency", percent(profile.alpha, 0)))
    return facts


# --------------------------------------------------------------------------- 5. time, and how to repeat it


def _curves(result: Recommendation) -> dict[str, str]:
    winner = result.winner
    if winner is None:
        return {"so": "", "none": "There is no winner, so there is no training to show."}
    own = [r for r in result.trials if r.trial.candidate.id == winner.candidate and len(r.curve) > 1]
    if not own:
        return {"so": "", "none": "The winner's head is fitted in closed form: there is no learning curve."}
    shipped = next((r for r in reversed(own) if not is_probe(r)), own[-1])
    return {"so": learning.still_falling(shipped.curve), "none": ""}


def _trials(result: Recommendation) -> list[dict[str, str]]:
    """Every training: what was planned, what was done, and how long it was thought to take."""
    return [
        {
            "id": each.trial.id,
            "candidate": each.trial.candidate.id,
            "epochs": f"{each.epochs_done:.1f} of {each.trial.epochs:g}"
            if each.trial.epochs
            else "closed form",
            "forecast": "" if each.trial.forecast is None else duration(each.trial.forecast),
            "took": duration(each.cost.seconds),
            "score": percent(each.score_val),
            "status": STATUS[each.status] if each.status != "finished" else "",
        }
        for each in result.trials
    ]


def _forecasts(result: Recommendation) -> str:
    """How the forecasts of the trainings did, in a sentence."""
    ratios = sorted(
        each.cost.seconds / each.trial.forecast
        for each in result.trials
        if each.trial.forecast and each.status == "finished" and each.cost.seconds
    )
    if not ratios:
        return ""
    if len(ratios) == 1:
        return f"The one training with a forecast took {ratios[0]:.2f} times as long as that."
    middle = ratios[len(ratios) // 2]
    inside = [
        each.trial.forecast_low <= each.cost.seconds <= each.trial.forecast_high
        for each in result.trials
        if each.trial.forecast_low is not None
        and each.trial.forecast_high is not None
        and each.status == "finished"
    ]
    kept = f" {sum(inside)} of {len(inside)} took as long as their 80 % interval said." if inside else ""
    return (
        f"Trainings took {middle:.2f} times what was forecast (the median of {len(ratios)};"
        f" {ratios[0]:.2f} to {ratios[-1]:.2f}).{kept}"
    )


def _time(result: Recommendation) -> dict[str, Any]:
    total, budget = result.seconds.get("total", 0.0), result.seconds.get("budget", 0.0)
    stages = {name: spent for name, spent in result.seconds.items() if name not in {"total", "budget"}}
    rest = total - sum(stages.values())
    if stages and rest > 0.005 * total:
        stages["other"] = rest
    whole = max(total, sum(stages.values()))
    longest = sorted(stages, key=lambda name: -stages[name])[: TONES - 1]  # each with a colour of its own
    return {
        "total": duration(total) if total else "",
        "budget": duration(budget) if budget else "",
        "trials": _trials(result),
        "forecasts": " ".join(filter(None, (forecast.compared(result), _forecasts(result)))),
        "spare": bool(result.status == "finished" and total and budget and total < 0.9 * budget),
        "stages": [
            {
                "name": STAGES.get(name, name),
                "time": duration(spent),
                "width": round(100 * spent / whole, 2) if whole else 0.0,
                "tone": longest.index(name) if name in longest else TONES - 1,
            }
            for name, spent in stages.items()
        ],
    }


def _repeat(result: Recommendation) -> dict[str, Any]:
    facts: Sequence[tuple[str, str]] = (
        ("seed", str(result.seed)),
        ("device", result.device),
        ("precision", result.precision),
        ("data fingerprint", result.data.fingerprint),
        ("versions", ", ".join(f"{name} {version}" for name, version in result.versions.items())),
        ("the model is", result.winner.model_is if result.winner else ""),
    )
    return {"command": result.command, "facts": [(name, value) for name, value in facts if value]}
