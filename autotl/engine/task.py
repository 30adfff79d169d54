"""What a trial works with, and what comes of it: the task, the rows of one of its fits, and the outcome of that."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from torch import nn

from autotl.engine import train
from autotl.engine.backbone import Backbone
from autotl.engine.model import Model
from autotl.engine.outputs import Outputs, outputs_of
from autotl.engine.progress import Reporter
from autotl.engine.resolve import resolve
from autotl.engine.session import Session
from autotl.engine.setting import Setting
from autotl.engine.unsampled import Streamed
from autotl.records import BackboneSpec, Columns, Fact, Status, Strategy, Trial
from autotl.stats.target_kinds import TARGET_KINDS

NOTHING = np.zeros((0, 1), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """A trial with all it works with; `columns` are the session's, with the label column that it learns first."""

    session: Session
    trial: Trial
    spec: BackboneSpec
    strategy: Strategy
    columns: Columns
    reporter: Reporter | None
    streamed: Streamed | None = None  # with the images outside the sample behind the decoded ones

    @property
    def outputs(self) -> Outputs:
        """Return what the outputs of its network mean."""
        return outputs_of(self.columns.target, self.session.data.scaling)

    @property
    def size(self) -> int:
        """Return the side of the images in pixels."""
        return self.trial.candidate.input_size

    def network(self, backbone: Backbone) -> Model:
        """Return a backbone with new heads, whose outputs are all about 0: the same probability for every class.

        There is one for each further label column where the strategy trains them.
        """
        columns, width = self.columns, backbone.feature_dim
        model = Model(backbone, _new(resolve(TARGET_KINDS[columns.target].head)(width, len(columns.classes))))
        if self.strategy.every_target:
            model.others.extend(_new(nn.Linear(width, len(target.classes))) for target in columns.others)
        return model.to(self.session.device)

    def setting(self, precision: str) -> Setting:
        """Return what a training or prediction of this trial works with."""
        columns, setting = self.columns, self.session.setting(self.spec, self.size, precision)
        return replace(
            setting,
            squares=setting.squares if self.streamed is None else self.streamed,
            labels=columns.labels,
            classes=len(columns.classes),
            weight=columns.weight,
            others=tuple(target.values for target in columns.others) if self.strategy.every_target else (),
            reporter=self.reporter,
        )


def _new(head: nn.Linear) -> nn.Linear:
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
    return head


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows to fit on, in stratified order, and rows to predict; of one fold, or of all."""

    fitted: np.ndarray
    judged: np.ndarray
    related: int = 0  # of the fitted ones: images of another source
    unsampled: int = 0  # of the fitted ones, at their end: images outside the sample

    @property
    def own(self) -> int:
        """Return the number of fitted rows that are the data's own."""
        return len(self.fitted) - self.related

    @property
    def decoded(self) -> np.ndarray:
        """Return the fitted rows that are decoded, and whose features may be stored."""
        return self.fitted[: len(self.fitted) - self.unsampled]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """A fit on some rows."""

    model: Model
    # (m, outputs) float32 of the judged rows, as many as there was time for
    predicted: np.ndarray = field(default_factory=lambda: NOTHING)
    latency: float = 0.0  # seconds that predicting one image takes
    unsampled: int = 0  # images outside the sample that were fitted on
    course: train.Course = field(default_factory=train.Course)
    status: Status = "finished"
    notes: list[Fact] = field(default_factory=list)
    error: str | None = None
    precision: str = "fp32"  # of the training
    predicts_in: str = "fp32"  # a network predicts in one precision, whatever trained its layers
