"""Sentences of the model card."""

from __future__ import annotations

from collections.abc import Sequence

from autotl.records import Calibration
from autotl.report.format import percent
from autotl.report.wording.model import probability_errors

INTENDED_USE = (
    "Classification of images of the same kind as the training images into the classes below. The model predicts"
    " one of them for every image, also for one that belongs to none; a `warning` in its predictions marks an image"
    " that is out of distribution. It was not examined for fairness, safety or use on people."
)


def model_is_for(target: str, classes: Sequence[str], size: int, backbone: str) -> str:
    """Return what the model is."""
    what = {
        "multiclass": f"An image classifier: {len(classes)} classes",
        "multilabel": f"An image classifier with several labels an image: {len(classes)} labels",
        "regression": f"A model that predicts a number for an image: {classes[0]}",
    }[target]
    return f"{what}, {size} px, backbone {backbone}."


def fitted(model_is: str) -> str:
    """Return which fit the model is."""
    return f"The model: {model_is or 'fitted on the training images'}."


def licence(name: str | None) -> str:
    """Return the licence of the backbone's weights."""
    return (
        f"The backbone's weights: {name}." if name else "The backbone's weights: not known; see their source."
    )


def temperature(calibration: Calibration) -> str:
    """Return the temperature of the probabilities and their calibration errors."""
    text = (
        "Probabilities are not scaled"
        if calibration.temperature == 1
        else f"Logits are divided by temperature {calibration.temperature:g}"
    )
    return (
        f"{text}; expected calibration error {percent(calibration.ece)} out-of-fold on {calibration.images:,} images"
        f" ({percent(calibration.ece_before)} without)."
        + (f" {probability_errors(calibration.test)}" if calibration.test else "")
    )
