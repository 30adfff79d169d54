"""Show the seconds by stage, the forecasts beside them, and the ranking's scores beside the trainings'."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any

from autotl.builtin.scores import SCORES
from autotl.records import Kind
from autotl.records.result import Recommendation, repeats_probe
from autotl.report import recorded, trainings
from autotl.report.format import MINUS, duration, percent
from autotl.report.material import Material
from autotl.report.wording import sentence, terminal
from autotl.report.wording import time as wording

TONES = 6  # colours of the bar of time
FEWEST_PAIRS = 4  # of score and training, for a correlation
STAGES = {
    "load": "list files",
    "decode": "decode images",
    "profile": "profile the data",
    "start": "start torch",
    "rank": "rank backbones and train the first",
    "search": "train candidates",
    "probe": "train candidates",
    "timing": "time backbones",
    "controls": "controls",
    "doctor": "examine the data",
    "rescore": "score linear probes again",
    "recheck": "examine labels and split",
    "final fit": "final fit",
    "depth profiles": "measure depth profiles",
    "out of distribution": "measure out-of-distribution distances",
    "geometry": "compare ways to make images square",
    "similarity": "measure similarity",
    "distillation": "distil",
    "label columns": "compare heads of label columns",
    "explain": "explain predictions",
    "report": "write the report",
    "other": "other",
}


def section(result: Recommendation, _material: Material) -> dict[str, Any]:
    """Return seconds by stage beside the time plan, all trainings with their forecasts, and the scores' agreement."""
    total, budget = result.seconds.get("total", 0.0), result.seconds.get("budget", 0.0)
    stages = {name: seconds for name, seconds in result.seconds.items() if name not in {"total", "budget"}}
    rest = total - sum(stages.values())
    if stages and rest > 0.005 * total:
        stages["other"] = rest
    whole = max(total, sum(stages.values()))
    agreed = agreement(result)
    longest = sorted(stages, key=lambda name: -stages[name])[: TONES - 1]  # each with a colour of its own
    return {
        "total": duration(total) if total else "",
        "budget": duration(budget) if budget else "",
        "trials": _trials(result),
        "forecasts": " ".join(
            filter(None, (terminal.forecast_outcome(result, timed=False), _forecasts(result)))
        ),
        "spare": _why_early(result) if any(note.kind is Kind.ENDED_EARLY for note in result.notes) else "",
        "plan": _plan(result),
        "stages": [
            {
                "name": STAGES.get(name, name),
                "time": duration(seconds),
                "width": round(100 * seconds / whole, 2) if whole else 0.0,
                "tone": longest.index(name) if name in longest else TONES - 1,
            }
            for name, seconds in stages.items()
        ],
        "agreement": agreed,
        "scores": _explained({each["score"] for each in agreed}),
    }


def _explained(names: Container[str]) -> str:
    """Return what the scores of these names are. Of a plugin's score the result holds the name alone."""
    return "; ".join(f"{score.name}: {score.summary}" for score in SCORES if score.name in names)


def _why_early(result: Recommendation) -> str:
    """Return why the search ended before its time was used up."""
    why = recorded.end_of_search(result)
    return "The run ended early." if why is None else f"The run ended early: {sentence(why)}."


def _plan(result: Recommendation) -> list[dict[str, str]]:
    """Return the rows of the time plan beside the seconds that were used."""
    return [
        {
            "stage": row.stage,
            "planned": duration(row.seconds),
            "used": duration(sum(result.seconds.get(name, 0.0) for name in row.covers)),
            "kind": terminal.planned(fixed=row.fixed),
        }
        for row in result.time_plan
    ]


def _trials(result: Recommendation) -> list[dict[str, str]]:
    return [
        {
            "id": r.trial.id,
            "candidate": r.trial.candidate.id,
            "epochs": f"{r.epochs_done:.1f} of {r.trial.epochs:g}" if r.trial.epochs else "closed form",
            "forecast": "" if r.trial.forecast is None else duration(r.trial.forecast),
            "took": duration(r.cost.seconds),
            "score": percent(r.score_val),
            "status": terminal.STATUS[r.status] if r.status != "finished" else "",
        }
        for r in result.trials
        if not repeats_probe(r)
    ]


def _forecasts(result: Recommendation) -> str:
    finished = [r for r in result.trials if r.status == "finished" and not repeats_probe(r)]
    ratios = sorted(
        r.cost.seconds / r.trial.forecast for r in finished if r.trial.forecast and r.cost.seconds
    )
    inside = [
        r.trial.forecast_low <= r.cost.seconds <= r.trial.forecast_high
        for r in finished
        if r.trial.forecast_low is not None and r.trial.forecast_high is not None
    ]
    return wording.forecasts(ratios, sum(inside), len(inside))


def agreement(result: Recommendation) -> list[dict[str, Any]]:
    """Return how each score ordered the backbones compared with their best trainings (Kendall's tau)."""
    from scipy.stats import kendalltau

    if result.ranking is None:
        return []
    best = trainings.best_scores(result)
    every = wording.expected(result.metric)
    weights = {item.score: f"{item.weight:.2f} ({item.usual:.2f})" for item in result.ranking.weights}
    pairs: dict[str, list[tuple[float, float]]] = {}
    for ranked in result.ranking.ranked:
        reached = best.get((ranked.backbone, ranked.input_size))
        if reached is not None:
            for name, value in ranked.scores:
                pairs.setdefault(name, []).append((value, reached))
            pairs.setdefault(every, []).append((ranked.expected, reached))
    return [
        {
            "score": name,
            "tau": f"{tau:+.2f}".replace("-", MINUS),
            "backbones": len(values),
            "weight": weights.get(name, ""),
            "verdict": wording.agreement(tau),
        }
        for name, values in sorted(pairs.items())
        if len(values) >= FEWEST_PAIRS
        and not math.isnan(tau := float(kendalltau(*zip(*values, strict=True)).statistic))
    ]
