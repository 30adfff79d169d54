"""An `Engine` whose work is done by a worker process, which is replaced when it dies, or by several.

Nothing here imports torch.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from autotl.budget import Allowance
from autotl.cache import disk_full
from autotl.engine import messages
from autotl.engine.process import WorkerDied, WorkerProcess, log_file
from autotl.errors import EngineError, OutOfMemory, SlotLost
from autotl.protocols import EngineCall, OnProgress
from autotl.records import (
    Answers,
    BackboneSpec,
    Candidate,
    Columns,
    Embedding,
    Explained,
    Machine,
    Measurement,
    Metric,
    Strategy,
    Trial,
    TrialResult,
)

DEATHS = 2  # of the worker on one backbone, after which that backbone is not tried again
REVIVED_EVERY = 5.0  # seconds between two workers of a slot, at least, where nothing was asked of it
FILES_A_REQUEST = 4096  # of a prediction, so that memory stays flat

Result = TypeVar("Result")


def connect(
    *,
    folder: str | Path,
    cache: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    seed: int = 0,
    offline: bool = False,
) -> ProcessEngine:
    """Start a worker for the run in `folder` and return at once, while the worker imports torch.

    `cache` is the folder of the content-addressed store of features, None for none; `device` is auto,
    cpu, cuda, cuda:N or mps; `precision` is auto, fp32, bf16 or fp16. A missing or broken torch, and a
    device that is not there, show as `EngineError` with the first request.
    """
    return ProcessEngine(_start(folder, cache, device, precision, seed, offline))


def start_of(call: EngineCall) -> messages.Start:
    """Return the first message to the worker of a call's engine."""
    settings = call.settings
    return _start(call.folder, call.cache, settings.device, call.precision, call.seed, settings.offline)


def _start(
    folder: str | Path,
    cache: str | Path | None,
    device: str,
    precision: str,
    seed: int,
    offline: bool,
) -> messages.Start:
    return messages.Start(
        folder=str(Path(folder).absolute()),
        cache=None if cache is None else str(Path(cache).absolute()),
        device=device,
        precision=precision,
        seed=seed,
        offline=offline,
        sys_path=tuple(entry for entry in sys.path if entry),
    )


class WorkerLink(Protocol):
    """A worker process as its engine sees it, here or elsewhere: see `autotl.engine.process.WorkerProcess`."""

    alive: bool
    worked: dict[str, float]
    machine: Future[Machine]

    @property
    def pid(self) -> int: ...

    def request(
        self,
        body: messages.Body,
        kind: Any,
        allowance: Allowance | None = None,
        on_progress: OnProgress | None = None,
    ) -> Future[Any]: ...

    def end(self) -> None: ...


NewWorker = Callable[[messages.Start, messages.Open | None], WorkerLink]


@dataclass(slots=True)
class Deaths:
    """How often workers ended on a backbone, and why the last time. The slots of an engine share it."""

    number: Counter[str] = field(default_factory=Counter)
    last: dict[str, str] = field(default_factory=dict)


