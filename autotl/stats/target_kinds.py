"""The one table from `Target.kind` to what follows from it: metrics, head, loss and report section.

A new kind of target is a new entry and the functions that it names, as ``"module:attr"``, so that nothing heavy is
imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autotl.records import Metric  # the records import numpy, and the command line's help does without

__all__ = ["TARGET_KINDS", "TargetKind"]


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
        section="autotl.report.sections.model:section",
    ),
}
