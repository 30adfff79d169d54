"""The record of a fitted head."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

HeadKind = Literal["linear", "knn", "arrays"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """A head that was fitted on pooled features.

    A ``linear`` head holds `weight` (classes, d) float32 and `bias` (classes,) float32. A ``knn`` head holds
    `features` (n, d) float32 with rows of length 1, their `labels` (n,) int64 (sets of labels: (n, classes) float32;
    numbers: (n,) float32, standardised), `centre` (d,) float32, which is subtracted from an image's features first, and
    `count` () int64, the number of neighbours that vote. A head of ``arrays`` holds any arrays of numbers, which the
    function that `Strategy.predict` names maps features by.
    """

    kind: HeadKind  # of module that is made of the arrays
    arrays: dict[str, np.ndarray] = field(default_factory=dict)  # by the names above
    method: str = ""  # chosen by cross-validation, such as ridge or logistic; shown in the report
    setting: float | None = None  # of the method: its penalty, C, or number of neighbours
