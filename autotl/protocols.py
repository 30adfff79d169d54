"""What the stages ask of what lies beneath them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

import numpy as np

from autotl.budget import Allowance
from autotl.records import (
    Answers,
    BackboneSpec,
    Candidate,
    Embedding,
    Explained,
    Machine,
    Measurement,
    Metric,
    Strategy,
    Trial,
    TrialResult,
)

Progress = Callable[[dict[str, float | str]], None]


class Engine(Protocol):
    """Everything that needs torch. Methods raise `EngineError`; a training that fails is a `TrialResult`."""

    slots: int  # trials that can run at once

    @property
    def spent(self) -> dict[str, float]:
        """Seconds of its work so far by kind: decode, forward, backward, and whatever else it names."""
        ...

    def open(
        self,
        pixels: str | Path,
        *,
        labels: np.ndarray,
        classes: Sequence[str],
        part: np.ndarray,
        fold: np.ndarray,
        order: np.ndarray,
        folds: int = 0,
        metric: Metric = "accuracy",
        groups: np.ndarray | None = None,
        digests: Sequence[str] | None = None,
    ) -> None:
        """The data of the run: a folder of decoded images, and columns with an entry a row as in `Split`."""
        ...

    def started(self, allowance: Allowance) -> Machine:
        """Where the work will be done; waits until it can begin."""
        ...

    def embed(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Embedding:
        """Pooled features at every layer group for some rows of the data, cached on disk.

        Raises `WeightsUnavailable` or `EngineError` when the backbone cannot be built.
        """
        ...

    def measure(
        self, candidate: Candidate, backbone: BackboneSpec, strategy: Strategy, allowance: Allowance
    ) -> Measurement:
        """Seconds and bytes of three timed batches."""
        ...

    def submit(
        self,
        trial: Trial,
        backbone: BackboneSpec,
        strategy: Strategy,
        allowance: Allowance,
        on_progress: Progress | None = None,
    ) -> Future[TrialResult]:
        """A probe or the final fit. The future never raises for what a training did."""
        ...

    def predict(
        self, model: str, files: Sequence[str], allowance: Allowance, features: bool = False
    ) -> Answers:
        """What a model folder says of image files."""
        ...

    def familiarise(self, model: str, fitted: np.ndarray, held_out: np.ndarray, allowance: Allowance) -> bool:
        """Teaches a model folder which images are far from its training images; False when there was no time.

        `fitted` are rows of the data it was trained on, `held_out` rows it was not.
        """
        ...

    def explain(self, model: str, rows: np.ndarray, answers: np.ndarray, allowance: Allowance) -> Explained:
        """What a model folder's `answers` (class indices) to some rows of the data rest on; as many as time grants."""
        ...

    def close(self) -> None:
        """Ends the worker; safe to call twice."""
        ...


class Planner(Protocol):
    """The policy of a search: it is asked for the next trial and told what came of it."""

    def ask(self, seconds: float) -> Trial | None:
        """The next probe, to be done within `seconds`; None when nothing is worth that time."""
        ...

    def tell(self, result: TrialResult) -> None:
        """What came of a trial."""
        ...