class ProcessEngine:
    """An `Engine` with one slot: one child process, replaced when it dies. Safe to use from threads.

    With `gives_back` work whose worker is gone raises `SlotLost` instead of failing: there are other slots. So does work
    that its worker has no memory for, and another worker takes the place of that one.
    """

    def __init__(
        self,
        start: messages.Start,
        *,
        deaths: Deaths | None = None,
        gives_back: bool = False,
        new_worker: NewWorker = WorkerProcess,
    ) -> None:
        self._start = start
        self._gives_back = gives_back
        self._new_worker = new_worker
        self._kind = ""
        self._revived = 0.0  # when the worker was last replaced without being asked
        self.work = Path(start.folder) / ".engine"
        self.work.mkdir(parents=True, exist_ok=True)
        self._opened: messages.Open | None = None
        self._deaths = deaths or Deaths()
        self._guard = threading.RLock()
        self._closed = False
        self._requests = 0
        self._worked_before: Counter[str] = Counter()  # by workers that are gone
        self._worker = new_worker(start, None)

    @property
    def slots(self) -> tuple[ProcessEngine, ...]:
        """See `autotl.protocols.Engine.slots`."""
        return (self,)

    @property
    def kind(self) -> str:
        """See `autotl.protocols.Slot.kind`."""
        machine = self._worker.machine
        if machine.done() and machine.exception() is None:
            self._kind = _kind(machine.result())
        return self._kind

    @property
    def ready(self) -> bool:
        """Return whether the worker is there and has started; one of several that is gone is replaced now and then."""
        if self._closed:
            return False
        self._revive()
        machine = self._worker.machine
        return self._worker.alive and machine.done() and machine.exception() is None

    def _revive(self) -> None:
        """Replace a worker that is gone before it is needed: a slot is offered once its worker has started."""
        now = time.monotonic()
        with self._guard:
            if self._worker.alive or self._closed or not self._gives_back:
                return
            if now - self._revived < REVIVED_EVERY:
                return
            self._revived = now
            self._replace()

    def _replace(self) -> None:
        self._worked_before.update(self._worker.worked)
        self._worker = self._new_worker(self._start, self._opened)

    @property
    def failure(self) -> BaseException | None:
        """Return why the worker could not start, None where it did or has not yet."""
        machine = self._worker.machine
        return machine.exception() if machine.done() else None

    def wait(self, futures: Collection[Future[Any]]) -> set[Future[Any]]:
        """See `autotl.protocols.Engine.wait`."""
        return wait(futures, return_when=FIRST_COMPLETED).done

    def open(
        self, pixels: str | Path, columns: Columns, *, metric: Metric, digests: Sequence[str] | None
    ) -> None:
        """See `autotl.protocols.Engine.open`; it returns at once."""
        self.open_table(write_table(self.work, pixels, columns, metric=metric, digests=digests))

    def open_table(self, message: messages.Open) -> None:
        """Open data whose columns were written before."""
        with self._guard:
            self._opened = message
            if self._worker.alive:
                self._worker.request(message, type(None))

    def started(self, allowance: Allowance) -> Machine:
        """See `autotl.protocols.Engine.started`; it waits until the worker has imported torch."""
        return self._wait(self._request(self._start, Machine, allowance))

    def embed(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Embedding:
        """See `autotl.protocols.Engine.embed`."""
        return self.embedding(backbone, input_size, rows, allowance).result()

    def embedding(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Future[Embedding]:
        """See `autotl.protocols.Slot.embedding`."""

        def begin() -> Future[Embedding]:
            self._require_open()
            self._refuse_deadly(backbone)
            path = self._write_rows(rows=rows)
            body = messages.Embed(backbone=backbone, input_size=input_size, rows=path)
            return self._request(body, Embedding, allowance, backbone.name)

        return self._begun(begin)

    def measure(self, candidate: Candidate, backbone: BackboneSpec, allowance: Allowance) -> Measurement:
        """See `autotl.protocols.Engine.measure`."""
        return self.measurement(candidate, backbone, allowance).result()

    def measurement(
        self, candidate: Candidate, backbone: BackboneSpec, allowance: Allowance
    ) -> Future[Measurement]:
        """See `autotl.protocols.Slot.measurement`."""

        def begin() -> Future[Measurement]:
            self._refuse_deadly(backbone)
            body = messages.Measure(candidate=candidate, backbone=backbone)
            return self._request(body, Measurement, allowance, backbone.name)

        return self._begun(begin)

    def submit(
        self,
        trial: Trial,
        backbone: BackboneSpec,
        strategy: Strategy,
        allowance: Allowance,
        on_progress: OnProgress | None = None,
    ) -> Future[TrialResult]:
        """See `autotl.protocols.Slot.submit`."""
        outer: Future[TrialResult] = Future()
        outer.set_running_or_notify_cancel()
        try:
            self._refuse_deadly(backbone)
            body = messages.Train(trial=trial, backbone=backbone, strategy=strategy)
            inner = self._request(body, TrialResult, allowance, backbone.name, on_progress)
        except SlotLost as problem:
            outer.set_exception(problem)
            return outer
        except EngineError as problem:
            outer.set_result(TrialResult(trial=trial, status="failed", error=str(problem)))
            return outer

        def settle(inner: Future[TrialResult]) -> None:
            problem = inner.exception()
            if problem is None:
                outer.set_result(inner.result())
                return
            if disk_full(problem):
                outer.set_exception(problem)
                return
            stopped = isinstance(problem, WorkerDied) and problem.overdue
            if self._gave_back(problem, outer):
                return
            status = "stopped" if stopped else "failed"
            outer.set_result(TrialResult(trial=trial, status=status, error=str(problem)))  # type: ignore[arg-type]

        inner.add_done_callback(settle)
        return outer

    def predict(
        self, model: str, files: Sequence[str], allowance: Allowance, features: bool = False
    ) -> Answers:
        """See `autotl.protocols.Engine.predict`."""
        tables: list[dict[str, np.ndarray]] = []
        errors: list[str | None] = []
        for first in range(0, max(len(files), 1), FILES_A_REQUEST):
            batch = tuple(files[first : first + FILES_A_REQUEST])
            body = messages.Predict(model=model, files=batch, features=features)
            predicted = self._wait(self._request(body, messages.Predicted, allowance))
            with np.load(predicted.arrays, allow_pickle=False) as stored:
                tables.append({name: stored[name] for name in stored.files})
            os.unlink(predicted.arrays)
            errors.extend(predicted.errors)
        columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
        return Answers(errors=errors, **columns)

    def fit_ood(
        self,
        model: str,
        fitted: np.ndarray,
        held_out: np.ndarray,
        allowance: Allowance,
        frozen: tuple[BackboneSpec, int] | None = None,
    ) -> bool:
        """See `autotl.protocols.Engine.fit_ood`."""
        path = self._write_rows(fitted=fitted, held_out=held_out)
        spec, size = frozen or (None, 0)
        body = messages.FitOod(model=model, rows=path, frozen=spec, input_size=size)
        return self._wait(self._request(body, bool, allowance))

    def fit_others(
        self, model: str, fitted: np.ndarray, judged: np.ndarray, allowance: Allowance
    ) -> np.ndarray:
        """See `autotl.protocols.Engine.fit_others`."""
        path = self._write_rows(fitted=fitted, judged=judged)
        arrays = self._wait(self._request(messages.FitOthers(model=model, rows=path), str, allowance))
        with np.load(arrays, allow_pickle=False) as stored:
            table: np.ndarray = stored["probabilities"]
        os.unlink(arrays)
        return table

    def explain(self, model: str, rows: np.ndarray, classes: np.ndarray, allowance: Allowance) -> Explained:
        """See `autotl.protocols.Engine.explain`."""
        path = self._write_rows(rows=rows, classes=classes)
        arrays = self._wait(self._request(messages.Explain(model=model, rows=path), str, allowance))
        with np.load(arrays, allow_pickle=False) as stored:
            explained = Explained(**{name: stored[name] for name in stored.files})
        os.unlink(arrays)
        return explained

    def close(self) -> None:
        """End the worker and remove its work files; safe to call twice."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            self._worker.end()
        shutil.rmtree(self.work, ignore_errors=True)
        log = log_file(self._start)
        if log.exists() and log.stat().st_size == 0:
            log.unlink()

    @property
    def worked(self) -> dict[str, float]:
        """See `autotl.protocols.Engine.worked`; the last request of a worker that died is not in it."""
        with self._guard:
            total = Counter(self._worked_before)
            total.update(self._worker.worked)
        return dict(total)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the worker that runs now."""
        return self._worker.pid if self._worker.alive else None

    def _request(
        self,
        body: messages.Body,
        kind: type[Result],
        allowance: Allowance,
        backbone: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Future[Result]:
        """Send a request to the worker, or to a new one where the last has died."""
        with self._guard:
            self._require_open()
            if not self._worker.alive:
                if allowance.expired:
                    raise EngineError(
                        "the worker had to be ended, and there is no time left to start another"
                    )
                self._replace()
            future = self._worker.request(body, kind, allowance, on_progress)
        if backbone is not None:
            future.add_done_callback(lambda future: self._count_death(backbone, future.exception()))
        return future

    def _write_rows(self, **arrays: np.ndarray) -> str:
        """Write arrays of row numbers or classes for a request; return their path."""
        with self._guard:
            self._requests += 1
            path = self.work / f"rows-{self._start.number}-{self._requests}.npz"
        integers = {name: np.asarray(array, np.int64) for name, array in arrays.items()}
        np.savez(path, **integers)  # type: ignore[arg-type]
        return str(path)

    def _require_open(self) -> None:
        if self._closed:
            raise EngineError("the engine is closed; expected an open one; connect again")

    def _count_death(self, backbone: str, problem: BaseException | None) -> None:
        if isinstance(problem, WorkerDied) and problem.own and not self._closed:
            self._deaths.number[backbone] += 1
            self._deaths.last[backbone] = str(problem)

    def _refuse_deadly(self, backbone: BackboneSpec) -> None:
        if self._deaths.number[backbone.name] >= DEATHS:
            raise EngineError(
                f"backbone {backbone.name!r} ended the worker {DEATHS} times and is not tried again;"
                f" the last time: {self._deaths.last[backbone.name]}"
            )

    def _begun(self, begin: Callable[[], Future[Result]]) -> Future[Result]:
        """Return the future of a request, with the errors that the protocol names."""
        outer: Future[Result] = Future()
        outer.set_running_or_notify_cancel()
        try:
            inner = begin()
        except EngineError as problem:
            outer.set_exception(problem)
            return outer

        def settle(inner: Future[Result]) -> None:
            problem = inner.exception()
            if problem is None:
                outer.set_result(inner.result())
            elif not self._gave_back(problem, outer):
                own = isinstance(problem, WorkerDied)
                outer.set_exception(EngineError(str(problem)) if own else problem)

        inner.add_done_callback(settle)
        return outer

    def _gave_back(self, problem: BaseException, outer: Future[Any]) -> bool:
        """Raise `SlotLost` through `outer` and return True, where another slot may do what this one could not."""
        if not self._gives_back:
            return False
        if isinstance(problem, WorkerDied) and not problem.overdue:
            outer.set_exception(SlotLost(str(problem)))
            return True
        if isinstance(problem, OutOfMemory):
            worker = self._worker

            def replace_it() -> (
                None
            ):  # not by the thread that reads what the worker sends, which ends with it
                worker.end()
                outer.set_exception(SlotLost(str(problem)))

            threading.Thread(target=replace_it, daemon=True, name="autotl-replace").start()
            return True
        return False

    @staticmethod
    def _wait(future: Future[Result]) -> Result:
        try:
            return future.result()
        except WorkerDied as problem:
            raise EngineError(str(problem)) from None


def _kind(machine: Machine) -> str:
    """Return what slots must share for a measurement on one to hold for the other."""
    device = re.sub(r"^(cuda):\d+", r"\1", machine.device)
    return device if device != "cpu" else f"cpu, {machine.threads} threads, {machine.processor}"


def write_table(
    folder: Path,
    pixels: str | Path,
    columns: Columns,
    *,
    metric: Metric,
    digests: Sequence[str] | None,
) -> messages.Open:
    """Write the columns of the data to an npz and return the message that names it."""
    arrays: dict[str, np.ndarray] = {
        "labels": np.asarray(columns.labels),
        "part": np.asarray(columns.part, np.int8),
        "fold": np.asarray(columns.fold, np.int8),
        "order": np.asarray(columns.order, np.int64),
    }
    if columns.group is not None:
        arrays["group"] = np.asarray(columns.group, np.int64)
    if columns.weight is not None:
        arrays["weight"] = np.asarray(columns.weight, np.float64)
    if columns.unlabelled is not None:
        arrays["unlabelled"] = np.asarray(columns.unlabelled, np.int64)
    if columns.related is not None:
        arrays["related"] = np.asarray(columns.related, np.int64)
        arrays["related_labels"] = np.asarray(columns.related_labels, np.int64)
    for place, target in enumerate(columns.others):
        arrays[f"other{place}"] = np.asarray(target.values, np.int64)
    if digests is not None:
        arrays["digests"] = np.asarray([str(digest) for digest in digests], dtype=np.str_)
    path = folder / f"data-{time.monotonic_ns()}.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return messages.Open(
        pixels=str(Path(pixels).absolute()),
        table=str(path),
        classes=tuple(columns.classes),
        folds=int(columns.folds),
        target=columns.target,
        modality=columns.modality,
        metric=metric,
        others=tuple((target.name, target.classes) for target in columns.others),
    )
