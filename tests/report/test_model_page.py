"""What the section on the model says of its errors, against the figures elsewhere on the page."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from example_run import full_folder

from autotl.report import predictions
from autotl.report.format import printable
from autotl.report.material import gather
from autotl.report.sections import model
from autotl.run_folder import result_file
from autotl.stats import metrics


def answers(labels: list[int], predicted: list[int], group: list[int] | None = None) -> predictions.Predictions:
    """Return predictions of `predicted`, each with the same confidence."""
    number = max(*labels, *predicted) + 1
    rows = np.arange(len(labels))
    return predictions.Predictions(
        rows=rows,
        names=rows.astype(object),
        labels=np.array(labels),
        proba=(0.1 + 0.8 * np.eye(number)[predicted]).astype(np.float32),
        classes=tuple("abcdefghij"[:number]),
        model="it",
        images="these",
        group=None if group is None else np.array(group),
    )


def group_manifest(folder: Path, images: int) -> None:
    """Put every `images` lines of a manifest into one group."""
    path = folder / "manifest.csv"
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, lines[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(line | {"group": str(number // images)} for number, line in enumerate(lines))


def test_the_accuracy_of_grouped_images_has_the_interval_of_the_headline(tmp_path: Path) -> None:
    """Images of one part are alike: with each counted for itself the interval was half as wide as the headline's."""
    folder = full_folder(tmp_path / "run", pictures=False)
    group_manifest(folder, 30)
    state = result_file.read(folder)
    shown = predictions.winner_predictions(state, folder)
    assert shown is not None and shown.group is not None
    headline = metrics.interval("accuracy", shown.labels, shown.predicted, 5, shown.rows // 30)
    alone = metrics.interval("accuracy", shown.labels, shown.predicted, 5)
    assert predictions.accuracy(shown) == headline != alone
    low, high = (f"{100 * end:.1f}" for end in (headline.low, headline.high))
    assert f"(95% CI {low}–{high})" in printable(model.section(state, gather(state, folder, late=True))["lede"])


def test_recall_and_calibration_have_intervals_of_whole_groups() -> None:
    """Of two groups of 20 images one is right and one wrong: two observations, not forty."""
    labels, predicted, group = [0] * 40 + [1] * 40, [0] * 20 + [1] * 60, [n // 20 for n in range(80)]
    (lowest, _), (without, _) = (
        predictions.by_class(answers(labels, predicted, each)) for each in (group, None)
    )
    assert lowest["recall"].value == without["recall"].value == 0.5
    assert lowest["recall"].high - lowest["recall"].low > 0.8 > without["recall"].high - without["recall"].low
    bins, plain = (predictions.reliability(answers(labels, predicted, each)).bins for each in (group, None))
    assert bins[0][1].low < plain[0][1].low
