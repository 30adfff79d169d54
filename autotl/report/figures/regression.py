"""Predictions of numbers against their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autotl.records.evaluation import ResidualBin
from autotl.report.format import shown
from autotl.report.plot import ACCENT, SOFT, WARN, Drawing

DOTS = 1500  # images that are drawn one by one, at most


def predicted(labels: np.ndarray, answers: np.ndarray, unit: str, width: float | None) -> str:
    """Draw predictions (n,) against labels (n,); the diagonal is right, the band is the prediction interval."""
    drawing = Drawing(420, 380)
    axes = drawing.axes
    low, high = (float(of(np.concatenate([labels, answers]))) for of in (np.min, np.max))
    ends = np.array([low, high])
    if width is not None:
        axes.fill_between(ends, ends - width, ends + width, color=ACCENT, alpha=0.12, linewidth=0)
    axes.plot(ends, ends, color=SOFT, linewidth=1.2, linestyle=(0, (4, 3)))
    kept = _drawn(len(labels))
    axes.plot(labels[kept], answers[kept], "o", color=ACCENT, markersize=4, alpha=0.5, markeredgewidth=0)
    axes.set_xlabel(f"label: {shown(unit)}")
    axes.set_ylabel(f"prediction: {shown(unit)}")
    axes.margins(0.04)
    return drawing.svg("predicted", f"Predictions against labels of {len(labels)} images")


def residuals(
    labels: np.ndarray, answers: np.ndarray, bins: Sequence[ResidualBin], unit: str, width: float | None
) -> str:
    """Draw label minus prediction (n,) over the prediction, with the mean absolute error of each bin of predictions."""
    drawing = Drawing(420, 380)
    axes = drawing.axes
    kept = _drawn(len(labels))
    axes.axhline(0, color=SOFT, linewidth=1.2, linestyle=(0, (4, 3)))
    for end in () if width is None else (-width, width):
        axes.axhline(end, color=ACCENT, linewidth=1, alpha=0.5)
    axes.plot(
        answers[kept], (labels - answers)[kept], "o", color=ACCENT, markersize=4, alpha=0.5, markeredgewidth=0
    )
    for each in bins:
        for end in (-each.mae, each.mae):
            (line,) = axes.plot([each.low, each.high], [end, end], color=WARN, linewidth=2.4)
            about = f"{each.images} images from {each.low:.4g} to {each.high:.4g}"
            drawing.hover(line, f"{about}: mean absolute error {each.mae:.4g}")
    axes.set_xlabel(f"prediction: {shown(unit)}")
    axes.set_ylabel("label − prediction")
    axes.margins(0.04)
    return drawing.svg("residuals", f"Residuals of {len(labels)} images over their predictions")


def _drawn(images: int) -> np.ndarray:
    """Return the places of the images that are drawn: at equal distances where there are too many."""
    return np.unique(np.linspace(0, images - 1, min(images, DOTS)).round().astype(int))
