"""Simulated runs without what takes seconds and is not tested: drawings, a large forest, the disk's own pace."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from autotl.decision import controls
from autotl.report import plot

__all__ = ["leave_out_drawings", "make_cheap", "quicken"]

TREES = 10


def quicken(patch: pytest.MonkeyPatch) -> None:
    """Let files reach the disk when they do, and the control's forest have few trees."""
    patch.setattr(os, "fsync", lambda number: None)
    patch.setattr(controls, "TREES", TREES)


def leave_out_drawings(patch: pytest.MonkeyPatch) -> None:
    """Leave the charts of reports empty; tests/report draws them."""
    patch.setattr(plot.Drawing, "svg", lambda drawing, name, label: "")


def make_cheap(patch: pytest.MonkeyPatch) -> None:
    """Do without all of it, and without controls that learn: for hundreds of runs whose files alone are looked at."""
    quicken(patch)
    leave_out_drawings(patch)
    patch.setattr(controls, "BY_HAND", tuple(replace(by, fit=_equal) for by in controls.BY_HAND))


def _equal(features: np.ndarray, labels: np.ndarray, judged: np.ndarray, how: Any) -> np.ndarray:
    return np.full((len(judged), how.classes), 1 / how.classes, np.float32)
