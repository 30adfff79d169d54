"""The unfreeze depth: why this one, scores by depth, and the accuracy of frozen features by depth."""

from __future__ import annotations

from typing import Any

from autotl.records import Depth
from autotl.records.result import Recommendation, Row
from autotl.report import recorded, trainings
from autotl.report.format import duration, interval, percent
from autotl.report.material import Material
from autotl.report.wording import depth as wording
from autotl.report.wording.page import as_sentence


def section(result: Recommendation, _material: Material) -> dict[str, Any]:
    """Return sentences on the depth and a table for each backbone that was tried at more than one."""
    sentences = recorded.depth_reasons(result)
    winner = result.winner
    for profile in trainings.depth_profiles(result)[:1]:
        if winner is None or profile.backbone != winner.backbone:
            continue  # of another backbone it says nothing about this recommendation
        if not trainings.tells_depths_apart(profile, result.profile):
            constant = trainings.constant_score(result.profile)
            sentences.append(wording.features_tell_nothing(profile, constant, result.data.target))
            continue
        deepest = trainings.deepest_is_best(profile)
        enough = trainings.enough_depth(profile)
        sentences.append(
            wording.features_by_depth(
                profile, enough=enough, deepest_is_best=deepest, tuned=winner.unfreeze != 0
            )
        )
    return {
        "sentences": [as_sentence(text) for text in sentences],
        "tables": [
            {"backbone": name, "depths": _lines(rows)} for name, rows in trainings.by_depth(result).items()
        ],
    }


def _lines(rows: dict[Depth, Row]) -> list[dict[str, Any]]:
    ordered = sorted(rows.items(), key=lambda item: 99 if item[0] == "all" else int(item[0]))
    best = max(row.score_val or 0.0 for row in rows.values())
    return [
        {
            "depth": wording.depth_word(depth),
            "score": percent(row.score_val),
            "interval": "" if row.ci_low is None else interval(row.ci_low, row.ci_high),
            "fit": "" if row.fit_time is None else duration(row.fit_time),
            "best": row.score_val == best,
        }
        for depth, row in ordered
    ]
