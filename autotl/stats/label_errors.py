"""The errors of predicted labels, where an image may have several: by label and together. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autotl.records import Metric
from autotl.records.evaluation import LabelEvaluation
from autotl.stats import merits, metrics, thresholds

__all__ = ["by_label", "measured"]


def measured(
    metric: Metric,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    group: np.ndarray | None = None,
    *,
    limits: Sequence[float] = (),
) -> dict[str, Any]:
    """Return what a `LabelSetEvaluation` records of probabilities (n, classes) for images with `labels` (n, classes).

    `limits` (classes,) are the probabilities from which a label is predicted; one half without them.
    """
    from_here = _limits(limits, len(classes))
    decided = probabilities >= from_here
    micro, macro = thresholds.f1_scores(labels, decided)
    present = labels.any(0)
    return {
        "images": len(labels),
        "metric": metric,
        "score": metrics.interval(metric, labels, probabilities, len(classes), group),
        "mean_average_precision": metrics.interval(
            "mean_average_precision", labels, probabilities, len(classes), group
        ),
        "constant": _rounded(labels[:, present].mean()) if present.any() else 0.0,
        "micro_f1": micro,
        "macro_f1": macro,
        "exact": _rounded((decided == (labels > 0)).all(1).mean()),
        "labels": by_label(labels, probabilities, classes, limits),
    }


def by_label(
    labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], limits: Sequence[float] = ()
) -> tuple[LabelEvaluation, ...]:
    """Return the figures of each label, the lowest average precision first."""
    precision = merits.average_precisions(labels, probabilities)
    from_here = _limits(limits, len(classes))
    lines = []
    for place, name in enumerate(classes):
        own, claimed = labels[:, place] > 0, probabilities[:, place] >= from_here[place]
        hits, support, predicted = int((own & claimed).sum()), int(own.sum()), int(claimed.sum())
        lines.append(
            LabelEvaluation(
                name=name,
                images=support,
                average_precision=_rounded(precision[place]) if support else None,
                threshold=_rounded(from_here[place]),
                precision=_rounded(hits / predicted) if predicted else None,
                recall=_rounded(hits / support) if support else None,
                f1=_rounded(2 * hits / (support + predicted)) if support else None,
            )
        )
    return tuple(sorted(lines, key=lambda line: (line.average_precision is None, line.average_precision)))


def _limits(limits: Sequence[float], classes: int) -> np.ndarray:
    return np.array(limits if len(limits) == classes else [thresholds.USUAL] * classes)


def _rounded(value: Any) -> float:
    return round(float(value), 6)
