"""The one table from `Target.kind` to what follows from it: metrics, head, loss, outputs and report section.

A new kind of target is a new entry and the functions that it names, as ``"module:attr"``, so that nothing heavy is
imported here. What its labels are as arrays, and all that follows from that, is in `autotl.stats.values`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autotl.records import Metric  # the records import numpy, and the command line's help does without

__all__ = ["METRICS", "TARGET_KINDS", "TargetKind"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetKind:
    """The metric, the training loss and the report section of a kind of target."""

    metrics: tuple[Metric, ...]  # that a goal may name
    default_metric: Metric
    imbalanced_metric: Metric  # the default where the classes are imbalanced,
    imbalanced_above: (
        float  # i.e. where the largest class has more than so many times the items of the smallest
    )
    head: str  # module on pooled features: (features, outputs) -> nn.Module
    loss: str  # (outputs, targets) -> loss
    outputs: (
        str  # what a network's outputs mean: (offset, scale, temperature) -> autotl.engine.outputs.Outputs
    )
    calibrate: (
        str  # (`Answered` on selection rows, on test rows or None) -> fields of the result on probabilities
    )
    section: str  # (result, material) -> content of the report's section on the model and its errors

    def metric(self, imbalance: float) -> Metric:
        """Return the metric where none is asked for; `imbalance` is largest class / smallest class."""
        return self.imbalanced_metric if imbalance > self.imbalanced_above else self.default_metric


TARGET_KINDS = {
    "multiclass": TargetKind(
        metrics=("accuracy", "balanced_accuracy", "macro_f1"),
        default_metric="accuracy",
        imbalanced_metric="balanced_accuracy",
        imbalanced_above=10.0,
        head="torch.nn:Linear",
        loss="autotl.engine.losses:cross_entropy",
        outputs="autotl.engine.outputs:ClassOutputs",
        calibrate="autotl.decision.calibrated:probabilities",
        section="autotl.report.sections.model:section",
    ),
    "multilabel": TargetKind(
        metrics=("mean_average_precision", "micro_f1", "macro_f1"),
        default_metric="mean_average_precision",
        imbalanced_metric="mean_average_precision",
        imbalanced_above=float("inf"),
        head="torch.nn:Linear",
        loss="autotl.engine.losses:binary_cross_entropy",
        outputs="autotl.engine.outputs:LabelOutputs",
        calibrate="autotl.decision.calibrated:label_sets",
        section="autotl.report.sections.label_sets:section",
    ),
    "regression": TargetKind(
        metrics=("r2", "mae", "spearman"),
        default_metric="r2",
        imbalanced_metric="r2",
        imbalanced_above=float("inf"),
        head="torch.nn:Linear",
        loss="autotl.engine.losses:smooth_l1",
        outputs="autotl.engine.outputs:NumberOutputs",
        calibrate="autotl.decision.calibrated:numbers",
        section="autotl.report.sections.numbers:section",
    ),
}
METRICS = tuple(dict.fromkeys(metric for kind in TARGET_KINDS.values() for metric in kind.metrics))
