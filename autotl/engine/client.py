"""The parent's side of the worker process: starts it, asks it, watches it, and replaces it when it dies.

Nothing here imports torch. A thread cannot stop a hang, a process can: a request that does not
answer in time, a kill for lack of memory, a crash in native code and Ctrl-C are one mechanism.
"""

from __future__ import annotations

import os
import shutil
import signal
import site
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
import numpy as np

from autotl import errors, hardware
from autotl.budget import Allowance
from autotl.engine import messages
from autotl.errors import AutotlError, EngineError
from autotl.protocols import Progress
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

WORKER = ("-P", "-m", "autotl.engine")  # what Python is asked to run
GRACE = 5.0  # seconds after a deadline, beyond two batches, before a silent worker is killed
DEATHS = 2  # of the worker on one backbone, after which that backbone is not tried again
FILES_A_REQUEST = 4096  # of a prediction, so that memory stays flat
UNLIMITED = 1e9  # seconds
_POLL = 0.1

Result = TypeVar("Result")


class WorkerDied(Exception):
    """The worker process ended while it had work; `overdue` says that we ended it."""

    def __init__(self, reason: str, *, overdue: bool) -> None:
        self.overdue = overdue
        super().__init__(reason)


def connect(
    *,
    folder: str | Path,
    cache: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    seed: int = 0,
    offline: bool = False,
) -> ProcessEngine:
    """Starts a worker for the run in `folder` and returns at once, while the worker imports torch.

    `cache` is the folder of the content-addressed store of features, None for none; `device` is auto,
    cpu, cuda, cuda:N or mps; `precision` is auto, fp32, bf16 or fp16. A missing or broken torch, and a
    device that is not there, show as `EngineError` with the first request.
    """
    return ProcessEngine(_start(folder, cache, device, precision, seed, offline))


