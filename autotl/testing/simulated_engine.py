"""An engine without torch that takes its results from a table, on a clock of its own.

Unit tests, replay and benchmarks rank, search and decide with it: `Cell`s (recorded or made up) hold the score
and the cost of a training, predictions are drawn so that they have that score, and the clock moves by the cost.

With several slots, what was begun ends at a time of its own, and the clock moves to the next end when a caller waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from autotl.budget import Allowance
from autotl.errors import EngineError, SlotLost
from autotl.protocols import OnProgress, Slot
from autotl.records import (
    PARTS,
    Answers,
    BackboneSpec,
    Candidate,
    Columns,
    Cost,
    CurvePoint,
    Depth,
    Embedding,
    Explained,
    Machine,
    Measurement,
    Metric,
    Progress,
    Strategy,
    Trial,
    TrialResult,
)
from autotl.stats import values


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The costs and scores of a backbone at an input size: seconds an image, and accuracy by recipe."""

    seconds: float = 0.005  # forward, one image
    linear: float = 0.7  # accuracy of a linear probe
    tuned: Mapping[Depth, float] = field(
        default_factory=lambda: {"all": 0.8, 2: 0.77, 1: 0.74}
    )  # trained long
    half_way: float = 5.0  # epochs to about two thirds of the gain of fine-tuning
    train_factor: float = 3.2  # forward and backward over forward
    scratch: float = 0.5  # accuracy without pretraining, in the time a control has
    fails: str = ""  # an error instead of any result


@dataclass(slots=True)
class TableClock:
    """A clock that stands until `now` is set."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


Result = TypeVar("Result")


class Promised(Future[Result]):
    """The future of work that ends at a time on the table's clock; waiting for it moves the clock."""

    def __init__(self, engine: TableEngine, end: float) -> None:
        super().__init__()
        self.engine, self.end = engine, end

    def result(self, timeout: float | None = None) -> Result:
        """Move the clock until this work has ended, and return its result."""
        while not self.done():
            self.engine.settle_next()
        return super().result(timeout)


