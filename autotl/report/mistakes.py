"""How the recommended model errs, in words and tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from autotl.records import Calibration, Metric
from autotl.report.answers import Answers, by_class, certain, confused, reliability
from autotl.report.format import interval, percent
from autotl.report.inputs import Material
from autotl.stats import metrics

FEW = 5  # images of a class, below which its figures say little
LONG = 12  # classes, above which their table is folded away
CALIBRATED, NEARLY = 0.03, 0.06  # mean gaps that one need not worry about, and that one should know of


def mistakes(material: Material) -> dict[str, Any]:
    """Everything the section says; `none` says why where there is nothing."""
    found = material.found
    if found is None:
        return {
            "none": "The winner's predictions are not in the run folder, so its mistakes cannot be shown."
        }
    share = certain(found.right)
    wrong = int((~found.right).sum())
    lines = by_class(found)
    return {
        "none": "",
        "where": f"Of {found.model}, on {found.images}",
        "lede": (
            f"{len(found.rows) - wrong:,} of {len(found.rows):,} images are answered rightly,"
            f" {percent(share.value)} ({interval(share.low, share.high)}){_otherwise(found, material.metric)}."
        ),
        "pairs": confused(found),
        "pairs_so": _pairs_so(found, wrong),
        "hidden": material.hidden,
        "classes": [_class_line(line) for line in lines],
        "classes_so": _classes_so(lines, len(found.classes)),
        "fold": len(lines) > LONG,
        "calibration": _calibration(found, material.calibration),
        "worst": _worst(found, material),
        "explained": _explained(found, material),
        "explained_so": _explained_so(material),
        "wrong": wrong,
    }


def _otherwise(found: Answers, metric: Metric) -> str:
    """What the run's own measure says of the same answers, where that is not their share."""
    if metric == "accuracy":
        return ""
    value = metrics.score(metric, found.labels, found.predicted, len(found.classes))
    return f"; {metric.replace('_', ' ')}, in which every class counts alike, is {percent(value)}"


def _pairs_so(found: Answers, wrong: int) -> str:
    if not wrong:
        return "No image was taken for another class."
    if len(found.classes) > 2:
        drawn = np.bincount(found.predicted[~found.right], minlength=len(found.classes))
        if drawn.max() >= 0.5 * wrong > 2:
            name = found.classes[int(drawn.argmax())]
            return f"{drawn.max():,} of the {wrong:,} mistakes are images of other classes taken for {name}."
    pairs = confused(found)
    top = sum(pair["count"] for pair in pairs[:2])
    if len(pairs) > 2 and top >= 0.4 * wrong:
        return f"The two commonest confusions make {percent(top / wrong, 0)} of the {wrong:,} mistakes: look there first."
    if len(found.classes) > 2 and top < 0.15 * wrong:
        return (
            f"The {wrong:,} mistakes are spread over many pairs of classes; no single confusion stands out."
        )
    return f"{wrong:,} mistakes in all."


def _class_line(line: dict[str, Any]) -> dict[str, Any]:
    recall = line["recall"]
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
        "few": line["support"] < FEW,
    }


def _classes_so(lines: list[dict[str, Any]], classes: int) -> str:
    last = next((line for line in lines if line["support"] >= FEW), lines[0])
    recall = last["recall"]
    text = (
        f"Weakest is {last['name']}: {percent(recall.value, 0)} of its {last['support']} images are found"
        f" ({interval(recall.low, recall.high)})."
        if recall.value < 1
        else "Every image of every class is found."
    )
    few = sum(line["support"] < FEW for line in lines)
    if few:
        have = "class has" if few == 1 else "classes have"
        text += f" {few} {have} fewer than {FEW} images here: such a figure says little."
    if len(lines) < classes:
        text += f" {classes - len(lines)} of {classes} classes have no image here."
    return text


def _calibration(found: Answers, fitted: Calibration | None) -> dict[str, str]:
    """Whether probabilities can be taken at their word."""
    measured, share = reliability(found), certain(found.right)
    says, right = percent(float(found.confidence.mean())), percent(float(found.right.mean()))
    if measured.ece <= CALIBRATED:
        words = "Its probabilities can be taken at their word."
    elif measured.ece <= measured.chance and share.low <= found.confidence.mean() <= share.high:
        words = "Its probabilities are off by no more than chance explains on this many images."
    elif measured.ece <= NEARLY:
        words = (
            f"Its probabilities are nearly what they say: off by {100 * measured.ece:.0f} points on average."
        )
    elif measured.over > 0.5 * measured.ece:
        words = "It is too sure of itself: read its probabilities as a ranking, not as chances."
    elif measured.over < -0.5 * measured.ece:
        words = "It is less sure than it could be: it is right more often than it says."
    else:
        words = "Its probabilities are off in both directions: read them as a ranking, not as chances."
    return {
        "so": f"{words} On average it says {says} and is right {right} of the time;"
        f" expected calibration error {percent(measured.ece)}.{_tempered(fitted)}",
    }


def _tempered(fitted: Calibration | None) -> str:
    """What the temperature is, and what it brought on images it was not fitted on."""
    if fitted is None or fitted.temperature == 1.0:
        return ""
    return (
        f" These are the probabilities that autotl predict gives, at temperature {fitted.temperature:.2f}: it took"
        f" the error from {percent(fitted.ece_before)} to {percent(fitted.ece)} on {fitted.images:,} images of the"
        " choice, out-of-fold."
    )


def _worst(found: Answers, material: Material) -> list[dict[str, Any]]:
    lines = []
    for place in material.worst:
        row = int(found.rows[place])
        true, said = int(found.labels[place]), int(found.predicted[place])
        lines.append(
            {
                "picture": material.pictures.get(row, ""),
                "name": str(found.names[place]),
                "true": found.classes[true],
                "said": found.classes[said],
                "sure": percent(float(found.confidence[place]), 0),
                "truth": percent(float(found.proba[place, true]), 0),
            }
        )
    return lines


def _explained(found: Answers, material: Material) -> list[dict[str, Any]]:
    """The answers whose grounds were looked for, the most wrong first."""
    return [
        {
            "seen": picture.seen,
            "tinted": picture.tinted,
            "name": str(found.names[place]),
            "said": found.classes[int(found.predicted[place])],
            "true": "" if found.right[place] else found.classes[int(found.labels[place])],
            "sure": percent(picture.sure, 0),
            "hidden": percent(picture.hidden, 0),
        }
        for place, picture in material.explained.items()
    ]


def _explained_so(material: Material) -> str:
    """On how many of the images one part decides, in a sentence."""
    several = [*material.explained.values()]
    if not several:
        return ""
    turned = sum(picture.hidden < picture.sure / 2 for picture in several)
    words = (
        "No single part decides: with any of them hidden an answer keeps at least half of its probability."
        if not turned
        else f"In {turned} of {len(several)} a single part decides: hidden, it takes more than half of the answer's"
        " probability with it."
    )
    return (
        f"{words} Where the tint lies beside the thing itself, the model goes by its surroundings: add images of"
        " that class in other surroundings, or crop."
    )
