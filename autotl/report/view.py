"""From a result to what the templates show: `SECTIONS` in their order, each made by one module.

To add a section: a module in `autotl.report.sections` with a function that takes the result and its material and
returns a dictionary, a line in `SECTIONS`, a macro of the same name in templates/sections.html, and a part of
templates/report.md. Sentences are made in `autotl.report.wording`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from autotl.records.result import Recommendation
from autotl.report.material import Material
from autotl.report.sections import (
    cost,
    data,
    depth,
    leaderboard,
    recommendation,
    reproduce,
    time,
    transfer,
)
from autotl.report.wording import page as wording
from autotl.report.wording.targets import metric_name
from autotl.stats.target_kinds import TARGET_KINDS


class Section(NamedTuple):
    """A section of the report: its title, its name in the navigation, and what makes its content."""

    title: str
    short: str
    content: Callable[[Recommendation, Material], dict[str, Any]]


def _of_target(result: Recommendation, material: Material) -> dict[str, Any]:
    """Return the content of the section on the model: which it is depends on the kind of target."""
    module, _, name = TARGET_KINDS[result.data.target].section.partition(":")
    content: dict[str, Any] = getattr(importlib.import_module(module), name)(result, material)
    return content


SECTIONS: Mapping[str, Section] = {
    "recommendation": Section("Recommendation", "Recommendation", recommendation.section),
    "cost": Section("Accuracy and cost", "Cost", cost.section),
    "leaderboard": Section("Leaderboard", "Leaderboard", leaderboard.section),
    "depth": Section("Unfreeze depth", "Depth", depth.section),
    "transfer": Section("Effect of pretraining", "Pretraining", transfer.section),
    "model": Section("The model and its errors", "Model", _of_target),
    "data": Section("Data", "Data", data.section),
    "time": Section("Time", "Time", time.section),
    "reproduce": Section("Reproduce this run", "Reproduce", reproduce.section),
}


def view(result: Recommendation, material: Material | None = None) -> dict[str, Any]:
    """Return the content of a page: each section by its name, and what they share."""
    material = Material() if material is None else material
    return {
        "name": PurePath(result.data.source).name or result.data.source,
        "status": result.status,
        "target": result.data.target,
        "metric": metric_name(result.metric),
        "evaluated_on": wording.evaluated_on(result),
        "followed_on": wording.FOLLOWED_ON,
        "training_time": wording.TRAINING_TIME,
        "layer_group": wording.LAYER_GROUP,
        "ranking_weights": wording.RANKING_WEIGHTS,
        "drawings": material.drawings,
        "titles": {name: section.title for name, section in SECTIONS.items()},
        "navigation": {name: section.short for name, section in SECTIONS.items()},
        **{name: section.content(result, material) for name, section in SECTIONS.items()},
    }
