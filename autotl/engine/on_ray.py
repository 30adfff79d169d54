"""Slots on a Ray cluster: each is an actor that holds the same worker process as on one machine.

The actor reserves a processor share or a GPU, starts ``python -m autotl.engine`` beside itself and passes requests on.
Deadlines and cancellations are kept there, by the class that keeps them on one machine: a future of Ray does not stop
what it waits for. A machine need not see the run's folder. Where it does, work is done in it. Where it does not,
decoded images, weights and checkpoints travel through Ray's object store, once to a machine and when they are first
needed; what a trial writes comes back with its result. Predictions of the finished model, its detector of
out-of-distribution images and its explanations read files of the run's machine: on a cluster a worker there does them,
which starts with the run so that nothing waits for it at the end.

Actors belong to the run's process: Ray ends them when it is gone, and a worker ends with its actor.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any

import msgspec
import numpy as np
from filelock import FileLock, Timeout

import autotl
from autotl import cache, errors, hardware
from autotl.budget import Allowance
from autotl.engine import messages
from autotl.engine.client import Deaths, ProcessEngine, start_of
from autotl.engine.process import UNLIMITED, WorkerDied, WorkerProcess
from autotl.engine.progress import MOST
from autotl.engine.slots import SlotsEngine
from autotl.errors import AutotlError, EngineError
from autotl.protocols import EngineCall, OnProgress
from autotl.records import (
    Answers,
    BackboneSpec,
    Embedding,
    Explained,
    Machine,
    Measurement,
    Progress,
    TrialResult,
    Weights,
)
from autotl.weights import hub

FOLDERS = "autotl-ray-"  # in the temporary folder of a machine: what was sent there, by run
CHUNK = 64 * 2**20  # bytes of an object that travels
POLL, NEWS = 0.1, 0.5  # seconds between two looks at cancellations, and at progress
SILENT = 30.0  # seconds without an answer, after which an actor is given up
LATE = MOST + 15.0  # seconds after its deadline for a request whose actor did not end it
TURNS = 16  # threads of an actor: requests wait in them for their turn
KINDS: dict[type, Any] = {
    messages.Start: Machine,
    messages.Open: NoneType,
    messages.Embed: Embedding,
    messages.Measure: Measurement,
    messages.Train: TrialResult,
    messages.Predict: messages.Predicted,
    messages.FitOod: bool,
    messages.FitOthers: str,
    messages.Explain: str,
}

Files = dict[str, bytes]  # by path relative to a folder


# --------------------------------------------------------------------------- in the actor


class Holder:
    """The actor: a worker process on its machine, and what has been sent there."""

    def __init__(self, start: bytes, token: str) -> None:
        sent: messages.Start = messages.decode(start, messages.Start)
        self.home = sent.folder
        self.shared = _token(Path(sent.folder)) == token
        self.root, self.held = held_folder(token)
        own = self.root / f"slot-{sent.number}-{os.getpid()}"
        self.folder = Path(sent.folder) if self.shared else own
        self.weights = self.root / "weights"
        for folder in (self.folder / ".engine", self.weights):
            folder.mkdir(parents=True, exist_ok=True)
        store = sent.cache if self.shared or sent.cache is None else str(cache.cache_folder())
        self.start = msgspec.structs.replace(
            sent, folder=str(self.folder), cache=store, sent=str(self.weights)
        )
        self.worker = WorkerProcess(self.start, None)
        self.turn = threading.Condition()
        self.next = 1
        self.allowances: dict[int, Allowance] = {}
        self.progress: list[tuple[int, bytes]] = []

    def machine(self) -> tuple[str, bytes | str]:
        """Return the version of autotl here and where the worker works; a text when it cannot."""
        try:
            return autotl.__version__, messages.encode(self.worker.machine.result())
        except (WorkerDied, AutotlError) as error:
            return autotl.__version__, str(error)

    def work(
        self,
        number: int,
        limit: tuple[float, float],
        body: bytes,
        arrays: bytes,
        sent: Mapping[str, Sequence[Any]],
    ) -> tuple[Any, ...]:
        """Do a request in its turn and return how it ended: needs, done, failed or died.

        `limit` are the seconds that it may take, and its patience (`autotl.budget.Allowance`). `needs` names what has
        to be sent before; the caller then asks again with the objects that hold it.
        """
        with self.turn:
            self.turn.wait_for(lambda: self.next == number)
            message = messages.decode(body, messages.Body)
            needs = self._needs(message, sent)
            if needs:
                return "needs", needs
            message = self._localised(message, arrays)
            before = self._written()
            allowance = None
            if limit[0] < UNLIMITED:
                allowance = Allowance(deadline=time.monotonic() + limit[0], patience=limit[1])
                self.allowances[number] = allowance

            def note(progress: Progress) -> None:
                self.progress.append((number, messages.encode(progress)))

            future = self.worker.request(message, KINDS[type(message)], allowance, note)
            self.next += 1
            self.turn.notify_all()
        try:
            value = future.result()
        except WorkerDied as death:
            return "died", str(death), death.overdue
        except AutotlError as error:
            return "failed", type(error).__name__, str(error)
        except Exception as error:  # such as a disk that is full here
            return "failed", "EngineError", f"{type(error).__name__}: {error}"
        finally:
            self.allowances.pop(number, None)
        return "done", messages.encode(value), self._made(value, before), self.worker.worked

    def news(self) -> list[tuple[int, bytes]]:
        """Return the progress since the last call, by number of the request."""
        fresh, self.progress = self.progress, []
        return fresh

    def cancel(self, number: int) -> None:
        """Cancel the allowance of a request."""
        if number in self.allowances:
            self.allowances[number].cancelled.set()

    def end(self) -> None:
        """End the worker, and remove what this slot wrote beside the run's folder, with the last slot all of the run."""
        self.worker.end()
        if not self.shared:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.held.release()
        with _folders():
            _remove_unheld()

    # ----------------------------------------------------------------------- what travels here

    def _needs(self, message: messages.Body, sent: Mapping[str, Sequence[Any]]) -> list[str]:
        """Take what was sent, and return what the request needs and this machine lacks."""
        missing = []
        for name, target in self._wanted(message).items():
            if name in sent:
                _unpacked(sent[name], target)
            if not target.exists():
                missing.append(name)
        return missing

    def _wanted(self, message: messages.Body) -> dict[str, Path]:
        """Return where what a request reads has to be, by the name that the caller sends it under."""
        wanted: dict[str, Path] = {}
        if isinstance(message, messages.Open):
            wanted[message.pixels], wanted[message.table] = self._pixels(message), self._table(message)
        if isinstance(message, messages.Train):
            models = [parent.model for parent in message.trial.parents]
            if message.trial.resume_from is not None:
                models.append(message.trial.resume_from)
            wanted |= {str(Path(self.home, model)): self.folder / model for model in models}
        if isinstance(message, messages.Embed | messages.Measure | messages.Train):
            weights = message.backbone.weights
            if weights is not None and hub.find(weights) is None:
                wanted[messages.sent_name(weights)] = self._weights(weights)
        return wanted

    def _pixels(self, message: messages.Open) -> Path:
        return (
            Path(message.pixels)
            if self.shared
            else self.root / "pixels" / cache.key("pixels", message.pixels)
        )

    def _table(self, message: messages.Open) -> Path:
        return Path(message.table) if self.shared else self.root / "tables" / Path(message.table).name

    def _weights(self, weights: Weights) -> Path:
        if weights.kind == "torchvision" and weights.url is not None:  # read by torch itself, from its cache
            return hub.torch_hub() / "checkpoints" / weights.url.rpartition("/")[2]
        return self.weights / messages.sent_name(weights)

    def _localised(self, message: messages.Body, arrays: bytes) -> messages.Body:
        """Return the request with the paths of this machine."""
        if isinstance(message, messages.Start):
            return self.start
        if isinstance(message, messages.Open):
            own = {"pixels": str(self._pixels(message)), "table": str(self._table(message))}
            return msgspec.structs.replace(message, **own)
        if isinstance(message, messages.Embed) and not self.shared:
            path = self.folder / ".engine" / Path(message.rows).name
            path.write_bytes(arrays)
            return msgspec.structs.replace(message, rows=str(path))
        return message

    def _written(self) -> dict[str, tuple[int, int]]:
        """Return size and time of what trials wrote here; empty in the run's own folder."""
        if self.shared:
            return {}
        files = (path for path in (self.folder / "trials").rglob("*") if path.is_file())
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}

    def _made(self, value: Any, before: Mapping[str, tuple[int, int]]) -> Files:
        """Return the files that a request wrote and its caller reads."""
        if self.shared:
            return {}
        if isinstance(value, Embedding):
            path = Path(value.path)
            made = {f".engine/{path.name}": path.read_bytes()}
            path.unlink()
            return made
        after = self._written()
        return {
            Path(path).relative_to(self.folder).as_posix(): Path(path).read_bytes()
            for path, state in after.items()
            if before.get(path) != state
        }


