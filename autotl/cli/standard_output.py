"""Standard output is the command's alone: what plugins and libraries print goes to standard error."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["of_the_command"]


class _OfOneThread:
    """Standard output for the thread that made it; what other threads print goes to standard error.

    Plugins are called in threads of their own (`autotl.plugins.sandbox`).
    """

    def __init__(self, stream: Any) -> None:
        self._stream, self._thread = stream, threading.get_ident()

    def write(self, text: str) -> int:
        own = threading.get_ident() == self._thread
        return int((self._stream if own else sys.stderr).write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def of_the_command() -> Iterator[None]:
    """Give standard output to this thread for the block, and file descriptor 1 of other code to standard error."""
    given = sys.stdout
    own: Any = given
    moved = -1
    try:
        if given.fileno() == 1:
            given.flush()
            moved = os.dup(1)
            os.dup2(2, 1)  # what a library or a child process of a plugin writes without Python's sys.stdout
            raw = io.FileIO(moved, "w", closefd=False)
            own = io.TextIOWrapper(io.BufferedWriter(raw), given.encoding, given.errors, line_buffering=True)
    except (OSError, ValueError, AttributeError, io.UnsupportedOperation):
        pass  # a stream without a descriptor, such as a test's
    sys.stdout = _OfOneThread(own)
    try:
        yield
    finally:
        sys.stdout = given
        if moved >= 0:
            try:
                own.flush()
            finally:
                os.dup2(moved, 1)
                os.close(moved)
