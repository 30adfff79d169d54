"""Progress of a command that takes images one after another, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

_REDRAWN, _LOGGED = 0.2, 30.0  # seconds between two counts, in a terminal and in a log


@contextmanager
def counting(*, quiet: bool = False, stream: TextIO | None = None) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that takes the number of finished images and of failed ones among them, and shows them.

    A terminal has one line that is overwritten; elsewhere a line is written every half minute.
    """
    stream = stream or sys.stderr
    terminal = stream.isatty()
    begun = shown = time.monotonic()
    last = (0, 0)

    def show(end: str) -> None:
        finished, bad = last
        seconds = time.monotonic() - begun
        failed = f", {bad:,} unreadable" if bad else ""
        stream.write(f"{finished:,} images{failed}, {finished / max(seconds, 1e-9):,.0f} images/s{end}")
        stream.flush()

    def count(finished: int, bad: int) -> None:
        nonlocal shown, last
        last = (finished, bad)
        if not quiet and time.monotonic() - shown > (_REDRAWN if terminal else _LOGGED):
            shown = time.monotonic()
            show("\x1b[K\r" if terminal else "\n")

    yield count
    if not quiet and shown > begun:
        show("\x1b[K\n" if terminal else "\n")
