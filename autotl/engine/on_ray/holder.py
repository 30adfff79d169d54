"""The actor of a slot: a worker process on its machine, and what has been sent there for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

import autotl
from autotl.budget import Allowance
from autotl.engine import messages
from autotl.engine.on_ray import folders
from autotl.engine.on_ray.place import Away, InSight
from autotl.engine.on_ray.travel import unpacked
from autotl.engine.process import UNLIMITED, WorkerDied, WorkerProcess
from autotl.errors import AutotlError
from autotl.records import Progress


class Holder:
    """The actor: a worker process on its machine, and what has been sent there."""

    def __init__(self, start: bytes, token: str) -> None:
        sent: messages.Start = messages.decode(start, messages.Start)
        self.root, self.held = folders.held_folder(token)
        of_place = InSight if folders.is_seen(Path(sent.folder), token) else Away
        self.place = place = of_place(sent, self.root)
        for folder in (place.folder / ".engine", place.weights):
            folder.mkdir(parents=True, exist_ok=True)
        self.start = msgspec.structs.replace(
            sent, folder=str(place.folder), cache=place.cache, sent=str(place.weights)
        )
        self.worker = WorkerProcess(self.start, None)
        self.turn = threading.Condition()
        self.next = 1  # request: each is sent to the worker in its turn, when what it needs is here
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
        kind: Any,
        arrays: bytes,
        sent: Mapping[str, Sequence[Any]],
    ) -> tuple[Any, ...]:
        """Do a request in its turn and return how it ended: needs, done, failed or died.

        `limit` are the seconds that it may take, and its patience (`autotl.budget.Allowance`); `kind` is the type of
        its result, `arrays` the rows that it names. `needs` names what has to be sent before; the caller then asks
        again with the objects that hold it.
        """
        allowance = None
        if limit[0] < UNLIMITED:
            allowance = Allowance(deadline=time.monotonic() + limit[0], patience=limit[1])
        with self.turn:
            self.turn.wait_for(lambda: self.next == number)
            message = messages.decode(body, messages.Body)
            needs = self._needs(message, sent)
            if needs:
                return "needs", needs
            message = self._here(message, arrays)
            before = self.place.written()
            if allowance is not None:
                self.allowances[number] = allowance

            def note(progress: Progress) -> None:
                self.progress.append((number, messages.encode(progress)))

            future = self.worker.request(message, kind, allowance, note)
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
        return "done", messages.encode(value), self.place.made(value, before), self.worker.worked

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
        self.place.clear()
        self.held.release()
        folders.remove_unheld()

    def _here(self, message: messages.Body, arrays: bytes) -> messages.Body:
        """Return a request as the worker here gets it."""
        return self.start if isinstance(message, messages.Start) else self.place.localised(message, arrays)

    def _needs(self, message: messages.Body, sent: Mapping[str, Sequence[Any]]) -> list[str]:
        """Take what was sent, and return what the request needs and this machine lacks."""
        missing = []
        for name, target in self.place.wanted(message).items():
            if name in sent:
                unpacked(sent[name], target)
            if not target.exists():
                missing.append(name)
        return missing
