"""A page that shows two runs side by side: recommendations, what differs, scores of candidates and classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autotl.cache import atomic_write
from autotl.records.result import Recommendation, Row
from autotl.report.format import interval, percent, points
from autotl.report.material import Material
from autotl.report.predictions import Predictions, by_class, winner_predictions
from autotl.report.render import page_of
from autotl.report.sections import recommendation
from autotl.report.trainings import rivals
from autotl.report.wording import page as wording
from autotl.report.wording import sentences
from autotl.report.wording.model import predictions_of
from autotl.report.wording.targets import metric_name
from autotl.run_folder.diff import Change, Comparison, compare

PERCENT = frozenset({"score", "test score"})  # changes that are shares
SHOWN = 60  # candidates and classes, those that differ most
NAMED = 3  # names of a list


def write(folders: tuple[Path, Path], results: tuple[Recommendation, Recommendation], page: Path) -> None:
    """Write the page of two runs. Raises `OSError`, and `RunError` for damaged predictions."""
    predicted = [winner_predictions(result, folder) for result, folder in zip(results, folders, strict=True)]
    content = view(folders, results, (predicted[0], predicted[1]))
    atomic_write(page, page_of("side_by_side.html", content))


def view(
    folders: tuple[Path, Path],
    results: tuple[Recommendation, Recommendation],
    predicted: tuple[Predictions | None, Predictions | None] = (None, None),
) -> dict[str, Any]:
    """Return the content of the page."""
    one, other = results
    comparison = compare(one, other)
    return {
        "runs": [
            {"name": str(folder), "status": result.status, **recommendation.section(result, Material())}
            for folder, result in zip(folders, results, strict=True)
        ],
        "verdict": wording.same_winner(same=comparison.same_verdict),
        "why": [wording.as_sentence(text) for text in sentences(comparison.why)],
        "changes": _changes(comparison),
        "metrics": [metric_name(result.metric) for result in results],
        "evaluated_on": [wording.evaluated_on(result) for result in results],
        "candidates": _candidates(one, other)[:SHOWN],
        "more_candidates": max(0, len(_candidates(one, other)) - SHOWN),
        "classes": _classes(*predicted)[:SHOWN],
        "more_classes": max(0, len(_classes(*predicted)) - SHOWN),
        "predicted_on": ["" if each is None else predictions_of(each.model, each.images) for each in predicted],
    }  # fmt: skip


def _changes(comparison: Comparison) -> list[dict[str, Any]]:
    parts = (("Decision", comparison.verdict), ("Data", comparison.data), ("Setup", comparison.setup))
    return [
        {
            "title": title,
            "rows": [
                {"what": each.what, "one": _text(each, each.one), "other": _text(each, each.other)}
                for each in changes
            ],
        }
        for title, changes in parts
        if changes
    ]


def _text(change: Change, value: Any) -> str:
    if value is None or value in ("", (), []):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if change.what in PERCENT:
        return percent(value)
    if isinstance(value, (list, tuple)):
        more = f" and {len(value) - NAMED} more" if len(value) > NAMED else ""
        return ", ".join(map(str, value[:NAMED])) + more
    return str(value)


def _candidates(one: Recommendation, other: Recommendation) -> list[dict[str, Any]]:
    """Return the scores of all candidates: those of both runs first, the largest change first."""
    sides: list[Mapping[str, Row]] = [
        {row.candidate: row for row in rivals(result)} for result in (one, other)
    ]
    winners = [result.winner.candidate if result.winner else "" for result in (one, other)]
    lines = []
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        rows = [side.get(name) for side in sides]
        scores = [None if row is None else row.score_val for row in rows]
        difference = None if None in scores else (scores[1] or 0.0) - (scores[0] or 0.0)
        lines.append(
            {
                "candidate": name,
                "scores": [percent(score) for score in scores],
                "intervals": ["" if row is None else interval(row.ci_low, row.ci_high) for row in rows],
                "won": [name == winner for winner in winners],
                "change": "" if difference is None else points(difference),
                "size": -1.0 if difference is None else abs(difference),
            }
        )
    return sorted(lines, key=lambda line: (not any(line["won"]), -line["size"]))


def _classes(one: Predictions | None, other: Predictions | None) -> list[dict[str, Any]]:
    """Return the recall of each class that both winners were asked for, the largest change first."""
    if one is None or other is None:
        return []
    sides = [{line["name"]: line for line in by_class(each)} for each in (one, other)]
    lines = []
    for name in sides[0]:
        if name in sides[1]:
            pair = [side[name] for side in sides]
            difference = pair[1]["recall"].value - pair[0]["recall"].value
            lines.append(
                {
                    "name": name,
                    "recalls": [percent(line["recall"].value) for line in pair],
                    "notes": [
                        f"{interval(line['recall'].low, line['recall'].high)}, {wording.images(line['support'])}"
                        for line in pair
                    ],
                    "change": points(difference),
                    "size": abs(difference),
                }
            )
    return sorted(lines, key=lambda line: (-line["size"], line["name"]))
