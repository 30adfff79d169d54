"""The recommended model: its learning curve, its calibration and its errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from autotl.records import Calibration
from autotl.records.result import Recommendation
from autotl.report import trainings
from autotl.report.discrimination import Discrimination
from autotl.report.format import duration, interval, loss, percent
from autotl.report.material import Material
from autotl.report.predictions import Predictions, accuracy, by_class, confusions, reliability
from autotl.report.wording import discrimination as separation
from autotl.report.wording import model as wording
from autotl.stats import metrics

LONG = 12  # classes, above which their table is folded
CALIBRATED, NEARLY = 0.03, 0.06  # expected calibration errors up to which the words are mild


def section(result: Recommendation, material: Material) -> dict[str, Any]:
    """Return the learning curve's sentence and all on the predictions; `none` is the reason where there are none."""
    return {
        "macro": "model",
        "curves": curves_of(result),
        "epochs": epochs_of(result),
        **errors(material),
    }


def errors(material: Material) -> dict[str, Any]:
    """Return accuracy, confusions, classes, calibration, the most confident errors and explained predictions."""
    predictions = material.predictions
    if predictions is None:
        return {"none": wording.NO_PREDICTIONS}
    wrong = int((~predictions.correct).sum())
    lines = by_class(predictions)
    pairs = confusions(predictions)
    return {
        "none": "",
        **_separation(predictions, material.discrimination),
        "where": wording.predictions_of(predictions.model, predictions.images),
        "lede": _accuracy(predictions, material),
        "pairs": pairs,
        "pairs_sentence": _confusions(predictions, wrong),
        "hidden": material.hidden,
        "classes": [_class_line(line, material.discrimination) for line in lines],
        "classes_sentence": lowest_recall(lines, len(predictions.classes)),
        "fold": len(lines) > LONG,
        "calibration": _calibration(predictions, material.calibration),
        "errors": _most_confident(predictions, material),
        "errors_note": wording.MOST_CONFIDENT,
        "explained": _explained(predictions, material),
        "explained_sentence": _occlusion(material),
        "wrong": wrong,
    }


def curves_of(result: Recommendation) -> dict[str, str]:
    """Return what the training loss shows, or why there is no learning curve."""
    winner = result.winner
    if winner is None:
        return {"sentence": "", "none": wording.NO_WINNER_NO_TRAINING}
    training = trainings.whole_training(result, winner.candidate)
    if training is None:
        return {"sentence": "", "none": wording.CLOSED_FORM}
    fell = trainings.loss_fall(training.curve)
    if fell is None:
        return {"sentence": wording.TOO_FEW_EPOCHS, "none": ""}
    sentence = wording.training_loss(
        fell=fell,
        falling=fell > trainings.FALLING,
        epochs=training.curve[-1].epoch,
        final="select" in training.trial.fit_on,
    )
    return {"sentence": sentence, "none": ""}


def _accuracy(predictions: Predictions, material: Material) -> str:
    """Return the accuracy, and the run's own metric where that is another one."""
    total = len(predictions.rows)
    share = accuracy(predictions)
    text = wording.correct(int(predictions.correct.sum()), total, share)
    if material.metric == "accuracy":
        return f"{text}."
    value = metrics.score(
        material.metric, predictions.labels, predictions.predicted, len(predictions.classes)
    )
    return f"{text}; {wording.own_metric(material.metric, value)}."


def _confusions(predictions: Predictions, wrong: int) -> str:
    """Return where the errors are: a class that draws them, or the two classes that are confused most, both ways."""
    classes = len(predictions.classes)
    table = metrics.confusion(predictions.labels, predictions.predicted, classes)
    errors = table - np.diag(np.diag(table))
    drawn, lost = errors.sum(0), errors.sum(1)
    most = int(drawn.argmax())
    # A class that loses as many images as it draws is one of a confused pair.
    draws = classes > 2 and drawn[most] >= 0.5 * wrong > 2 and lost[most] < 0.5 * drawn[most]
    pairs = np.triu(errors + errors.T)
    one, other = divmod(int(np.argmax(pairs)), classes)
    return wording.confusions(
        wrong,
        classes,
        pair=(predictions.classes[one], predictions.classes[other]),
        both=(int(errors[one, other]), int(errors[other, one])),
        alike=int((pairs == pairs.max()).sum()) - 1,
        attractor=predictions.classes[most] if draws else "",
        attracted=int(drawn[most]),
    )


