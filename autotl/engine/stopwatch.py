"""Measure the worker's seconds by kind of work.

    with stopwatch.on("forward"):
        ...

Blocks may be nested: a second counts once, for the innermost. The worker does one thing at a time, so the
process has one watch. On a GPU kernels run asynchronously; their time counts for the block that waits for them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

# Pixels to input batches with their augmentation; passes through a network; gradients and the optimiser's step;
# building networks and reading their weights; heads in closed form; timing precisions and batches; reading and
# writing features, models and predictions, and all else.
KINDS = ("decode", "forward", "backward", "build", "head", "timing", "other")

_seconds = dict.fromkeys(KINDS, 0.0)
_running: list[str] = []
_since = 0.0


@contextmanager
def on(kind: str) -> Iterator[None]:
    """Count the seconds of a block, or of a decorated function, also when it raises."""
    _add()
    _running.append(kind)
    try:
        yield
    finally:
        _add()
        _running.pop()


def so_far() -> dict[str, float]:
    """Return the seconds by kind since the process began."""
    _add()
    return dict(_seconds)


def since(before: dict[str, float]) -> dict[str, float]:
    """Return the seconds by kind since `so_far` returned `before`."""
    return {kind: seconds - before[kind] for kind, seconds in so_far().items()}


def _add() -> None:
    """Add the time since the last change to the kind that was running."""
    global _since  # noqa: PLW0603
    now = time.perf_counter()
    if _running:
        _seconds[_running[-1]] += now - _since
    _since = now
