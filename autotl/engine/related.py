"""Put labelled images of another source among those that a trial fits, by the weights of its strategy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autotl.budget import Allowance
from autotl.engine import stopwatch
from autotl.engine.resolve import resolve
from autotl.engine.task import Rows, Task
from autotl.errors import Declined, EngineError
from autotl.protocols import RelatedCall
from autotl.records import Columns

MOST_RELATED = 4  # images of another source for each that trains, at most,
FEWEST_RELATED = 1000  # or so many
RELATED_SHARE = 0.5  # of a trial's time, at most, for the features that these are weighted by


def with_related(task: Task, rows: Rows, allowance: Allowance) -> tuple[Task, Rows]:
    """Return the task with the images of another source among those that are fitted, by the weights of its strategy.

    The images that judge stay as they are. Where time runs out before all features are there, fewer are learned from.
    """
    session, columns, name = task.session, task.columns, str(task.strategy.related)
    if columns.related is None or columns.related_labels is None or not len(columns.related):
        raise Declined(
            "it learns from labelled images of another source, and there are none; give some with --source"
        )
    number = min(len(columns.related), max(MOST_RELATED * len(rows.fitted), FEWEST_RELATED))
    chosen = np.random.default_rng(task.trial.seed).permutation(len(columns.related))[:number]
    wanted = np.concatenate([rows.fitted, columns.related[chosen]])
    features = session.features(
        task.spec, task.size, wanted, allowance.share(RELATED_SHARE), task.strategy.prepare
    )
    label_of = dict(zip(columns.related.tolist(), columns.related_labels.tolist(), strict=True))
    own = features.rows < len(columns.labels)
    related = features.rows[~own]
    call = RelatedCall(
        features=features.groups[-1][own],
        labels=columns.labels[features.rows[own]],
        related=features.groups[-1][~own],
        related_labels=np.array([label_of[row] for row in related.tolist()], np.int64),
        seed=task.trial.seed,
    )
    with stopwatch.on("head"):
        weights = np.asarray(resolve(name)(call), np.float64)
    if weights.shape != (len(related),) or not np.isfinite(weights).all() or weights.min(initial=0.0) < 0:
        raise EngineError(
            f"the function {name!r} gave weights of the shape {weights.shape}; expected a number of 0 or more for each "
            f"of {len(related)} images; correct it"
        )
    kept = weights > 0
    related, weights = related[kept], weights[kept]
    extended = _extended(columns, related, call.related_labels[kept], weights)
    fitted = np.concatenate([rows.fitted, related])
    return replace(task, columns=extended), replace(rows, fitted=fitted, related=len(related))


def _extended(columns: Columns, rows: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Columns:
    """Return the columns with entries for rows behind those of the data: labels, weights, and groups of their own."""
    count = len(columns.labels)
    behind = max(int(rows.max(initial=count - 1)) + 1 - count, 0)

    def longer(column: np.ndarray, fill: float) -> np.ndarray:
        return np.concatenate([column, np.full(behind, fill, column.dtype)])

    every_label, part, fold = longer(columns.labels, 0), longer(columns.part, -1), longer(columns.fold, -1)
    every_label[rows] = labels
    group = columns.group
    if group is not None:
        group = np.concatenate([group, group.max(initial=0) + 1 + np.arange(behind)])
    weight = None
    if columns.weight is not None or (weights != 1.0).any():
        weight = longer(np.ones(count) if columns.weight is None else columns.weight, 0.0)
        weight[rows] = weights * (1.0 if columns.weight is None else columns.weight.mean())
    others = tuple(replace(target, values=longer(target.values, -1)) for target in columns.others)
    return replace(
        columns, labels=every_label, part=part, fold=fold, group=group, weight=weight, others=others
    )
