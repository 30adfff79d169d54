"""One worker process as its parent sees it: pipes, the requests under way, and the watch over deadlines.

Nothing here imports torch. A thread cannot stop a hang, a process can: a request that does not end in
time, a kill for lack of memory, a crash in native code and Ctrl-C are one mechanism.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import site
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from autotl import errors, hardware
from autotl.budget import Allowance
from autotl.engine import messages
from autotl.engine.progress import grace
from autotl.errors import AutotlError, EngineError
from autotl.protocols import OnProgress
from autotl.records import Machine

WORKER = ("-P", "-m", "autotl.engine")  # the arguments of Python
WORK = {
    messages.Start: "its start",
    messages.Embed: "features",
    messages.Measure: "timing",
    messages.Train: "a training",
    messages.Predict: "predictions",
}
# Every step allocates the same activations again. By default glibc gives large blocks back to the system when they are
# freed, and the system clears each page when it is asked for once more: with these limits, which must be set before the
# process begins, a small backbone trains in 0.85 times the time (docs/measurements/seconds.md).
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
SENT = "AUTOTL_SENT_WEIGHTS"  # environment variable of a worker: the folder of weights that were sent to its machine
UNLIMITED = 1e9  # seconds
_POLL = 0.1


class WorkerDied(Exception):
    """The worker process ended while it had work; `overdue`: the parent ended it.

    Not its `own` death: its machine is gone, which is no fault of what it worked on.
    """

    def __init__(self, reason: str, *, overdue: bool, own: bool = True) -> None:
        self.overdue = overdue
        self.own = own
        super().__init__(reason)


def _advice(work: str) -> str:
    """Return what was expected of an overdue worker, and what to do."""
    others = "end other programs that use the processor"
    if work == WORK[messages.Start]:
        return f"expected torch to be imported by then; {others}, or use a larger --budget"
    return (
        f"expected it within a few steps of the network; {others}, use a larger --budget, or leave the backbone out with"
        " --backbones"
    )


@dataclass(slots=True)
class _Pending:
    """A request under way."""

    future: Future[Any]
    kind: Any  # type of the result
    work: str
    allowance: Allowance | None  # None: a message about the run, which has no limit
    on_progress: OnProgress | None
    step_seconds: float | None = None  # of the last report
    reported: float = 0.0  # when that came
    cancel_sent: bool = False
    overdue_since: float | None = None


class WorkerProcess:
    """A child process with its reader and its watcher; replaced when it ends, never restarted."""

    def __init__(self, start: messages.Start, opened: messages.Open | None) -> None:
        self.alive = True
        self.worked: dict[str, float] = {}  # seconds by kind, of the last result
        self._killed: str | None = None  # the reason, when the parent ended it
        self._pending: dict[int, _Pending] = {}
        self._number = 0
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._work_to_watch = threading.Event()
        self._log = log_file(start)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        self._process = _popen(start, self._log)
        self._reader = threading.Thread(target=self._receive, daemon=True, name="autotl-receive")
        self._reader.start()
        threading.Thread(target=self._watch, daemon=True, name="autotl-watch").start()
        self.machine: Future[Machine] = self.request(start, Machine)
        if opened is not None:
            self.request(opened, type(None))

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def request(
        self,
        body: messages.Body,
        kind: Any,
        allowance: Allowance | None = None,
        on_progress: OnProgress | None = None,
    ) -> Future[Any]:
        """Send a request; the future gets its result (a `kind`), an `AutotlError`, or `WorkerDied`."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        with self._guard:
            self._number += 1
            number = self._number
        seconds = UNLIMITED if allowance is None else allowance.left
        try:
            data = messages.encode(messages.Request(number=number, seconds=seconds, body=body))
        except Exception as error:  # nobody would ever answer it
            future.set_exception(
                EngineError(
                    f"a {type(body).__name__} request cannot be sent to the worker process ({error});"
                    " expected records of text, numbers and lists; correct what the plugin registers"
                )
            )
            return future
        with self._guard:
            if not self.alive:
                future.set_exception(self._death())
                return future
            self._pending[number] = _Pending(
                future, kind, WORK.get(type(body), "work"), allowance, on_progress
            )
        self._work_to_watch.set()
        self._send(data)
        return future

    def end(self) -> None:
        """Close the worker's input, upon which it leaves; kill it after a second."""
        self._killed = self._killed or "the engine was closed"
        self._close_input()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            _kill(self._process)
            self._process.wait()
        if threading.current_thread() is not self._reader:
            self._reader.join(1.0)  # it closes the pipes and settles what is pending

    def _send(self, data: bytes) -> None:
        stream = self._process.stdin
        if stream is None:
            return
        with self._writing, _gone_is_fine():  # the reader notices a worker that is gone
            messages.write(stream, data)  # type: ignore[arg-type]

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            with _gone_is_fine():
                self._process.stdin.close()

    # ----------------------------------------------------------------------- the reader's thread

    def _receive(self) -> None:
        """Read results and reports until the worker ends; then settle what is left."""
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            while (data := messages.read(stream)) is not None:  # type: ignore[arg-type]
                message = messages.decode(data, messages.FromWorker)
                if isinstance(message, messages.Report):
                    self._report(message)
                else:
                    self._settle(message)
        self._process.wait()
        self._close_input()
        with self._guard:
            self.alive = False
            unsettled, self._pending = list(self._pending.values()), {}
        self._work_to_watch.set()
        for pending in unsettled:
            pending.future.set_exception(self._death())

    def _report(self, message: messages.Report) -> None:
        pending = self._pending.get(message.number)
        if pending is None:
            return
        pending.step_seconds, pending.reported = message.step_seconds, time.monotonic()
        if pending.on_progress is not None:
            try:
                pending.on_progress(message.progress)
            except Exception:  # results arrive through this thread: it must go on
                pending.on_progress = None

    def _settle(self, message: messages.Done | messages.Failed) -> None:
        with self._guard:
            pending = self._pending.pop(message.number)
        self.worked = message.worked
        if isinstance(message, messages.Failed):
            pending.future.set_exception(_rebuild(message))
            return
        try:
            result = messages.decode(message.result, pending.kind)
        except msgspec.DecodeError as error:  # results arrive through this thread: it must go on
            problem = EngineError(
                f"the worker process sent a result that cannot be read ({error}); run again"
            )
            pending.future.set_exception(problem)
        else:
            pending.future.set_result(result)

    # ----------------------------------------------------------------------- the watcher's thread

    def _watch(self) -> None:
        """Pass cancellations on, and kill a worker whose request is overdue."""
        while self.alive:
            self._work_to_watch.wait()
            with self._guard:
                waiting = list(self._pending.items())
                if not waiting:
                    self._work_to_watch.clear()
                    continue
            limited = [(number, pending) for number, pending in waiting if pending.allowance is not None]
            for number, pending in limited:
                if pending.allowance.cancelled.is_set() and not pending.cancel_sent:  # type: ignore[union-attr]
                    pending.cancel_sent = True
                    self._send(messages.encode(messages.Cancel(number=number)))
            if limited and self._overdue(limited[0][1]):  # the worker works in turn: the others only wait
                return
            time.sleep(_POLL)

    def _overdue(self, pending: _Pending) -> bool:
        """Kill the worker when this request is not finished within its grace; return whether it was killed."""
        if pending.allowance is None or not pending.allowance.expired:
            return False
        now = time.monotonic()
        if pending.overdue_since is None:
            pending.overdue_since = now
        late = now - pending.overdue_since
        silence = max(0.0, pending.overdue_since - pending.reported)
        if late <= grace(pending.step_seconds, silence) + pending.allowance.patience:
            return False
        overdue = f"it had not answered {late:.0f} s after the time for {pending.work} was over"
        self._killed = f"{overdue}; {_advice(pending.work)}"
        _kill(self._process)
        return True

    def _death(self) -> WorkerDied:
        """Return why the worker is gone, with the end of its log."""
        if self._killed is not None:
            return WorkerDied(f"the worker process was ended: {self._killed}", overdue=True)
        code = self._process.returncode
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else str(-code)
            cause = " (probably by the system, for lack of memory)" if name == "SIGKILL" else ""
            text = f"the worker process was ended by signal {name}{cause}"
        else:
            text = f"the worker process left with exit code {code}"
        tail = _tail(self._log, self._log_start)
        return WorkerDied(f"{text}; the end of its log: {tail}" if tail else text, overdue=False)


