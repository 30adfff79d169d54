"""Call each plugin alone: in a thread of its own, within a time limit, and not again after it broke."""

from __future__ import annotations

import os
import queue
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autotl.errors import AutotlError, PluginError

_PACKAGES = sysconfig.get_path("purelib")
_LIBRARIES = tuple(f"{_PACKAGES}{os.sep}{name}{os.sep}" for name in ("torch", "torchvision", "timm", "numpy"))
_OWN = f"{Path(__file__).parents[1]}{os.sep}"
CALL_SECONDS = 10.0  # a call of a hook that takes longer has failed
LOAD_SECONDS = 120.0  # the same for load_dataset: listing the items of a source may mean reading a long index
ENGINE_SECONDS = 60.0  # the same for make_engine, which may have to find a cluster
IMPORT_SECONDS = 10.0  # the same for the import of a plugin
CLASH = "a name taken twice"  # the hook that such a problem stands under


class Escaped(RuntimeError):
    """A call that did not return and raised no exception of its own: the message says what happened."""


class Overdue(Escaped):
    """A call that takes over its limit. Its thread is lost: it may go on for ever."""


_Calls = queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]


class PluginThread:
    """The thread that runs all calls of one plugin. A call that hangs is left behind in it."""

    def __init__(self, name: str) -> None:
        self._calls: _Calls = queue.SimpleQueue()
        self._thread = threading.Thread(target=_work, args=(self._calls,), daemon=True, name=f"plugin {name}")
        self._thread.start()

    def post(self, function: Callable[[], Any]) -> Future[Any]:
        """Call a function after those that wait already; return the future of its result at once."""
        future: Future[Any] = Future()
        self._calls.put((future, function))
        return future

    def call(self, function: Callable[[], Any], seconds: float) -> Any:
        """Return what the function returns, or raise what it raises.

        Raises `Overdue` when it takes over `seconds`, `Escaped` when it raises what would end the program.
        """
        future = self.post(function)
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():  # the function itself raised it
                raise
            raise Overdue(f"took over {seconds:g} s{self.place()}") from None

    def place(self) -> str:
        """Return the line that the thread is at, as the end of a sentence: the innermost one of a plugin's code."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        lines = traceback.extract_stack(frame) if frame is not None else []
        own = [line for line in lines if is_plugins(line.filename)]
        return f", in {own[-1].name} ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""

    def __del__(self) -> None:
        self._calls.put(None)  # the thread ends with this object


def is_plugins(file: str) -> bool:
    """Return whether a file is neither autotl's own nor one of Python or of a library that calls plugins."""
    if file.startswith((_OWN, "<", *_LIBRARIES)):
        return False
    return file.startswith(_PACKAGES) or not file.startswith(sysconfig.get_path("stdlib"))


def _work(calls: _Calls) -> None:
    while (call := calls.get()) is not None:
        future, function = call
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)
        except BaseException as error:  # a plugin may not end a run with SystemExit
            future.set_exception(Escaped(f"raised {type(error).__name__}: {error}"))
        del call, future, function  # the thread keeps no arguments alive while it waits


@dataclass(slots=True)
class Sandbox:
    """Calls plugins, and remembers which of them broke."""

    trusted: Collection[
        str
    ] = ()  # the built-in plugins: called directly, and whatever the input, never quarantined
    problems: list[PluginError] = field(default_factory=list)
    hung: set[str] = field(
        default_factory=set
    )  # plugins with a call that did not return: no other can be made
    _broken: set[str] = field(default_factory=set)
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
        try:
            return self.attempt(hook, plugin, function, seconds)
        except AutotlError as error:
            if user_errors:
                raise
            self.report(hook, plugin, str(error))
        except Exception as error:  # whatever a plugin raises must not end the run
            self.report(hook, plugin, text_of(error))
        return None

    def attempt(
        self, hook: str, plugin: str, function: Callable[[], Any], seconds: float | None = None
    ) -> Any:
        """Return what `function` returns and raise what it raises, which has no consequence for its plugin.

        Returns None when the plugin is in quarantine, and when the call takes over its limit, which puts it there.
        """
        if self.quarantined(plugin):
            return None
        if plugin in self.trusted:
            return function()
        try:
            return self.thread(plugin).call(function, CALL_SECONDS if seconds is None else seconds)
        except Overdue as error:
            self.hung.add(plugin)
            self.report(hook, plugin, str(error))
            return None

    def quarantined(self, plugin: str) -> bool:
        """Return whether a plugin broke its contract, so that it is not called any more."""
        return plugin in self._broken

    def report(self, hook: str, plugin: str, message: str) -> None:
        """Add a problem to the list, once, and put its plugin in quarantine."""
        self.name(hook, plugin, message)
        if plugin not in self.trusted:
            self._broken.add(plugin)

    def leave_out(self, problem: PluginError) -> None:
        """Put a plugin in quarantine that cannot be registered."""
        self.problems.append(problem)
        self._broken.add(problem.plugin)

    def name(self, hook: str, plugin: str, message: str) -> None:
        """Add a problem to the list, once: each listing finds it again. The plugin is still called."""
        problem = PluginError(message, plugin=plugin, hook=hook)
        if str(problem) not in map(str, self.problems):
            self.problems.append(problem)

    def thread(self, plugin: str) -> PluginThread:
        """Return the thread of a plugin."""
        if plugin not in self._threads:
            self._threads[plugin] = PluginThread(plugin)
        return self._threads[plugin]


def text_of(error: Exception) -> str:
    """Return an exception as text: `Escaped` as it stands, others with their type."""
    return str(error) if isinstance(error, Escaped) else f"raised {type(error).__name__}: {error}"
