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
    """A search policy. A run calls `ask` and `tell` in turn, from one thread, until `ask` returns None."""

    def ask(self, seconds: float) -> Trial | None:
        """Return the next probe; None ends the search.

        The probe and the final fit after it should fit into `seconds`. The trial's `id` is an identifier that no
        earlier trial has, `fit_on` is ("train",) and `evaluate_on` ("select",), as by default. Backbone and input
        size stand in the ranking. `epochs` is 0 for a strategy without phases.
        """
        ...

    def tell(self, result: TrialResult) -> None:
        """Take the result of a trial into account: one of this planner's, or of an earlier run that is continued."""
        ...


class PlannerFacts(Protocol):
    """What is known of the data and of this run before its search."""

    @property
    def rows(self) -> int:
        """Images that a probe is fitted on."""
        ...

    @property
    def rows_final(self) -> int:
        """Images that the final fit is fitted on."""
        ...

    @property
    def rows_select(self) -> int:
        """Images that a probe is scored on."""
        ...

    @property
    def rows_test(self) -> int:
        """Images that the final fit is tested on; 0 without a test part."""
        ...

    @property
    def folds(self) -> int:
        """Folds of the out-of-fold selection; 0 where the select part is one set of images."""
        ...

    @property
    def seed(self) -> int:
        """Seed of the run: a planner that draws random numbers seeds them with it."""
        ...


class CostModel(Protocol):
    """Forecasts of trainings in seconds on this machine. They improve with every result."""

    def probe(self, candidate: Candidate, epochs: float) -> float:
        """Return the seconds that a probe of `epochs` passes is expected to take; for strategies with phases."""
        ...

    def final(self, candidate: Candidate, epochs: float) -> float:
        """Return the seconds to reserve for the final fit of a recipe; `epochs` is 0 for a closed-form head."""
        ...