def held_folder(token: str) -> tuple[Path, FileLock]:
    """Return the folder of a run on this machine, and the lock that holds it for this process as long as it lives.

    Folders that no process holds are removed: those of runs whose machine or slots were lost.
    """
    with _folders():
        _remove_unheld()
        root = Path(tempfile.gettempdir()) / f"{FOLDERS}{token}"
        root.mkdir(parents=True, exist_ok=True)
        held = FileLock(
            root / f"{os.getpid()}-{uuid.uuid4().hex}.held", thread_local=False
        )  # end() has another thread
        held.acquire()
    return root, held


def _folders() -> FileLock:
    """Return the lock on which folders of runs there are, of this user."""
    return FileLock(Path(tempfile.gettempdir()) / f"{FOLDERS}{os.getuid()}.lock")


def _remove_unheld() -> None:
    """Remove this user's folders of runs that no process holds: its locks go with a process, however it ends."""
    for root in Path(tempfile.gettempdir()).glob(f"{FOLDERS}*"):
        if (
            root.is_dir()
            and root.stat().st_uid == os.getuid()
            and not any(map(_is_held, root.glob("*.held")))
        ):
            shutil.rmtree(root, ignore_errors=True)


def _is_held(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def _token(folder: Path) -> str:
    try:
        return (folder / ".engine" / "token").read_text()
    except OSError:
        return ""


def _unpacked(objects: Sequence[Any], target: Path) -> None:
    """Write a file or a folder from objects; one actor of a machine does it, and the others wait for it."""
    import ray

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if target.exists():
            return
        partial = target.with_name(f"{target.name}.part")
        for reference in objects:
            name, content = ray.get(reference)
            path = partial / name if name else partial
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "ab") as stream:
                stream.write(content)
        partial.rename(target)