def epochs_of(result: Recommendation) -> list[dict[str, Any]]:
    """Return a table of loss and score by epoch for each training that recorded them."""
    return [
        {
            "title": f"{each.trial.id}: {each.trial.candidate.id}",
            "points": [
                {
                    "epoch": f"{point.epoch:g}",
                    "loss": loss(point.loss),
                    "score": percent(point.score),
                    "time": duration(point.seconds),
                }
                for point in trainings.shown_points(each.curve)
            ],
            "left_out": max(0, len(each.curve) - trainings.SHOWN_EPOCHS),
        }
        for each in trainings.with_epochs(result)
    ]


def _separation(predictions: Predictions, measured: Discrimination | None) -> dict[str, Any]:
    """Return the sentence on curves and areas, and the table of thresholds of two classes."""
    if measured is None:
        return {"separation": "", "thresholds": [], "thresholds_sentence": "", "positive": ""}
    best = measured.best
    positive = measured.curves[0].name if best is not None else ""
    return {
        "separation": separation.separation(measured, len(predictions.classes)),
        "positive": positive,
        "thresholds_sentence": "" if best is None else separation.thresholds(positive, best.value, best.f1),
        "thresholds": [
            {
                "value": f"{each.value:.3f}".rstrip("0"),
                "flagged": f"{each.flagged:,}",
                "precision": percent(each.precision),
                "recall": percent(each.recall),
                "false_positives": percent(each.false_positives),
                "f1": f"{each.f1:.3f}",
                "best": each == best,
            }
            for each in measured.thresholds
        ],
    }


def _class_line(line: dict[str, Any], measured: Discrimination | None) -> dict[str, Any]:
    recall = line["recall"]
    curve = next((each for each in measured.curves if each.name == line["name"]), None) if measured else None
    return {
        "name": line["name"],
        "support": line["support"],
        "recall": percent(recall.value),
        "recall_value": round(recall.value, 6),
        "interval": interval(recall.low, recall.high),
        "precision": percent(line["precision"]),
        "precision_value": "" if line["precision"] is None else round(line["precision"], 6),
        "f1": percent(line["f1"]),
        "f1_value": round(line["f1"], 6),
        "auc": "" if curve is None else f"{curve.auc:.3f}",
        "average_precision": "" if curve is None else f"{curve.average_precision:.3f}",
        "few": line["support"] < wording.FEW_IMAGES,
    }


def lowest_recall(lines: list[dict[str, Any]], total: int) -> str:
    missed = [line for line in lines if line["recall"].value < 1]
    lowest = next((line for line in missed or lines if line["support"] >= wording.FEW_IMAGES), lines[0])
    few = sum(line["support"] < wording.FEW_IMAGES for line in lines)
    return wording.classes(
        lowest["name"], lowest["recall"], lowest["support"], few, total - len(lines), total
    )


def _calibration(predictions: Predictions, fitted: Calibration | None) -> str:
    measured, share = reliability(predictions), accuracy(predictions)
    confidence = float(predictions.confidence.mean())
    if measured.ece <= CALIBRATED:
        verdict = "calibrated"
    elif measured.ece <= measured.chance and share.low <= confidence <= share.high:
        verdict = "by chance"
    elif measured.ece <= NEARLY:
        verdict = "nearly"
    elif measured.over > 0.5 * measured.ece:
        verdict = "overconfident"
    elif measured.over < -0.5 * measured.ece:
        verdict = "underconfident"
    else:
        verdict = "miscalibrated"
    right, images = float(predictions.correct.mean()), len(predictions.rows)
    return wording.calibration(verdict, confidence, right, measured.ece, fitted, images)


def _most_confident(predictions: Predictions, material: Material) -> list[dict[str, Any]]:
    lines = []
    for place in material.errors:
        true, predicted = int(predictions.labels[place]), int(predictions.predicted[place])
        lines.append(
            {
                "picture": material.pictures.get(int(predictions.rows[place]), ""),
                "name": str(predictions.names[place]),
                "true": predictions.classes[true],
                "predicted": predictions.classes[predicted],
                "probability": percent(float(predictions.confidence[place]), 0),
                "true_probability": percent(float(predictions.proba[place, true]), 0),
            }
        )
    return lines


def _explained(predictions: Predictions, material: Material) -> list[dict[str, Any]]:
    return [
        {
            "seen": picture.seen,
            "tinted": picture.tinted,
            "name": str(predictions.names[place]),
            "predicted": predictions.classes[int(predictions.predicted[place])],
            "true": "" if predictions.correct[place] else predictions.classes[int(predictions.labels[place])],
            "probability": percent(picture.probability, 0),
            "occluded": percent(picture.occluded, 0),
        }
        for place, picture in material.explained.items()
    ]


def _occlusion(material: Material) -> str:
    pictures = [*material.explained.values()]
    return wording.occlusion(
        sum(picture.occluded < picture.probability / 2 for picture in pictures), len(pictures)
    )
