"""Calibrate a model's answers by kind of target: temperature, intervals of numbers, thresholds of labels. Pure.

Each is made from predictions on the selection rows and checked on the test rows, which it has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autotl.records.result import Recommendation
from autotl.stats import calibration, conformal, thresholds

__all__ = ["Table", "described", "label_sets", "numbers", "probabilities"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A model's table (n, outputs) for images with labels; rows of one group are correlated."""

    table: np.ndarray
    labels: np.ndarray
    group: np.ndarray | None = None


def probabilities(selection: Table, tested: Table | None) -> dict[str, Any]:
    """Return the temperature of the probabilities of classes that exclude each other."""
    found = calibration.calibrate(selection.table, selection.labels, selection.group)
    if tested is not None:
        found = replace(found, test=calibration.errors(tested.table, tested.labels, found.temperature))
    return {"calibration": found}


def numbers(selection: Table, tested: Table | None) -> dict[str, Any]:
    """Return the prediction intervals of numbers."""
    found = conformal.calibrate(selection.table[:, 0], selection.labels, selection.group)
    if tested is not None:
        found = conformal.on_new(found, tested.table[:, 0], tested.labels)
    return {"conformal": found}


def label_sets(selection: Table, tested: Table | None) -> dict[str, Any]:
    """Return the probability of each label from which it is predicted."""
    found = thresholds.calibrate(selection.table, selection.labels, selection.group)
    if tested is not None:
        found = thresholds.on_new(found, tested.table, tested.labels)
    return {"thresholds": found}


def described(state: Recommendation) -> dict[str, Any]:
    """Return what the description of a model holds of it."""
    values: dict[str, Any] = {}
    if state.calibration is not None:
        values["temperature"] = state.calibration.temperature
    if state.conformal is not None:
        values["half_width"] = state.conformal.half_width
    if state.thresholds is not None:
        values["thresholds"] = list(state.thresholds.thresholds)
    return values