def _start(
    folder: str | Path, cache: str | Path | None, device: str, precision: str, seed: int, offline: bool
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


class ProcessEngine:
    """An `Engine` whose work is done by a child process, restarted when it dies. Safe to use from threads."""

    slots = 1

    def __init__(self, start: messages.Start) -> None:
        self._start = start
        self._work = Path(start.folder) / ".engine"
        self._work.mkdir(parents=True, exist_ok=True)
        self._opened: messages.Open | None = None
        self._deaths: dict[str, int] = {}
        self._last_error: dict[str, str] = {}
        self._guard = threading.RLock()
        self._closed = False
        self._requests = 0
        self._spent: Counter[str] = Counter()  # by workers that are gone
        self._child: _Child | None = _Child(start, None)

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
        """Tells the worker which data the run is about; returns at once.

        `pixels` is the folder of decoded images (`autotl.modality.image_store.Pixels`); the arrays have one entry a
        row and mean what they mean in `Dataset` and `Split`. `digests` identify the images' contents
        for the feature cache; without them the decoded pixels are hashed.
        """
        message = write_table(
            self._work, pixels, labels, classes, part, fold, order, folds, metric, groups, digests
        )
        with self._guard:
            self._opened = message
            if self._child is not None and self._child.alive:
                self._child.ask(message, type(None))

    def started(self, allowance: Allowance) -> Machine:
        """Device, threads and versions of the worker; waits until it has imported torch. Raises `EngineError`."""
        return self._wait(self._ask(self._start, Machine, allowance))

    def embed(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Embedding:
        """See `autotl.protocols.Engine.embed`; when time runs out the answer holds fewer rows."""
        self._require_open()
        self._refuse_deadly(backbone)
        self._requests += 1
        path = self._work / f"rows-{self._requests}.npz"
        np.savez(path, rows=np.asarray(rows, np.int64))
        body = messages.Embed(backbone=backbone, input_size=input_size, rows=str(path))
        return self._wait(self._ask(body, Embedding, allowance, backbone.name))

    def measure(
        self, candidate: Candidate, backbone: BackboneSpec, strategy: Strategy, allowance: Allowance
    ) -> Measurement:
        """See `autotl.protocols.Engine.measure`."""
        self._refuse_deadly(backbone)
        body = messages.Measure(candidate=candidate, backbone=backbone, strategy=strategy)
        return self._wait(self._ask(body, Measurement, allowance, backbone.name))

    def submit(
        self,
        trial: Trial,
        backbone: BackboneSpec,
        strategy: Strategy,
        allowance: Allowance,
        on_progress: Progress | None = None,
    ) -> Future[TrialResult]:
        """See `autotl.protocols.Engine.submit`. `on_progress` is called from the reader thread."""
        outer: Future[TrialResult] = Future()
        outer.set_running_or_notify_cancel()
        try:
            self._refuse_deadly(backbone)
            body = messages.Train(trial=trial, backbone=backbone, strategy=strategy)
            inner = self._ask(body, TrialResult, allowance, backbone.name, on_progress)
        except EngineError as problem:
            outer.set_result(TrialResult(trial=trial, status="failed", error=str(problem)))
            return outer

        def settle(done: Future[TrialResult]) -> None:
            problem = done.exception()
            if problem is None:
                outer.set_result(done.result())
                return
            stopped = isinstance(problem, WorkerDied) and problem.overdue
            status = "stopped" if stopped else "failed"
            outer.set_result(TrialResult(trial=trial, status=status, error=str(problem)))  # type: ignore[arg-type]

        inner.add_done_callback(settle)
        return outer

    def predict(
        self, model: str, files: Sequence[str], allowance: Allowance, features: bool = False
    ) -> Answers:
        """See `autotl.protocols.Engine.predict`; `model` is a model folder, absolute or relative to the run."""
        tables: list[dict[str, np.ndarray]] = []
        problems: list[str | None] = []
        for first in range(0, max(len(files), 1), FILES_A_REQUEST):
            some = tuple(files[first : first + FILES_A_REQUEST])
            body = messages.Predict(model=model, files=some, features=features)
            answer = self._wait(self._ask(body, messages.Predicted, allowance))
            with np.load(answer.arrays, allow_pickle=False) as stored:
                tables.append({name: stored[name] for name in stored.files})
            os.unlink(answer.arrays)
            problems.extend(answer.errors)
        columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
        return Answers(errors=problems, **columns)

    def familiarise(self, model: str, fitted: np.ndarray, held_out: np.ndarray, allowance: Allowance) -> bool:
        """See `autotl.protocols.Engine.familiarise`."""
        self._requests += 1
        path = self._work / f"rows-{self._requests}.npz"
        np.savez(path, fitted=np.asarray(fitted, np.int64), held_out=np.asarray(held_out, np.int64))
        return self._wait(self._ask(messages.Familiarise(model=model, rows=str(path)), bool, allowance))

    def explain(self, model: str, rows: np.ndarray, answers: np.ndarray, allowance: Allowance) -> Explained:
        """See `autotl.protocols.Engine.explain`."""
        self._requests += 1
        path = self._work / f"rows-{self._requests}.npz"
        np.savez(path, rows=np.asarray(rows, np.int64), answers=np.asarray(answers, np.int64))
        made = self._wait(self._ask(messages.Explain(model=model, rows=str(path)), str, allowance))
        with np.load(made, allow_pickle=False) as stored:
            found = Explained(**{name: stored[name] for name in stored.files})
        os.unlink(made)
        return found

    def close(self) -> None:
        """Ends the worker and removes its work files; safe to call twice."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            if self._child is not None:
                self._child.end()
        shutil.rmtree(self._work, ignore_errors=True)
        log = log_file(self._start)
        if log.exists() and log.stat().st_size == 0:
            log.unlink()

    @property
    def spent(self) -> dict[str, float]:
        """See `autotl.protocols.Engine.spent`; a worker that died takes its last request's seconds along."""
        with self._guard:
            total = Counter(self._spent)
            total.update(self._child.spent if self._child is not None else {})
        return dict(total)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the worker that runs now."""
        return self._child.process.pid if self._child is not None and self._child.alive else None

    def _ask(
        self,
        body: messages.Body,
        kind: type[Result],
        allowance: Allowance,
        backbone: str | None = None,
        on_progress: Progress | None = None,
    ) -> Future[Result]:
        with self._guard:
            self._require_open()
            if self._child is None or not self._child.alive:
                if self._child is not None and allowance.expired:
                    raise EngineError(
                        "the worker had to be ended, and there is no time left to start another"
                    )
                if self._child is not None:
                    self._spent.update(self._child.spent)
                self._child = _Child(self._start, self._opened)
            future = self._child.ask(body, kind, allowance, on_progress)
        if backbone is not None:
            future.add_done_callback(lambda done: self._count_death(backbone, done.exception()))
        return future

    def _require_open(self) -> None:
        if self._closed:
            raise EngineError("the engine is closed; expected an open one; connect again")

    def _count_death(self, backbone: str, problem: BaseException | None) -> None:
        if isinstance(problem, WorkerDied) and not self._closed:
            self._deaths[backbone] = self._deaths.get(backbone, 0) + 1
            self._last_error[backbone] = str(problem)

    def _refuse_deadly(self, backbone: BackboneSpec) -> None:
        if self._deaths.get(backbone.name, 0) >= DEATHS:
            raise EngineError(
                f"backbone {backbone.name!r} ended the worker {DEATHS} times and is not tried again;"
                f" the last time: {self._last_error[backbone.name]}"
            )

    @staticmethod
    def _wait(future: Future[Result]) -> Result:
        try:
            return future.result()
        except WorkerDied as problem:
            raise EngineError(str(problem)) from None


def write_table(
    folder: Path,
    pixels: str | Path,
    labels: np.ndarray,
    classes: Sequence[str],
    part: np.ndarray,
    fold: np.ndarray,
    order: np.ndarray,
    folds: int,
    metric: Metric,
    groups: np.ndarray | None,
    digests: Sequence[str] | None,
) -> messages.Open:
    """Writes the columns of the data to an npz and returns the message that names it."""
    columns: dict[str, np.ndarray] = {
        "labels": np.asarray(labels, np.int64),
        "part": np.asarray(part, np.int8),
        "fold": np.asarray(fold, np.int8),
        "order": np.asarray(order, np.int64),
    }
    if groups is not None:
        columns["groups"] = np.asarray(groups, np.int64)
    if digests is not None:
        columns["digests"] = np.asarray([str(digest) for digest in digests], dtype=np.str_)
    path = folder / f"data-{time.monotonic_ns()}.npz"
    np.savez(path, **columns)  # type: ignore[arg-type]
    return messages.Open(
        pixels=str(Path(pixels).absolute()),
        table=str(path),
        classes=tuple(classes),
        folds=int(folds),
        metric=metric,
    )


def log_file(start: messages.Start) -> Path:
    """Where prints and tracebacks of the worker go."""
    return Path(start.folder) / "engine.log"


@dataclass(slots=True)
class _Pending:
    future: Future[Any]
    kind: Any
    allowance: Allowance | None  # None: a message about the run, which takes as long as it takes
    on_progress: Progress | None
    batch_seconds: float = 0.0
    cancel_sent: bool = False
    overdue_since: float | None = None


@dataclass(slots=True)
class _Child:
    """One worker process with its reader and its watcher; replaced, never revived."""

    start: messages.Start
    opened: messages.Open | None
    process: subprocess.Popen[bytes] = field(init=False)
    pending: dict[int, _Pending] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)  # seconds of its work by kind, as last told
    alive: bool = True
    killed: str | None = None
    _number: int = 0
    _log_start: int = 0
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _work_to_watch: threading.Event = field(default_factory=threading.Event)
    _reader: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        log = log_file(self.start)
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log_start = log.stat().st_size if log.exists() else 0
        with open(log, "ab") as stream:
            try:
                self.process = subprocess.Popen(
                    [sys.executable, *WORKER],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stream,
                    env=_environment(self.start),
                    start_new_session=True,  # Ctrl-C is the parent's to handle
                )
            except OSError as problem:
                raise EngineError(
                    f"the worker process cannot be started with {sys.executable!r} ({problem});"
                    " expected a Python interpreter; run autotl from one"
                ) from None
        self._reader = threading.Thread(target=self._receive, daemon=True, name="autotl-receive")
        self._reader.start()
        threading.Thread(target=self._watch, daemon=True, name="autotl-watch").start()
        self.ask(self.start, Machine)
        if self.opened is not None:
            self.ask(self.opened, type(None))

    def ask(
        self,
        body: messages.Body,
        kind: Any,
        allowance: Allowance | None = None,
        on_progress: Progress | None = None,
    ) -> Future[Any]:
        """Sends a request; the future gets its result, an `AutotlError`, or `WorkerDied`."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        with self._guard:
            if not self.alive:
                future.set_exception(WorkerDied(self._epitaph(), overdue=self.killed is not None))
                return future
            self._number += 1
            number = self._number
            self.pending[number] = _Pending(future, kind, allowance, on_progress)
        self._work_to_watch.set()
        seconds = UNLIMITED if allowance is None else allowance.left
        self._send(messages.Request(number=number, seconds=seconds, body=body))
        return future

    def kill(self, reason: str) -> None:
        """Ends the worker at once; whoever waits is told why."""
        self.killed = reason
        _signal(self.process, getattr(signal, "SIGKILL", signal.SIGTERM))

    def end(self) -> None:
        """Asks the worker to leave by closing its input, and helps after a second."""
        self.killed = self.killed or "the engine was closed"
        _quietly(lambda: self.process.stdin.close() if self.process.stdin else None)
        try:
            self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            _signal(self.process, getattr(signal, "SIGKILL", signal.SIGTERM))
            self.process.wait()
        if threading.current_thread() is not self._reader:
            self._reader.join(1.0)  # it closes the pipes and tells those who wait

    def _send(self, message: messages.ToWorker) -> None:
        stream = self.process.stdin
        with self._writing:
            # A worker that is gone is noticed, and told of, by the reader.
            _quietly(lambda: messages.write(stream, message) if stream else None)  # type: ignore[arg-type]

    def _receive(self) -> None:
        assert self.process.stdout is not None
        decoder = msgspec.msgpack.Decoder(messages.FromWorker)
        with self.process.stdout as stream:
            while (data := messages.read(stream)) is not None:  # type: ignore[arg-type]
                message = decoder.decode(data)
                if isinstance(message, messages.Progress):
                    self._progress(message)
                else:
                    self._settle(message)
        self.process.wait()
        _quietly(lambda: self.process.stdin.close() if self.process.stdin else None)
        with self._guard:
            self.alive = False
            left, self.pending = list(self.pending.values()), {}
        self._work_to_watch.set()
        for pending in left:
            pending.future.set_exception(WorkerDied(self._epitaph(), overdue=self.killed is not None))

    def _progress(self, message: messages.Progress) -> None:
        pending = self.pending.get(message.number)
        if pending is None:
            return
        pending.batch_seconds = float(message.values.get("batch_seconds", 0.0))
        if pending.on_progress is not None:
            pending.on_progress(message.values)

    def _settle(self, message: messages.Done | messages.Failed) -> None:
        with self._guard:
            pending = self.pending.pop(message.number)
        self.spent = message.spent
        if isinstance(message, messages.Done):
            pending.future.set_result(msgspec.msgpack.decode(message.result, type=pending.kind))
        else:
            kind = getattr(errors, message.kind, EngineError)
            kind = kind if isinstance(kind, type) and issubclass(kind, AutotlError) else EngineError
            pending.future.set_exception(_rebuild(kind, message.message))

    def _watch(self) -> None:
        """Passes cancellations on, and kills a worker that is silent too long after a deadline."""
        while self.alive:
            self._work_to_watch.wait()
            with self._guard:
                waiting = list(self.pending.items())
                if not waiting:
                    self._work_to_watch.clear()
                    continue
            limited = [(number, pending) for number, pending in waiting if pending.allowance is not None]
            for number, pending in limited:
                if pending.allowance.cancelled.is_set() and not pending.cancel_sent:  # type: ignore[union-attr]
                    pending.cancel_sent = True
                    self._send(messages.Cancel(number=number))
            if limited and self._overdue(limited[0][1]):  # the worker answers in turn: the others only wait
                return
            time.sleep(_POLL)

    def _overdue(self, pending: _Pending) -> bool:
        """Kills the worker when this request is silent too long after its time was over."""
        now = time.monotonic()
        if pending.allowance is None or not pending.allowance.expired:
            return False
        pending.overdue_since = pending.overdue_since or now
        if now - pending.overdue_since <= GRACE + 2 * pending.batch_seconds:
            return False
        self.kill(f"it had not answered {now - pending.overdue_since:.0f} s after its time was over")
        return True

    def _epitaph(self) -> str:
        """Why the worker is gone, in words, with the end of what it wrote."""
        if self.killed is not None:
            return f"the worker process was ended: {self.killed}"
        code = self.process.returncode
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else str(-code)
            cause = " (probably by the system, for lack of memory)" if name == "SIGKILL" else ""
            text = f"the worker process was ended by signal {name}{cause}"
        else:
            text = f"the worker process left with exit code {code}"
        tail = _tail(log_file(self.start), self._log_start)
        return f"{text}; the end of its log: {tail}" if tail else text


def _rebuild(kind: type[AutotlError], text: str) -> AutotlError:
    try:
        return kind(text)
    except TypeError:  # an error with more to its name than a text
        return EngineError(text)


def _environment(start: messages.Start) -> dict[str, str]:
    """The worker's environment: this autotl first on the path, as many threads as there are cores."""
    environment = dict(os.environ)
    root = str(Path(errors.__file__).parent.parent)
    installed = {*site.getsitepackages(), site.getusersitepackages()}
    if root not in installed:  # site-packages must not come before the standard library
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH", "")]))
    threads = str(hardware.cores())
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment[name] = threads
    if start.offline:
        environment["HF_HUB_OFFLINE"] = "1"
    return environment


def _tail(log: Path, start: int, lines: int = 3) -> str:
    try:
        with open(log, "rb") as stream:
            stream.seek(max(start, log.stat().st_size - 4000))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])[-600:]


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """To the worker and whatever it started itself."""
    try:
        os.killpg(process.pid, number)  # its session has its own group
    except (AttributeError, OSError):
        _quietly(process.kill)


def _quietly(action: Callable[[], object]) -> None:
    try:
        action()
    except (OSError, ValueError):  # the other end is gone, or the stream is closed
        return
