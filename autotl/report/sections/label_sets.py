"""The model of several labels an image: its learning curve, each label with its threshold, its worst images."""

from __future__ import annotations

from typing import Any

from autotl.records.result import Recommendation
from autotl.report.format import percent
from autotl.report.material import LabelMaterial, Material
from autotl.report.sections.model import LONG, curves_of, epochs_of
from autotl.report.wording import label_sets as wording
from autotl.report.wording.model import NO_PREDICTIONS, predictions_of

MACRO = "label_sets"  # of the templates


def section(result: Recommendation, material: Material) -> dict[str, Any]:
    """Return the learning curve's sentence and all on the predictions; `none` is the reason where there are none."""
    shared = {"macro": MACRO, "curves": curves_of(result), "epochs": epochs_of(result)}
    found = material.label_sets
    if found is None:
        return {**shared, "none": NO_PREDICTIONS}
    return {
        **shared,
        "none": "",
        "where": predictions_of(found.predictions.model, found.predictions.images),
        "lede": wording.size(found.errors),
        "threshold_sentence": wording.thresholds(result.thresholds),
        "labels": [wording.label_line(each) for each in found.errors.labels],
        "fold": len(found.errors.labels) > LONG,
        "together": [
            {"one": one, "other": other, "images": f"{images:,}"}
            for one, other, images in (
                result.profile.label_sets.together if result.profile.label_sets is not None else ()
            )
        ],
        "worst": _worst(found, material),
    }


def _worst(found: LabelMaterial, material: Material) -> list[dict[str, Any]]:
    predictions = found.predictions
    lines = []
    for place, column in found.worst:
        has = bool(predictions.labels[place, column])
        lines.append(
            {
                "picture": material.pictures.get(int(predictions.rows[place]), ""),
                "name": str(predictions.names[place]),
                "label": predictions.classes[column],
                "error": wording.error(has),
                "probability": percent(float(predictions.proba[place, column]), 0),
            }
        )
    return lines
