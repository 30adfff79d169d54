"""An `Engine` of several slots, each an engine with one worker. Nothing here imports torch."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from autotl import hardware
from autotl.budget import Allowance
from autotl.engine import messages
from autotl.engine.client import Deaths, ProcessEngine, start_of, write_table
from autotl.errors import EngineError, SlotLost
from autotl.protocols import Engine, EngineCall, OnProgress
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

LOOK, START_LOOK = (
    0.5,
    0.05,
)  # seconds between two looks at which slots are ready, while others work and before any does
TRIES = 2  # of work whose slot is lost

Result = TypeVar("Result")


def connect(call: EngineCall) -> Engine:
    """Start one worker for each NVIDIA GPU that the device allows; without one, one worker on the processor.

    With `call.slots` there are no more of them, and on the processor as many: they share its cores evenly, and there
    are never more than cores. Otherwise see `autotl.engine.client.connect`.
    """
    start = start_of(call)
    gpus, cores, device = hardware.gpus(start.device), hardware.cores(), start.device
    number = min(gpus, call.slots or gpus) if gpus else min(call.slots or 1, cores)
    if number <= 1:
        return ProcessEngine(start)
    deaths = Deaths()
    starts = [
        msgspec.structs.replace(
            start,
            number=place,
            device=f"cuda:{place}" if gpus else device,
            cores=0 if gpus else cores // number,
        )
        for place in range(number)
    ]
    return SlotsEngine([ProcessEngine(start, deaths=deaths, gives_back=True) for start in starts])


class SlotsEngine:
    """Several workers as one engine. What is not asked of a slot is done by the first that is ready.

    That is tried a second time when the slot is lost meanwhile; a third one would have the same fate.
    """

    def __init__(self, members: Sequence[ProcessEngine]) -> None:
        self._members = list(members)
        self._first_asked = members[0]

    @property
    def slots(self) -> tuple[ProcessEngine, ...]:
        """See `autotl.protocols.Engine.slots`."""
        return self._ready() or (self._first_asked,)

    def _ready(self) -> tuple[ProcessEngine, ...]:
        return tuple(member for member in self._members if member.ready)

    @property
    def kind(self) -> str:
        """See `autotl.protocols.Slot.kind`."""
        return self.slots[0].kind

    def wait(self, futures: Collection[Future[Any]]) -> set[Future[Any]]:
        """See `autotl.protocols.Engine.wait`; it returns none of them when slots join or leave."""
        before = self.slots
        while True:
            done = wait(futures, timeout=LOOK, return_when=FIRST_COMPLETED).done
            if done or self.slots != before:
                return done

    @property
    def worked(self) -> dict[str, float]:
        """See `autotl.protocols.Engine.worked`; of all slots together."""
        total: Counter[str] = Counter()
        for member in self._members:
            total.update(member.worked)
        return dict(total)

    def open(
        self, pixels: str | Path, columns: Columns, *, metric: Metric, digests: Sequence[str] | None
    ) -> None:
        """See `autotl.protocols.Engine.open`."""
        self.open_table(write_table(self._first_asked.work, pixels, columns, metric=metric, digests=digests))

    def open_table(self, message: messages.Open) -> None:
        """Open data whose columns were written before, in all slots."""
        for member in self._members:
            member.open_table(message)

    def started(self, allowance: Allowance) -> Machine:
        """See `autotl.protocols.Engine.started`: it waits until one slot is ready, and the others join later."""
        while not (ready := self._ready()):
            failures = [member.failure for member in self._members]
            if all(failures):
                raise EngineError(str(failures[0]))
            if allowance.expired:
                raise EngineError(
                    f"no slot of {len(self._members)} began in time; expected room for one; use fewer --slots, or wait"
                )
            time.sleep(START_LOOK)
        return ready[0].started(allowance)

    def embed(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Embedding:
        """See `autotl.protocols.Engine.embed`."""
        return self.embedding(backbone, input_size, rows, allowance).result()

    def embedding(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Future[Embedding]:
        """See `autotl.protocols.Slot.embedding`."""
        return self._tried(lambda slot: slot.embedding(backbone, input_size, rows, allowance))

    def measure(self, candidate: Candidate, backbone: BackboneSpec, allowance: Allowance) -> Measurement:
        """See `autotl.protocols.Engine.measure`."""
        return self.measurement(candidate, backbone, allowance).result()

    def measurement(
        self, candidate: Candidate, backbone: BackboneSpec, allowance: Allowance
    ) -> Future[Measurement]:
        """See `autotl.protocols.Slot.measurement`."""
        return self._tried(lambda slot: slot.measurement(candidate, backbone, allowance))

    def submit(
        self,
        trial: Trial,
        backbone: BackboneSpec,
        strategy: Strategy,
        allowance: Allowance,
        on_progress: OnProgress | None = None,
    ) -> Future[TrialResult]:
        """See `autotl.protocols.Slot.submit`; a trial that is lost twice has failed."""
        outer: Future[TrialResult] = Future()
        outer.set_running_or_notify_cancel()

        def settle(inner: Future[TrialResult]) -> None:
            problem = inner.exception()
            if problem is None:
                outer.set_result(inner.result())
            elif isinstance(problem, SlotLost):
                outer.set_result(TrialResult(trial=trial, status="failed", error=str(problem)))
            else:
                outer.set_exception(problem)

        self._tried(
            lambda slot: slot.submit(trial, backbone, strategy, allowance, on_progress)
        ).add_done_callback(settle)
        return outer

    def predict(
        self, model: str, files: Sequence[str], allowance: Allowance, features: bool = False
    ) -> Answers:
        """See `autotl.protocols.Engine.predict`."""
        return self.slots[0].predict(model, files, allowance, features)

    def fit_ood(
        self,
        model: str,
        fitted: np.ndarray,
        held_out: np.ndarray,
        allowance: Allowance,
        frozen: tuple[BackboneSpec, int] | None = None,
    ) -> bool:
        """See `autotl.protocols.Engine.fit_ood`."""
        return self.slots[0].fit_ood(model, fitted, held_out, allowance, frozen)

    def fit_others(
        self, model: str, fitted: np.ndarray, judged: np.ndarray, allowance: Allowance
    ) -> np.ndarray:
        """See `autotl.protocols.Engine.fit_others`."""
        return self.slots[0].fit_others(model, fitted, judged, allowance)

    def explain(self, model: str, rows: np.ndarray, classes: np.ndarray, allowance: Allowance) -> Explained:
        """See `autotl.protocols.Engine.explain`."""
        return self.slots[0].explain(model, rows, classes, allowance)

    def close(self) -> None:
        """End all workers, at once; safe to call twice."""
        with ThreadPoolExecutor(len(self._members)) as pool:
            list(pool.map(lambda member: member.close(), self._members))
        shutil.rmtree(self._first_asked.work, ignore_errors=True)

    def _tried(self, begin: Callable[[ProcessEngine], Future[Result]]) -> Future[Result]:
        """Return the result of the first slot, or that of another where it is lost."""
        outer: Future[Result] = Future()
        outer.set_running_or_notify_cancel()

        def attempt(left: int) -> None:
            def settle(inner: Future[Result]) -> None:
                problem = inner.exception()
                if problem is None:
                    outer.set_result(inner.result())
                elif isinstance(problem, SlotLost) and left > 1:
                    attempt(left - 1)
                else:
                    outer.set_exception(problem)

            begin(self.slots[0]).add_done_callback(settle)

        attempt(TRIES)
        return outer
