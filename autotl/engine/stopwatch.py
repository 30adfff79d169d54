"""A stop-watch for the worker: seconds by what it did with them.

    with spent.on("forward"):
        ...

Blocks may lie within each other: a second is booked once, on the innermost. The worker does one thing at a
time, so the process has one watch. On a GPU kernels run behind; what is waited for last is booked with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

# Pixels to input batches with their augmentation; passes through a network; gradients and the optimiser's step;
# building networks and reading their weights; heads in closed form; trying out which precision is faster, and
# how fast; reading and writing features, models and predictions, and all else.
KINDS = ("decode", "forward", "backward", "build", "head", "timing", "other")

_seconds = dict.fromkeys(KINDS, 0.0)
_running: list[str] = []
_since = 0.0


@contextmanager
def on(kind: str) -> Iterator[None]:
    """Books the seconds of a block, or of a function that is decorated with it, also when it raises."""
    _book()
    _running.append(kind)
    try:
        yield
    finally:
        _book()
        _running.pop()


def so_far() -> dict[str, float]:
    """Seconds by kind since the process began."""
    _book()
    return dict(_seconds)


def since(before: dict[str, float]) -> dict[str, float]:
    """Seconds by kind since `so_far` said `before`."""
    return {kind: seconds - before[kind] for kind, seconds in so_far().items()}


def _book() -> None:
    """The time since the last change goes to what was running."""
    global _since  # noqa: PLW0603
    now = time.perf_counter()
    if _running:
        _seconds[_running[-1]] += now - _since
    _since = now