def log_file(start: messages.Start) -> Path:
    """Return where prints and tracebacks of the worker go."""
    return Path(start.folder) / (f"engine-{start.number + 1}.log" if start.number else "engine.log")


def environment(start: messages.Start) -> dict[str, str]:
    """Return the worker's environment: this autotl first on the path, as many threads as there are cores."""
    variables = dict(os.environ)
    root = str(Path(errors.__file__).parent.parent)
    installed = {*site.getsitepackages(), site.getusersitepackages()}
    if root not in installed:  # site-packages must not come before the standard library
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [root, variables.get("PYTHONPATH", "")]))
    if start.cores:
        variables[hardware.CORES] = str(start.cores)
    threads = str(min(start.cores, hardware.cores()) if start.cores else hardware.cores())
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        variables[name] = threads
    variables = KEPT_MEMORY | variables
    if start.sent:
        variables[SENT] = start.sent
    if start.offline:
        variables["HF_HUB_OFFLINE"] = "1"
    return variables


def _popen(start: messages.Start, log: Path) -> subprocess.Popen[bytes]:
    with open(log, "ab") as stream:
        try:
            return subprocess.Popen(
                [sys.executable, *WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env=environment(start),
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )
        except OSError as problem:
            raise EngineError(
                f"the worker process cannot be started with {sys.executable!r} ({problem});"
                " expected a Python interpreter; run autotl from one"
            ) from None


def _rebuild(message: messages.Failed) -> AutotlError | OSError:
    """Return the error that the worker raised."""
    if message.kind == messages.DISK_FULL:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), message.message or None)
    kind = getattr(errors, message.kind, EngineError)
    try:
        if issubclass(kind, AutotlError):
            return kind(message.message)
    except TypeError:  # no class, or an error that takes more than a text
        pass
    return EngineError(message.message)


def _tail(log: Path, start: int) -> str:
    """Return the last three lines of a log that was begun at a place."""
    try:
        with open(log, "rb") as stream:
            stream.seek(max(start, log.stat().st_size - 4000))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-3:])[-600:]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the worker and whatever it started itself."""
    number = getattr(signal, "SIGKILL", signal.SIGTERM)
    try:
        os.killpg(process.pid, number)  # its session has its own group
    except (AttributeError, OSError):
        with _gone_is_fine():
            process.kill()


@contextlib.contextmanager
def _gone_is_fine() -> Iterator[None]:
    """Suppress what a closed stream or a process that is gone raises."""
    with contextlib.suppress(OSError, ValueError):
        yield