# --------------------------------------------------------------------------- where the run is


class Cluster:
    """A connection to Ray: makes actors, and sends each file once."""

    def __init__(self, ray: Any, start: messages.Start, slots: int | None) -> None:
        self.ray = ray
        self.folder = Path(start.folder)
        self.token = uuid.uuid4().hex
        self._sent: dict[str, list[Any]] = {}
        self._weights: dict[str, Path] = {}
        self._guard = threading.Lock()
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus = [int(node.get("CPU", 0)) for node in nodes]
        gpus = sum(int(node.get("GPU", 0)) for node in nodes)
        if gpus and start.device in ("auto", "cuda"):
            self.slots, self.device = min(gpus, slots or gpus), "cuda"
            self.resources: dict[str, float] = {"num_cpus": 1, "num_gpus": 1}
            self.cores = 0
        else:
            self.slots = min(slots or sum(count > 0 for count in cpus), sum(cpus))
            if not self.slots:
                raise EngineError(
                    "the Ray cluster has no node with a CPU; expected one or more; start a node"
                )
            self.device = "cpu" if start.device == "auto" else start.device
            self.cores = max(
                share for share in range(1, max(cpus) + 1) if sum(c // share for c in cpus) >= self.slots
            )
            self.resources = {"num_cpus": self.cores}
        self.cores = self.cores or 0

    def share(self) -> None:
        """Write into the run folder what shows a machine that it sees the folder."""
        work = self.folder / ".engine"
        work.mkdir(parents=True, exist_ok=True)
        (work / "token").write_text(self.token)

    def actor(self, start: messages.Start) -> Any:
        """Return a new actor, which begins once a machine has room for it."""
        options = {"max_concurrency": TURNS, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        remote = self.ray.remote(Holder).options(**options, **self.resources)
        return remote.remote(messages.encode(start), self.token)

    def know(self, spec: BackboneSpec) -> None:
        """Remember where the weights of a backbone lie here, under the name that an actor asks for them by."""
        if spec.weights is not None and messages.sent_name(spec.weights) not in self._weights:
            path = hub.find(spec.weights)
            if path is not None:
                self._weights[messages.sent_name(spec.weights)] = path

    def objects(self, name: str) -> list[Any]:
        """Return the objects that hold a file or folder; they are put once and kept for the run."""
        with self._guard:
            if name not in self._sent:
                path = self._weights.get(name, Path(name))
                if not path.exists():
                    raise EngineError(
                        f"{path} is neither here nor on the machine of a slot; expected it on one of them"
                    )
                self._sent[name] = [self.ray.put(piece) for piece in _pieces(path)]
            return self._sent[name]


def _pieces(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield relative name and bytes of a file, in parts, or of all files of a folder."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    for file in files:
        name = "" if file == path else file.relative_to(path).as_posix()
        with open(file, "rb") as stream:
            first = True
            while (content := stream.read(CHUNK)) or first:
                yield name, content
                first = False


class RayWorker:
    """A worker process that an actor holds; see `autotl.engine.client.WorkerLink`."""

    pid = 0  # of another machine

    def __init__(self, cluster: Cluster, start: messages.Start, opened: messages.Open | None) -> None:
        self.alive = True
        self.worked: dict[str, float] = {}
        self.machine: Future[Machine] = Future()
        self._cluster = cluster
        self._home = Path(start.folder)
        self._killed: tuple[str, bool] | None = None  # why it was ended here, and whether it was overdue
        self._pending: dict[int, tuple[Allowance | None, OnProgress | None]] = {}
        self._number = 0
        self._guard = threading.Lock()
        self._actor = cluster.actor(start)
        threading.Thread(target=self._begin, daemon=True, name="autotl-ray-start").start()
        threading.Thread(target=self._watch, daemon=True, name="autotl-ray-watch").start()
        if opened is not None:
            self.request(opened, NoneType)

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
            if not self.alive:
                future.set_exception(self._death(None))
                return future
            self._number += 1
            number = self._number
            self._pending[number] = allowance, on_progress
        arguments = (number, body, kind, future)
        threading.Thread(target=self._work, args=arguments, daemon=True, name="autotl-ray-work").start()
        return future

    def end(self) -> None:
        """End worker and actor, and give the resources back."""
        self._killed = self._killed or ("the engine was closed", True)
        ray = self._cluster.ray
        with contextlib.suppress(Exception):  # it may be gone, or never have begun
            if self.alive and self.machine.done():
                ray.get(self._actor.end.remote(), timeout=2.0)
        self._kill()

    # ----------------------------------------------------------------------- threads

    def _begin(self) -> None:
        try:
            version, machine = self._cluster.ray.get(self._actor.machine.remote())
        except Exception as error:
            self._gone()
            self.machine.set_exception(self._death(error))
            return
        if version != autotl.__version__:
            text = f"a machine of the cluster has autotl {version}, expected {autotl.__version__}; install the same"
            self.machine.set_exception(EngineError(text))
        elif isinstance(machine, str):
            self.machine.set_exception(EngineError(machine))
        else:
            self.machine.set_result(messages.decode(machine, Machine))

    def _work(self, number: int, body: messages.Body, kind: Any, future: Future[Any]) -> None:
        allowance = self._pending[number][0]
        try:
            if isinstance(body, messages.Embed | messages.Measure | messages.Train):
                self._cluster.know(body.backbone)
            arrays = b""
            if isinstance(body, messages.Embed):
                arrays = Path(body.rows).read_bytes()
            data, sent = messages.encode(body), dict[str, list[Any]]()
            while True:
                limit = (UNLIMITED, 0.0) if allowance is None else (allowance.left, allowance.patience)
                answer = self._cluster.ray.get(self._actor.work.remote(number, limit, data, arrays, sent))
                if answer[0] != "needs":
                    break
                sent = {name: self._cluster.objects(name) for name in answer[1]}
            self._settle(answer, kind, future)
        except (
            AutotlError
        ) as error:  # what was to be sent is not there: the turn would never come to the next
            self._killed = self._killed or (str(error), False)
            self._kill()
            future.set_exception(error)
        except Exception as error:  # of Ray: the actor or its machine is gone
            self._gone()
            future.set_exception(self._death(error))
        finally:
            self._pending.pop(number, None)

    def _settle(self, answer: tuple[Any, ...], kind: Any, future: Future[Any]) -> None:
        if answer[0] == "died":
            self._killed = answer[1], answer[2]
            self._kill()
            future.set_exception(WorkerDied(answer[1], overdue=answer[2]))
        elif answer[0] == "failed":
            future.set_exception(getattr(errors, answer[1], EngineError)(answer[2]))
        else:
            _, data, files, self.worked = answer
            for name, content in files.items():
                (self._home / name).parent.mkdir(parents=True, exist_ok=True)
                cache.atomic_write(self._home / name, content)
            value = messages.decode(data, kind)
            if isinstance(value, Embedding) and files:
                value = replace(value, path=str(self._home / next(iter(files))))
            future.set_result(value)

    def _watch(self) -> None:
        """Pass cancellations on, bring progress, and give up an actor that does not answer."""
        cancelled: set[int] = set()
        asked = 0.0
        while self.alive:
            time.sleep(POLL)
            for number, (allowance, _) in list(self._pending.items()):
                if allowance is None:
                    continue
                if allowance.cancelled.is_set() and number not in cancelled:
                    cancelled.add(number)
                    with contextlib.suppress(Exception):
                        self._actor.cancel.remote(number)
                if allowance.clock() - allowance.deadline > LATE + allowance.patience:
                    self._killed = f"it had not answered {LATE:.0f} s after its time was over", True
                    self._kill()
            if self._pending and self.machine.done() and time.monotonic() - asked >= NEWS:
                asked = time.monotonic()
                self._news()

    def _news(self) -> None:
        try:
            news = self._cluster.ray.get(self._actor.news.remote(), timeout=SILENT)
        except Exception as error:
            if self._killed is None and "Timeout" in type(error).__name__:
                self._killed = f"its machine had not answered for {SILENT:.0f} s", False
                self._kill()
            return
        for number, data in news:
            pending = self._pending.get(number)
            if pending is not None and pending[1] is not None:
                with contextlib.suppress(Exception):  # an observer's fault is no reason to stop
                    pending[1](messages.decode(data, Progress))

    def _gone(self) -> None:
        with self._guard:
            self.alive = False

    def _kill(self) -> None:
        self._gone()
        with contextlib.suppress(Exception):
            self._cluster.ray.kill(self._actor, no_restart=True)

    def _death(self, error: BaseException | None) -> WorkerDied:
        if self._killed is not None:
            return WorkerDied(f"the worker was ended: {self._killed[0]}", overdue=self._killed[1])
        why = "" if error is None else f" ({type(error).__name__})"
        return WorkerDied(f"the actor of the slot or its machine is gone{why}", overdue=False, own=False)


class RayEngine(SlotsEngine):
    """Slots on a cluster; `here` does what reads files of this machine, None where all slots are on it.

    `owned`: the run started or joined Ray, and leaves it at its end.
    """

    def __init__(
        self, cluster: Cluster, start: messages.Start, *, owned: bool, here: ProcessEngine | None
    ) -> None:
        self._cluster, self._owned, self._here = cluster, owned, here
        cluster.share()
        deaths = Deaths()
        starts = [
            msgspec.structs.replace(start, number=place, device=cluster.device, cores=cluster.cores)
            for place in range(cluster.slots)
        ]
        super().__init__(
            [
                ProcessEngine(
                    one,
                    deaths=deaths,
                    gives_back=True,
                    new_worker=lambda start, opened: RayWorker(cluster, start, opened),
                )
                for one in starts
            ]
        )

    def open_table(self, message: messages.Open) -> None:
        """Open data whose columns were written before, in all slots and here."""
        super().open_table(message)
        if self._here is not None:
            self._here.open_table(message)

    def predict(
        self, model: str, files: Sequence[str], allowance: Allowance, features: bool = False
    ) -> Answers:
        """See `autotl.protocols.Engine.predict`."""
        return (self._here or self.slots[0]).predict(model, files, allowance, features)

    def fit_ood(
        self,
        model: str,
        fitted: np.ndarray,
        held_out: np.ndarray,
        allowance: Allowance,
        frozen: tuple[BackboneSpec, int] | None = None,
    ) -> bool:
        """See `autotl.protocols.Engine.fit_ood`."""
        return (self._here or self.slots[0]).fit_ood(model, fitted, held_out, allowance, frozen)

    def fit_others(
        self, model: str, fitted: np.ndarray, judged: np.ndarray, allowance: Allowance
    ) -> np.ndarray:
        """See `autotl.protocols.Engine.fit_others`."""
        return (self._here or self.slots[0]).fit_others(model, fitted, judged, allowance)

    def explain(self, model: str, rows: np.ndarray, classes: np.ndarray, allowance: Allowance) -> Explained:
        """See `autotl.protocols.Engine.explain`."""
        return (self._here or self.slots[0]).explain(model, rows, classes, allowance)

    @property
    def worked(self) -> dict[str, float]:
        """See `autotl.protocols.Engine.worked`."""
        total = dict(super().worked)
        for kind, seconds in ({} if self._here is None else self._here.worked).items():
            total[kind] = total.get(kind, 0.0) + seconds
        return total

    def close(self) -> None:
        """See `autotl.protocols.Engine.close`; a Ray that the run connected to is left."""
        if self._here is not None:
            self._here.close()
        super().close()
        if self._owned:
            self._owned = False
            with _own_signals():
                self._cluster.ray.shutdown()


def connect(call: EngineCall) -> RayEngine:
    """Connect to the cluster that a call names, or start a Ray on this machine, and begin the slots.

    Raises `EngineError` for a cluster that does not answer or has no room.
    """
    import ray

    start = start_of(call)
    owned, address = not ray.is_initialized(), ""
    if owned:
        address = call.name if call.name.startswith("ray://") else os.environ.get("RAY_ADDRESS", "local")
        more: dict[str, Any] = {}
        if address == "local":
            more = {"num_cpus": hardware.cores(), "include_dashboard": False}
            # Ray's own default lets its workers wait for everything else on the machine.
            os.environ.setdefault("RAY_worker_niceness", "0")
        try:
            with _own_signals():
                ray.init(
                    address, logging_level=logging.ERROR, log_to_driver=False, namespace="autotl", **more
                )
        except Exception as error:
            raise EngineError(
                f"Ray at {address!r} cannot be used ({type(error).__name__}: {error}); expected a running cluster; "
                "start it, or use --engine ray without RAY_ADDRESS"
            ) from None
    try:
        cluster = Cluster(ray, start, call.slots)
        here = (
            None
            if address == "local"
            else ProcessEngine(msgspec.structs.replace(start, number=cluster.slots))
        )
        return RayEngine(cluster, start, owned=owned, here=here)
    except BaseException:
        if owned:
            ray.shutdown()
        raise


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Restore what the command line does on signals: Ray sets a handler of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
