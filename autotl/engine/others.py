"""Heads for the label columns besides the main one: linear ones on pooled features. One can take its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from autotl import hardware
from autotl.builtin import heads
from autotl.engine import model
from autotl.engine.inference import Predictor
from autotl.engine.session import Data
from autotl.errors import EngineError
from autotl.protocols import HeadCall
from autotl.records import Columns, Target
from autotl.stats import metrics, ood
from autotl.stats.folds import folds_for

__all__ = ["attach", "described", "fitted", "in_place_of_main"]

HEAD_FOLDS = 5


def in_place_of_main(columns: Columns, name: str) -> Columns:
    """Return the columns with a further label column as the main one; an image without its label takes no part.

    Raises `EngineError` for a name that is no label column.
    """
    target = next((target for target in columns.others if target.name == name), None)
    if target is None:
        names = ", ".join(repr(target.name) for target in columns.others) or "none"
        raise EngineError(f"there is no further label column {name!r}; expected one of: {names}")
    has_label = target.values >= 0
    return replace(
        columns,
        labels=np.where(has_label, target.values, 0),
        classes=target.classes,
        part=np.where(has_label, columns.part, -1).astype(columns.part.dtype),
        others=(),
    )


def described(columns: Columns) -> tuple[model.Column, ...]:
    """Return the further label columns as a model folder describes them."""
    return tuple(model.Column(name=target.name, classes=target.classes) for target in columns.others)


def fitted(data: Data, features: np.ndarray, rows: np.ndarray, seed: int) -> list[nn.Module]:
    """Return a linear head for each further label column, fitted on features (m, d) of the rows that have its label.

    Raises `EngineError` where fewer than two classes of a column are among them.
    """
    return [_fitted(target, data, features, rows, seed) for target in data.columns.others]


def _fitted(target: Target, data: Data, features: np.ndarray, rows: np.ndarray, seed: int) -> nn.Module:
    known = target.values[rows] >= 0
    features, rows = features[known], rows[known]
    labels, group, own = target.values[rows], data.columns.group, data.columns.weight
    if len(np.unique(labels)) < 2:
        raise EngineError(
            f"the images that train have fewer than two classes of the column {target.name!r}; expected images of each; "
            "add labels, or leave the column out"
        )
    call = HeadCall(
        features=features,
        labels=labels,
        classes=len(target.classes),
        folds=folds_for(labels, None if group is None else group[rows], HEAD_FOLDS),
        seed=seed,
        weights=metrics.fitting_weights(data.metric, labels, None if own is None else own[rows]),
    )
    with hardware.one_thread():
        head = heads.linear(call)
    return model.make_head(head, len(target.classes))


def attach(predictor: Predictor, made: list[nn.Module], columns: Columns, folder: Path) -> None:
    """Give a model its heads for the further label columns, in memory and in its folder."""
    network = predictor.network
    network.others = nn.ModuleList(made).to(predictor.device)
    predictor.description = replace(predictor.description, others=described(columns))
    beside = [folder / ood.FILE] if (folder / ood.FILE).is_file() else []
    model.save(network, predictor.description, folder, beside)
