"""Words for the kinds of target and their metrics."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["METRICS", "TARGETS", "TASKS", "metric_name"]

TARGETS: Mapping[str, str] = {
    "multiclass": "classes",
    "multilabel": "several labels an image",
    "regression": "numbers",
}
TASKS: Mapping[str, str] = {  # of a model card
    "multiclass": "image-classification",
    "multilabel": "image-classification",
    "regression": "image-regression",
}
METRICS: Mapping[str, str] = {  # where the name with spaces is not how it is written
    "r2": "R²",
    "mae": "D² (mean absolute error)",
    "spearman": "Spearman’s ρ",
}


def metric_name(metric: str) -> str:
    """Return the metric in words.

    >>> metric_name("balanced_accuracy"), metric_name("r2")
    ('balanced accuracy', 'R²')
    """
    return METRICS.get(metric, metric.replace("_", " "))
