"""Pass events to the observers of plugins aside: the run does not wait for them, and each hears the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from autotl.plugins import loading, sandbox
from autotl.plugins.sandbox import Sandbox, text_of
from autotl.records import Event

MOST_WAITING = 1000  # events that one observer may be behind
BACKLOG_SECONDS = (
    10.0  # for events that wait when a run ends; later ones are dropped, so that the end is heard
)
END_SECONDS = 30.0  # for the last event: a tracker may upload a model then


@dataclass(slots=True)
class _Observer:
    """One plugin's `on_event`, and its events that were not taken yet."""

    implementation: Any
    waiting: list[Future[None]] = field(default_factory=list)
    begun: float | None = None  # when the call that runs now began
    dropping: bool = False  # events that wait are not passed on
    ending: bool = False  # the last event is being passed

    @property
    def plugin(self) -> str:
        return str(self.implementation.plugin_name)

    def take(self, event: Event, *, last: bool = False) -> None:
        """Call the plugin, in its thread."""
        if self.dropping and not last:
            return
        self.begun, self.ending = time.monotonic(), last
        try:
            loading.run(self.implementation, {"event": event})
        except Exception:
            self.dropping = True  # the events that wait; `Observers` names what was raised
            raise
        finally:
            self.begun = None


class Observers:
    """The observers of all plugins. Events reach each in their order, in the plugin's own thread."""

    def __init__(self, calls: Sandbox, implementations: Sequence[Any]) -> None:
        self._sandbox = calls
        self._observers = [_Observer(implementation) for implementation in implementations]
        self._guard = threading.RLock()  # the progress of a training comes from a thread of the engine's

    def notify(self, event: Event) -> None:
        """Pass an event to every observer and return at once."""
        with self._guard:
            self._notify(event)

    def _notify(self, event: Event) -> None:
        for observer in self._observers:
            self._look(observer)
            if not self._sandbox.quarantined(observer.plugin):
                thread = self._sandbox.thread(observer.plugin)
                observer.waiting.append(thread.post(partial(observer.take, event)))

    def close(self, event: Event) -> None:
        """Pass the last event of a run to every observer, also to one that broke, and wait for it, within limits."""
        deadline = time.monotonic() + BACKLOG_SECONDS
        ends: list[Future[None]] = []
        late: list[Future[None]] = []
        for observer in self._observers:
            if observer.plugin not in self._sandbox.hung:
                wait_for(observer.waiting, timeout=max(0.0, deadline - time.monotonic()))
            self._look(observer)
            hung = observer.plugin in self._sandbox.hung
            if observer.waiting and not hung:
                text = f"had {len(observer.waiting)} events not taken {BACKLOG_SECONDS:g} s after the run; they are lost"
                self._sandbox.name("on_event", observer.plugin, text)
            observer.dropping = True
            end = self._sandbox.thread(observer.plugin).post(partial(observer.take, event, last=True))
            (late if hung else ends).append(end)
            observer.waiting.append(end)
        wait_for(ends, timeout=END_SECONDS)
        wait_for(late, timeout=sandbox.CALL_SECONDS)  # a call that was late may have returned
        for observer in self._observers:
            self._look(observer)
            if observer.waiting and observer.plugin not in self._sandbox.hung:
                self._give_up(observer, f"took over {END_SECONDS:g} s for the end of the run")

    def _look(self, observer: _Observer) -> None:
        """Quarantine an observer that raised, takes over the limit for an event, or is too far behind."""
        taken = [future for future in observer.waiting if future.done()]
        observer.waiting = [future for future in observer.waiting if not future.done()]
        for future in taken:
            if (error := future.exception()) is not None:
                self._sandbox.report("on_event", observer.plugin, text_of(error))  # type: ignore[arg-type]
        begun, limit = observer.begun, END_SECONDS if observer.ending else sandbox.CALL_SECONDS
        hung = observer.plugin in self._sandbox.hung
        if begun is not None and time.monotonic() - begun > limit and not hung:
            self._give_up(observer, f"took over {limit:g} s for an event")
        elif len(observer.waiting) > MOST_WAITING:
            text = f"is {MOST_WAITING} events behind the run; it hears the end alone"
            self._sandbox.report("on_event", observer.plugin, text)
            observer.dropping = True

    def _give_up(self, observer: _Observer, text: str) -> None:
        """Quarantine an observer whose call does not return, and name the line that it is at."""
        place = self._sandbox.thread(observer.plugin).place()
        self._sandbox.report("on_event", observer.plugin, f"{text}{place}")
        self._sandbox.hung.add(observer.plugin)
