"""The images, labels and settings of a training, or of a prediction on the data of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autotl.engine.images import Squares
from autotl.engine.outputs import Outputs
from autotl.engine.progress import Reporter
from autotl.records import Metric, Preprocess

BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """The images, labels and settings of a training."""

    squares: Squares
    labels: np.ndarray  # (n,) of all rows
    classes: int
    augment: Callable[..., Tensor]  # of the modality, see `autotl.modality`
    to_input: Callable[..., Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]  # of the kind of target, see `autotl.stats.target_kinds`
    outputs: Outputs  # what those of the network mean
    preprocess: Preprocess
    size: int
    device: torch.device
    precision: str
    seed: int
    batch: int = BATCH
    flip: bool = False
    metric: Metric = "accuracy"  # where it weights classes equally, they are sampled equally
    weight: np.ndarray | None = None  # (n,) of all rows: by which the data want them to be drawn
    unlabelled: np.ndarray | None = None  # rows without a label, for phases that learn from them
    # Rows that make an epoch, None: all. With images of another source beside them, equal epochs cost the same.
    counted: int | None = None
    followed: np.ndarray | None = None  # rows whose score the learning curve shows, first ones first
    reporter: Reporter | None = None  # receives every step
    starts: Mapping[str, Tensor] | None = None  # of a training that is continued, by name; None: as it is now
    teacher: np.ndarray | None = None  # (n, classes) logits of all rows, by the trials that teach this one
    # (n,) classes of all rows by each further label column, which train besides
    others: tuple[np.ndarray, ...] = ()
