"""Sentences of the section on depths: what frozen features are worth after each layer group."""

from __future__ import annotations

from autotl.records import Depth, DepthPoint, DepthProfile
from autotl.report.format import interval, percent


def depth_word(depth: Depth) -> str:
    """Return ``frozen``, a number or ``all``."""
    return "frozen" if depth == 0 else str(depth)


def features_by_depth(profile: DepthProfile, *, enough: int, deepest_is_best: bool, tuned: bool) -> str:
    """Return at which depth the frozen features are most accurate, and what follows from it.

    `enough` is the shallowest depth that is as accurate as the last one. Where layers are `tuned`, frozen features do
    not show which of them can be left out.
    """
    images = f"out-of-fold on {profile.rows:,} train images, not on those of the leaderboard"
    truncated = "" if tuned else " A truncated backbone may do."
    last_needed = "." if tuned else "; truncating the backbone does not help."
    last, first = profile.points[-1], profile.points[0]
    number = len(profile.points)
    if not deepest_is_best:
        best = max(profile.points, key=lambda point: point.linear)
        return (
            f"Frozen features of {profile.backbone}: layer group {best.depth} of {number} is the best,"
            f" {_with_interval(best)} with a linear head, compared with {_with_interval(last)} at the last ({images})."
            " The last layer groups are specific to the pretraining task, which favours fine-tuning them."
        )
    if enough < last.depth:
        point = profile.points[enough - 1]
        sure = "" if point.linear >= last.linear else " within two standard errors"
        return (
            f"Frozen features of {profile.backbone}: a linear head on layer group {enough} of {number} is at least as"
            f" accurate as on the last{sure}, {_with_interval(point)} and {_with_interval(last)} ({images}).{truncated}"
        )
    return (
        f"Frozen features of {profile.backbone}: the last of {number} depths is the best, {_with_interval(last)}"
        f" with a linear head, compared with {_with_interval(first)} at the first ({images}){last_needed}"
    )


def _with_interval(point: DepthPoint) -> str:
    """Return the accuracy of a linear head with its interval, where it was measured."""
    if point.low is None or point.high is None:
        return percent(point.linear)
    return f"{percent(point.linear)} (95% CI {interval(point.low, point.high)})"


def features_tell_nothing(profile: DepthProfile, largest: float, target: str = "multiclass") -> str:
    """Return that no depth is better than a constant answer, which scores `largest`: the share of its class."""
    if target != "multiclass":
        return (
            f"Frozen features of {profile.backbone}: after no layer group is a linear head better than always giving the"
            f" same answer ({percent(largest)}; {profile.rows:,} images), so its score does not show which depth is"
            " enough."
        )
    return (
        f"Frozen features of {profile.backbone}: after no layer group is a linear head significantly more accurate"
        f" than always answering the largest class ({percent(largest)}; {profile.rows:,} images), so accuracy does"
        " not show which depth is enough."
    )
