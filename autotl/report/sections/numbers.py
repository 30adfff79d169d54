"""The recommended model of numbers: its learning curve, the size of its errors, its intervals and its worst images."""

from __future__ import annotations

from typing import Any

from autotl.records.result import Recommendation
from autotl.report.material import Material, NumberMaterial
from autotl.report.sections.model import curves_of, epochs_of
from autotl.report.wording import numbers as wording
from autotl.report.wording.model import NO_PREDICTIONS, predictions_of

MACRO = "numbers"  # of the templates


def section(result: Recommendation, material: Material) -> dict[str, Any]:
    """Return the learning curve's sentence and all on the predictions; `none` is the reason where there are none."""
    shared = {"macro": MACRO, "curves": curves_of(result), "epochs": epochs_of(result)}
    found = material.numbers
    if found is None:
        return {**shared, "none": NO_PREDICTIONS}
    errors, unit = found.errors, result.data.classes[0]
    return {
        **shared,
        "none": "",
        "where": predictions_of(found.predictions.model, found.predictions.images),
        "unit": unit,
        "lede": wording.size(errors),
        "spread_sentence": wording.spread(errors),
        "interval_sentence": wording.intervals(result.conformal),
        "figures": wording.figures(errors),
        "bins": [wording.bin_line(each) for each in errors.bins],
        "covered": errors.half_width is not None,
        "worst": _worst(found, material),
    }


def _worst(found: NumberMaterial, material: Material) -> list[dict[str, Any]]:
    predictions = found.predictions
    lines = []
    for place in found.worst:
        label, predicted = float(predictions.labels[place]), float(predictions.proba[place, 0])
        lines.append(
            {
                "picture": material.pictures.get(int(predictions.rows[place]), ""),
                "name": str(predictions.names[place]),
                "label": wording.number(label),
                "predicted": wording.number(predicted),
                "error": wording.signed(predicted - label),
            }
        )
    return lines
