"""A worker process on another machine, as its engine sees it: requests go to the actor that holds it."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any

import autotl
from autotl import cache, errors
from autotl.budget import Allowance
from autotl.engine import messages
from autotl.engine.on_ray.cluster import Cluster
from autotl.engine.process import UNLIMITED, WorkerDied
from autotl.engine.progress import MOST
from autotl.errors import AutotlError, EngineError
from autotl.protocols import OnProgress
from autotl.records import Embedding, Machine, Progress

POLL, NEWS = 0.1, 0.5  # seconds between two looks at cancellations, and at progress
SILENT = 30.0  # seconds without an answer, after which an actor is given up
LATE = MOST + 15.0  # seconds after its deadline for a request whose actor did not end it


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
                answer = self._cluster.ray.get(
                    self._actor.work.remote(number, limit, data, kind, arrays, sent)
                )
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
