"""Backbones: scores by unfreeze depth, features by layer group, and what the ranking expected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from autotl.records import Depth, DepthProfile
from autotl.records.result import Row
from autotl.report.figures.labels import about, legend_name
from autotl.report.format import NARROW, interval, percent, shown
from autotl.report.plot import ACCENT, SERIES, SOFT, Drawing, share_axis
from autotl.report.wording.depth import depth_word


def depths(rows: Mapping[str, Mapping[Depth, Row]], metric: str) -> str:
    """Draw score against unfreeze depth, a line for each backbone, the winner's first."""
    if not rows:
        return ""
    drawing = Drawing()
    axes = drawing.axes
    every: set[Depth] = {depth for lines in rows.values() for depth in lines}
    order = sorted(every, key=lambda depth: math.inf if depth == "all" else depth)
    shift = np.linspace(-0.08, 0.08, len(rows)) if len(rows) > 1 else np.zeros(1)
    for colour, by, (backbone, lines) in zip(SERIES, shift, rows.items(), strict=False):
        kept = [depth for depth in order if depth in lines]
        x = [order.index(depth) + by for depth in kept]
        y = [lines[depth].score_val or 0.0 for depth in kept]
        axes.plot(x, y, color=colour, label=legend_name(backbone))
        for place, depth in zip(x, kept, strict=True):
            row = lines[depth]
            if row.ci_low is not None and row.ci_high is not None:
                axes.plot([place] * 2, [row.ci_low, row.ci_high], color=colour, alpha=0.35, linewidth=2)
            (dot,) = axes.plot(place, row.score_val or 0.0, "o", color=colour, markersize=7)
            drawing.hover(dot, about(row))
    axes.set_xticks(range(len(order)), [depth_word(depth) for depth in order])
    axes.set_xlim(-0.4, len(order) - 0.6)
    axes.set_xlabel("layer groups fine-tuned")
    axes.set_ylabel(metric)
    share_axis(axes.yaxis)
    drawing.legend("best")
    return drawing.svg("depths", f"{metric} by unfreeze depth, a line for each of {len(rows)} backbones")


def features(profiles: Sequence[DepthProfile], metric: str) -> str:
    """Draw the score of frozen features after each layer group, a line for each backbone."""
    if not profiles:
        return ""
    drawing = Drawing()
    axes = drawing.axes
    for colour, profile in zip(SERIES, profiles, strict=False):
        x = [point.depth for point in profile.points]
        label = f"{legend_name(profile.backbone)}, {profile.size}{NARROW}px"
        axes.plot(x, [point.linear for point in profile.points], color=colour, label=label)
        for point in profile.points:
            sure = ""
            if point.low is not None and point.high is not None:
                ends = [max(point.low, 0.0), point.high]  # R² has no lower end
                axes.plot([point.depth] * 2, ends, color=colour, alpha=0.35, linewidth=2)
                sure = f" [{interval(point.low, point.high)}]"
            (dot,) = axes.plot(point.depth, point.linear, "o", color=colour, markersize=6)
            accuracies = f"linear {percent(point.linear)}{sure}, nearest neighbours {percent(point.knn)}"
            about = f"{shown(profile.backbone)} at {profile.size} px\nafter layer group {point.depth}: {accuracies}"
            drawing.hover(dot, f"{about}\n{point.width} features, {profile.rows} images")
    axes.set_xticks(range(1, max(len(profile.points) for profile in profiles) + 1))
    axes.set_xlabel("layer group")
    axes.set_ylabel(f"{metric} of a linear head")
    share_axis(axes.yaxis)
    drawing.legend("best")
    return drawing.svg("features", f"{metric} of a linear head by depth, {len(profiles)} backbones")


def agreement(pairs: Sequence[tuple[str, float, float]], metric: str) -> str:
    """Draw the best score of each backbone against what the ranking expected: (name, expected, reached)."""
    if len(pairs) < 2:
        return ""
    drawing = Drawing(380, 330)
    axes = drawing.axes
    both = [value for _, *values in pairs for value in values]
    low, high = min(both), max(both)
    axes.plot([low, high], [low, high], color=SOFT, linewidth=1.2, linestyle=(0, (4, 3)))
    for name, expected, reached in pairs:
        (dot,) = axes.plot(expected, reached, "o", color=ACCENT, markersize=7.5)
        drawing.hover(dot, f"{shown(name)}\nexpected {percent(expected)}, reached {percent(reached)}")
    axes.set_xlabel("expected before training")
    axes.set_ylabel(f"best {metric}")
    share_axis(axes.xaxis)
    share_axis(axes.yaxis)
    axes.margins(0.08)
    return drawing.svg("agreement", f"Expected and reached {metric} of {len(pairs)} backbones")
