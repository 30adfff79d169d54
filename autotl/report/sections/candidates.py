"""A candidate in full: its settings, its trainings, its score on each class and what it costs."""

from __future__ import annotations

from typing import Any

from autotl.records import Strategy, TrialResult
from autotl.records.candidate_id import hyper_of
from autotl.records.result import Recommendation, Row, is_probe, repeats_probe
from autotl.report import recorded
from autotl.report.format import count, duration, file_size, interval, loss, name_parts, percent
from autotl.report.material import Material
from autotl.report.wording import candidate as wording
from autotl.report.wording import terminal

LONGEST_PART = 24  # characters of a candidate's name that stay in one line on a phone
SHOWN_CLASSES = 12  # those with the lowest recall


def details(result: Recommendation, material: Material, rows: list[Row]) -> list[dict[str, Any]]:
    """Return what folds out of each row, in the rows' order."""
    trials: dict[str, list[TrialResult]] = {}
    for each in result.trials:
        if not each.trial.control and not repeats_probe(each):
            trials.setdefault(each.trial.candidate.id, []).append(each)
    strategies = {strategy.name: strategy for strategy in result.strategies}
    return [
        {
            "anchor": f"candidate-{place}",
            "place": place,
            "candidate": row.candidate,
            "parts": name_parts(row.candidate, LONGEST_PART),
            "settings": _settings(row, strategies.get(row.strategy)),
            "cost": _cost(row, trials.get(row.candidate, [])),
            "trials": [_trial(each) for each in trials.get(row.candidate, [])],
            **_classes(row, material),
        }
        for place, row in enumerate(rows, start=1)
    ]


def _settings(row: Row, strategy: Strategy | None) -> list[tuple[str, str]]:
    hyper = hyper_of(row.candidate)
    facts = [("backbone", f"{row.backbone} at {row.input_size} px")]
    if strategy is not None:
        facts.append(("strategy", f"{strategy.name}: {strategy.summary}"))
        rates = dict(part.split("=", 1) for part in hyper.split("&") if "=" in part)
        facts += [
            (wording.phase_name(number, len(strategy.phases)), wording.phase(phase, row.unfreeze, rates))
            for number, phase in enumerate(strategy.phases, start=1)
        ]
    if hyper:
        facts.append(("differs from the strategy", hyper.replace("&", ", ")))
    if noted := recorded.reason(row):
        facts.append(("notes", noted))
    return facts


def _cost(row: Row, trials: list[TrialResult]) -> list[tuple[str, str]]:
    facts = []
    if row.fit_time is not None:
        facts.append(("all trainings", duration(row.fit_time)))
    if row.pred_time is not None:
        facts.append(("prediction of an image", duration(row.pred_time)))
    if row.parameters:
        facts.append(("parameters", count(row.parameters)))
    if row.macs:
        facts.append(("multiply-adds of an image", count(row.macs)))
    if held := max((each.cost.bytes for each in trials), default=0):
        facts.append(("memory of the worker", wording.at_most(file_size(held))))
    return facts


def _trial(each: TrialResult) -> dict[str, str]:
    cost = each.cost
    return {
        "id": each.trial.id,
        "what": wording.TRAINING["probe" if is_probe(each) else "final"],
        "epochs": f"{each.epochs_done:g}" if each.epochs_done else wording.CLOSED_FORM,
        "score": percent(each.score_val),
        "time": duration(cost.seconds),
        "loss": loss(each.curve[-1].loss) if each.curve else "",
        "status": "" if each.status == "finished" else terminal.STATUS[each.status],
    }


def _classes(row: Row, material: Material) -> dict[str, Any]:
    lines = material.by_class.get(row.candidate, ())
    return {
        "classes": [
            {
                "name": line.name,
                "images": f"{line.images:,}",
                "recall": percent(line.correct / line.images),
            }
            for line in lines[:SHOWN_CLASSES]
        ],
        "more_classes": max(0, len(lines) - SHOWN_CLASSES),
        "score": f"{percent(row.score_val)} ({interval(row.ci_low, row.ci_high)})"
        if row.ci_low is not None
        else percent(row.score_val),
    }
