"""Run the calls of one plugin in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

_Calls = queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]


class Room:
    """A thread of its own for a guest's calls: one that hangs is left behind in it. It ends with this object."""

    def __init__(self, name: str) -> None:
        self._calls: _Calls = queue.SimpleQueue()
        threading.Thread(target=_work, args=(self._calls,), daemon=True, name=f"plugin {name}").start()

    def call(self, function: Callable[[], Any], seconds: float) -> Any:
        """What the function returns or raises; a RuntimeError when it tries to end the program or is late."""
        future: Future[Any] = Future()
        self._calls.put((future, function))
        try:
            return future.result(seconds)
        except TimeoutError:
            if future.done():  # its own
                raise
            raise RuntimeError(f"took over {seconds:g} s") from None

    def __del__(self) -> None:
        self._calls.put(None)


def _work(calls: _Calls) -> None:
    while (call := calls.get()) is not None:
        future, function = call
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)
        except BaseException as error:  # SystemExit is no way for a plugin to end a run
            future.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
        del call, future, function  # what a guest was handed is not kept while it waits