class TableSlot:
    """A slot of a `TableEngine`: what it is asked for is done in turn, `factor` times as long as the table says."""

    def __init__(self, engine: TableEngine, factor: float, kind: str) -> None:
        self.engine, self.factor, self.kind = engine, factor, kind
        self.free_at = 0.0
        self.lost = False

    def embedding(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Future[Embedding]:
        """See `Slot.embedding`."""
        return self._promise(lambda: self.engine.embed_now(backbone, input_size, rows, allowance))

    def measurement(
        self, candidate: Candidate, backbone: BackboneSpec, allowance: Allowance
    ) -> Future[Measurement]:
        """See `Slot.measurement`."""
        return self._promise(lambda: self.engine.measure_now(candidate, backbone, allowance))

    def submit(
        self,
        trial: Trial,
        backbone: BackboneSpec,
        strategy: Strategy,
        allowance: Allowance,
        on_progress: OnProgress | None = None,
    ) -> Future[TrialResult]:
        """See `Slot.submit`; `on_progress` is not called: its times lie ahead of the clock."""
        self.engine.trials.append(trial)
        return self._promise(lambda: self.engine.attempt(trial, backbone, allowance, None))

    def lose(self) -> None:
        """Lose the slot now, with what it works on."""
        self.lost = True
        for promised in [one for one in self.engine.promised if one[1] is self]:
            self.engine.promised.remove(promised)
            promised[0].set_exception(SlotLost("the machine of this slot is gone"))

    def _promise(self, work: Callable[[], Result]) -> Future[Result]:
        """Do the work on the slot's own time; the future is settled when the clock gets there."""
        clock = self.engine.clock
        now = clock.now
        clock.now = max(now, self.free_at)
        self.engine.factor = self.factor
        try:
            value: Result | EngineError = work()
        except EngineError as error:
            value = error
        promised: Promised[Any] = Promised(self.engine, clock.now)
        self.free_at, clock.now, self.engine.factor = clock.now, now, 1.0
        self.engine.promised.append((promised, self, value))
        return promised


class TableEngine:
    """`Engine` over a table; `connect` in place of `autotl.engine.client.connect`.

    `slots` are the factors of several slots on the seconds of the table; those with one factor are of one kind.
    """

    kind = ""

    def __init__(
        self,
        folder: str | Path,
        table: Mapping[tuple[str, int], Cell],
        clock: TableClock,
        seed: int = 0,
        slots: Sequence[float] = (1.0,),
    ) -> None:
        self.factor = 1.0  # of the slot that works
        self.promised: list[tuple[Promised[Any], TableSlot, Any]] = []
        self._slots = [TableSlot(self, factor, f"x{factor:g}") for factor in slots]
        self.folder = Path(folder).absolute()
        self.table = table
        self.clock = clock
        self.seed = seed
        self.trials: list[Trial] = []
        self.embedded: dict[tuple[str, int], set[int]] = {}

    @property
    def slots(self) -> Sequence[Slot]:
        """See `Engine.slots`."""
        return [self] if len(self._slots) == 1 else [slot for slot in self._slots if not slot.lost]

    def wait(self, futures: Collection[Future[Any]]) -> set[Future[Any]]:
        """Move the clock until one of the futures is settled."""
        while not (settled := {future for future in futures if future.done()}):
            self.settle_next()
        return settled

    def settle_next(self) -> None:
        """Move the clock to the end of what ends next, and settle it."""
        place = min(range(len(self.promised)), key=lambda place: self.promised[place][0].end)
        promised, _, value = self.promised.pop(place)
        self.clock.now = max(self.clock.now, promised.end)
        if isinstance(value, EngineError):
            promised.set_exception(value)
        else:
            promised.set_result(value)

    def open(
        self, pixels: str | Path, columns: Columns, *, metric: Metric, digests: Sequence[str] | None
    ) -> None:
        """Take the columns of the data; nothing is read from `pixels`."""
        self.columns = columns
        self.labels, self.classes = columns.labels, columns.classes
        self.target = values.of(columns.labels)
        generator = np.random.default_rng(self.seed)
        if columns.unlabelled is not None and len(columns.unlabelled):
            behind = (
                int(columns.unlabelled.max()) + 1 - len(self.labels)
            )  # images whose classes are not known
            drawn = np.random.default_rng(self.seed + 1).integers(len(self.classes), size=behind)
            self.labels = np.concatenate([self.labels, drawn])
        self.difficulty = generator.random(
            len(self.labels)
        )  # shared by all candidates: their errors correlate
        self._error = generator.normal(size=(len(self.labels), 1))  # of numbers and sets of labels

    def started(self, allowance: Allowance) -> Machine:
        """Return a machine that needed three seconds to start."""
        self.clock.now += 3.0
        return Machine(device="table", precision="fp32")

    def embed(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Embedding:
        """Return what `embed_now` returns, of the first slot where there are several."""
        if len(self._slots) == 1:
            return self.embed_now(backbone, input_size, rows, allowance)
        return self.slots[0].embedding(backbone, input_size, rows, allowance).result()

    def embedding(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Future[Embedding]:
        """See `Slot.embedding`; it is done before this method returns."""
        return _done(lambda: self.embed(backbone, input_size, rows, allowance))

    def embed_now(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Embedding:
        """Write features whose classes are as separable as the cell's linear probe needs."""
        cell = self._cell(backbone.name, input_size)
        seen = self.embedded.setdefault((backbone.name, input_size), set())
        fresh = [row for row in rows.tolist() if row not in seen]
        able = int(min(len(fresh), allowance.left / cell.seconds))
        self.clock.now += able * cell.seconds
        seen.update(fresh[:able])
        have = np.array([row for row in rows.tolist() if row in seen], np.int64)
        features = self._table(cell.linear, have, f"{backbone.name}@{input_size}")
        if isinstance(self.target, values.Numbers):
            features = (features - self.labels.mean()) / self.labels.std()
        features += 0.1 * np.random.default_rng(len(have)).normal(size=features.shape).astype(np.float32)
        path = self.folder / f"table-{len(self.embedded)}.npz"
        np.savez(path, rows=have, g0=features)
        return Embedding(
            backbone=backbone.name,
            input_size=input_size,
            path=str(path),
            groups=1,
            rows=len(have),
            seconds_per_image=cell.seconds,
        )

    def measure(self, candidate: Candidate, backbone: BackboneSpec, allowance: Allowance) -> Measurement:
        """Return what `measure_now` returns, of the first slot where there are several."""
        if len(self._slots) == 1:
            return self.measure_now(candidate, backbone, allowance)
        return self.slots[0].measurement(candidate, backbone, allowance).result()

    def measurement(
        self, candidate: Candidate, backbone: BackboneSpec, allowance: Allowance
    ) -> Future[Measurement]:
        """See `Slot.measurement`; it is done before this method returns."""
        return _done(lambda: self.measure(candidate, backbone, allowance))

    def measure_now(self, candidate: Candidate, backbone: BackboneSpec, allowance: Allowance) -> Measurement:
        """Return the cell's own seconds."""
        cell = self._cell(candidate.backbone, candidate.input_size)
        return Measurement(
            candidate=candidate.id,
            seconds_per_image=cell.seconds * cell.train_factor,
            latency=cell.seconds,
            bytes=4 * (backbone.parameters or 0),
            precision="fp32",
        )

    def submit(
        self,
        trial: Trial,
        backbone: BackboneSpec,
        strategy: Strategy,
        allowance: Allowance,
        on_progress: OnProgress | None = None,
    ) -> Future[TrialResult]:
        """Move the clock by the cost of the trial, at most by the allowance, and take the result from the cell.

        `on_progress` is called twice, at half of the training and at its end, before this method returns. Where there
        are several slots, it is submitted to the first.
        """
        if len(self._slots) > 1:
            return self.slots[0].submit(trial, backbone, strategy, allowance, on_progress)
        self.trials.append(trial)
        return _done(lambda: self.attempt(trial, backbone, allowance, on_progress))

    def attempt(
        self, trial: Trial, backbone: BackboneSpec, allowance: Allowance, on_progress: OnProgress | None
    ) -> TrialResult:
        """Return the result of a trial, or that it failed."""
        try:
            return self.answer(trial, backbone, allowance, on_progress)
        except EngineError as error:
            return TrialResult(trial=trial, status="failed", error=str(error))

    def answer(
        self, trial: Trial, backbone: BackboneSpec, allowance: Allowance, on_progress: OnProgress | None
    ) -> TrialResult:
        """Return the result of a trial, and move the clock by its cost.

        A test overrides this method to make a trial fail (raise `EngineError`) or to change its result.
        """
        candidate = trial.candidate
        cell = self._cell(candidate.backbone, candidate.input_size)
        part, folds = self.columns.part, self.columns.folds
        fitted = np.flatnonzero(np.isin(part, [PARTS.index(p) for p in trial.fit_on]))
        judged_parts = (
            [0] if folds and trial.evaluate_on == ("select",) else [PARTS.index(p) for p in trial.evaluate_on]
        )
        judged = np.flatnonzero(np.isin(part, judged_parts))
        epoch = (len(fitted) + trial.unsampled) * cell.seconds * cell.train_factor * max(folds, 1)
        fixed = len(judged) * cell.seconds + 0.2
        outside = trial.unsampled
        if not trial.epochs:  # a head takes as many features as there is time for
            outside = int(min(outside, max(0.0, allowance.left - fixed) / cell.seconds))
            fixed += outside * cell.seconds
        able = max(0.0, (allowance.left - fixed) / epoch)
        added = min(trial.epochs - trial.resumed_epochs, able)
        epochs = trial.resumed_epochs + added
        start, seconds = self.clock.now, min(fixed + added * epoch, allowance.left)
        for share in (0.5, 1.0):
            self.clock.now = start + share * seconds
            if on_progress is not None and trial.epochs:
                on_progress(
                    Progress(
                        trial=trial.id,
                        epoch=share * epochs,
                        epochs=trial.epochs,
                        seconds=share * seconds,
                    )
                )
        accuracy = cell.linear
        if trial.control in ("scratch", "scratch_half"):
            accuracy = cell.scratch
        elif trial.epochs:
            top = cell.tuned.get(candidate.unfreeze, cell.linear)
            start = self._untrained if "lp" not in candidate.strategy else cell.linear
            accuracy = top - (top - start) * math.exp(-epochs / cell.half_way)
        status = "finished" if epochs >= trial.epochs else "stopped"
        probabilities = self._table(accuracy, judged, candidate.id, trial.target)
        predictions, model = f"trials/{trial.id}/predictions.npz", f"trials/{trial.id}/model"
        (self.folder / model).mkdir(parents=True, exist_ok=True)
        (self.folder / model / "model.json").write_text(candidate.id)
        np.savez(self.folder / predictions, rows=judged, proba=probabilities, fold=np.full(len(judged), -1))
        return TrialResult(
            trial=trial,
            status=status,  # type: ignore[arg-type]
            predictions=predictions,
            model=model,
            head="knn" if candidate.strategy == "knn" else "linear",
            curve=(CurvePoint(epoch=epochs, seconds=added * epoch, loss=1 - accuracy, score=accuracy),),
            cost=Cost(forward=fixed, backward=added * epoch),
            epochs_done=epochs,
            unsampled=outside,
            latency=cell.seconds,
            parameters=backbone.parameters,
            macs=backbone.macs,
        )

    def predict(
        self, model: str, files: Sequence[str], allowance: Allowance, features: bool = False
    ) -> Answers:
        """Return the answer of a model that knows nothing for every file: equal probabilities, or the mean."""
        share = 1 / len(self.classes)
        if isinstance(self.target, values.Numbers):
            share = float(self.target.constant(self.labels, len(self.classes))[0])
        shares = np.full((len(files), len(self.classes)), share, np.float32)
        return Answers(probabilities=shares, errors=[None] * len(files))

    def fit_ood(
        self,
        model: str,
        fitted: np.ndarray,
        held_out: np.ndarray,
        allowance: Allowance,
        frozen: tuple[BackboneSpec, int] | None = None,
    ) -> bool:
        """Fit nothing: a table has no features."""
        return False

    def fit_others(
        self, model: str, fitted: np.ndarray, judged: np.ndarray, allowance: Allowance
    ) -> np.ndarray:
        """Return the right class of every further label column for the easier half of the images, else the next."""
        tables = []
        for target in self.columns.others:
            wrong = (self.difficulty[judged] > 0.5).astype(np.int64)
            shown = (np.maximum(target.values[judged], 0) + wrong) % len(target.classes)
            tables.append(np.eye(len(target.classes), dtype=np.float32)[shown])
        return np.concatenate(tables, axis=1)

    def explain(self, model: str, rows: np.ndarray, classes: np.ndarray, allowance: Allowance) -> Explained:
        """Explain nothing: a table has no images."""
        return Explained(
            maps=np.zeros((0, 8, 8), np.float32),
            shares=np.zeros((0, 2), np.float32),
            seen=np.zeros((0, 1, 1, 3), np.uint8),
        )

    @property
    def worked(self) -> dict[str, float]:
        """Return all seconds on the clock, as one kind."""
        return {"forward": self.clock.now}

    def close(self) -> None:
        """End nothing: there is no worker."""

    @property
    def _untrained(self) -> float:
        """Return the score of a network that knows nothing."""
        return 1 / len(self.classes) if isinstance(self.target, values.Classes) else 0.0

    def _table(self, score: float, rows: np.ndarray, name: str, column: str = "") -> np.ndarray:
        """Return predictions (m, outputs) float32 of about this score: accuracy, R², or how far labels stand out."""
        if isinstance(self.target, values.Classes):
            labels, classes = self.labels, len(self.classes)
            for target in self.columns.others:
                if target.name == column:
                    labels, classes = np.maximum(target.values, 0), len(target.classes)
            right = self._right(score, rows, name)
            shown = np.where(right, labels[rows], (labels[rows] + 1) % classes)
            return np.asarray(np.eye(classes, dtype=np.float32)[shown])
        luck = np.random.default_rng(abs(hash_of(name)) % 2**32)
        targets = self.target.targets(self.labels, len(self.classes))
        if isinstance(self.target, values.Numbers):
            errors = 0.9 * self._error + 0.44 * luck.normal(size=targets.shape)
            wrong = errors[rows] / max(float(errors[rows].std()), 1e-9) if len(rows) else errors[rows]
            return np.asarray(
                targets[rows] + (max(1 - score, 0.0) ** 0.5) * targets.std() * wrong, np.float32
            )
        noise = 0.8 * self._error + 0.6 * luck.normal(size=targets.shape)
        told = 0.5 + score * (targets - 0.5) + 1.6 * max(1 - score, 0.0) * noise
        return np.asarray(np.clip(told[rows], 0, 1), np.float32)

    def _right(self, accuracy: float, rows: np.ndarray, name: str) -> np.ndarray:
        """Return which rows are classified correctly: the easiest, with some luck of the candidate's own."""
        luck = np.random.default_rng(abs(hash_of(name)) % 2**32).normal(scale=0.15, size=len(self.labels))
        hardness = (self.difficulty + luck)[rows]
        cut = np.quantile(hardness, accuracy) if len(rows) else 0.0
        return np.asarray(hardness <= cut)

    def _cell(self, backbone: str, input_size: int) -> Cell:
        cell = self.table.get((backbone, input_size))
        if cell is None:
            raise EngineError(
                f"the table has no {backbone!r} at {input_size} px; it has {sorted(self.table)}"
            )
        if cell.fails:
            raise EngineError(cell.fails)
        return cell if self.factor == 1.0 else replace(cell, seconds=self.factor * cell.seconds)


def _done(work: Callable[[], Result]) -> Future[Result]:
    """Return a future with the result of the work, or its error."""
    future: Future[Result] = Future()
    try:
        future.set_result(work())
    except EngineError as error:
        future.set_exception(error)
    return future


def hash_of(text: str) -> int:
    """Return a number from a text that is the same in every process."""
    value = 0
    for letter in text:
        value = (value * 131 + ord(letter)) % 2**61
    return value
