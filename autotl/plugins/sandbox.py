"""Call each plugin alone: in a thread of its own, within a time limit, and not again after it broke."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from autotl.errors import AutotlError, PluginError

CALL_SECONDS = 10.0  # a call of a hook that takes longer has failed
LOAD_SECONDS = 120.0  # the same for load_dataset: listing the items of a source may mean reading a long index
IMPORT_SECONDS = 10.0  # the same for the import of a plugin
CLASH = "a name taken twice"  # the one problem that does not put a plugin in quarantine

_Calls = queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]


class PluginThread:
    """The thread that runs all calls of one plugin. A call that hangs is left behind in it."""

    def __init__(self, name: str) -> None:
        self._calls: _Calls = queue.SimpleQueue()
        threading.Thread(target=_work, args=(self._calls,), daemon=True, name=f"plugin {name}").start()

    def call(self, function: Callable[[], Any], seconds: float) -> Any:
        """Return what the function returns, or raise what it raises.

        Raises `RuntimeError` when it takes over `seconds`, or raises something that would end the program.
        """
        future: Future[Any] = Future()
        self._calls.put((future, function))
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():  # the function itself raised it
                raise
            raise RuntimeError(f"took over {seconds:g} s") from None

    def __del__(self) -> None:
        self._calls.put(None)  # the thread ends with this object


def _work(calls: _Calls) -> None:
    while (call := calls.get()) is not None:
        future, function = call
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)
        except BaseException as error:  # a plugin may not end a run with SystemExit
            future.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
        del call, future, function  # the thread keeps no arguments alive while it waits


@dataclass(slots=True)
class Sandbox:
    """Calls plugins, and remembers which of them broke."""

    trusted: Collection[str] = ()  # plugins that are called directly: the built-in ones
    problems: list[PluginError] = field(default_factory=list)
    _threads: dict[str, PluginThread] = field(default_factory=dict)

    def call(
        self,
        hook: str,
        plugin: str,
        function: Callable[[], Any],
        seconds: float | None = None,
        *,
        user_errors: bool = False,
    ) -> Any:
        """Return what `function` returns; None when its plugin is in quarantine or this call puts it there.

        With `user_errors`, an `AutotlError` is raised: its message is for the user. Without `seconds` the limit
        is `CALL_SECONDS`.
        """
        if self.quarantined(plugin):
            return None
        try:
            if plugin in self.trusted:
                return function()
            return self.thread(plugin).call(function, CALL_SECONDS if seconds is None else seconds)
        except AutotlError as error:
            if user_errors:
                raise
            self.report(hook, plugin, str(error))
        except Exception as error:  # whatever a plugin raises must not end the run
            self.report(hook, plugin, text_of(error, "raised "))
        return None

    def quarantined(self, plugin: str) -> bool:
        """Return whether a plugin broke its contract, so that it is not called any more."""
        return any(problem.plugin == plugin for problem in self.problems if problem.hook != CLASH)

    def report(self, hook: str, plugin: str, message: str) -> None:
        """Add a problem to the list, once."""
        problem = PluginError(message, plugin=plugin, hook=hook)
        if str(problem) not in map(str, self.problems):  # each listing finds a clash again
            self.problems.append(problem)

    def thread(self, plugin: str) -> PluginThread:
        """Return the thread of a plugin."""
        if plugin not in self._threads:
            self._threads[plugin] = PluginThread(plugin)
        return self._threads[plugin]


def text_of(error: Exception, prefix: str = "") -> str:
    """Return an exception as text: `PluginThread`'s own as they stand, others with their type."""
    return str(error) if type(error) is RuntimeError else f"{prefix}{type(error).__name__}: {error}"
