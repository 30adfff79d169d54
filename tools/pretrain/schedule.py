"""The progress of a training, by steps and, where a time is set, by the clock."""

from __future__ import annotations

import math


class Progress:
    """A fraction from 0 to 1 that advances by one step of `steps`, faster when the clock demands it.

    With no deadline the fraction is a function of the step alone, so that a training can be repeated.
    With one, the rest is spread over the steps that still fit, at the pace of the latest ones: the
    schedule then ends in time and complete, also after the process was paused.
    """

    def __init__(self, steps: int, deadline: float | None = None) -> None:
        self.steps = steps
        self.deadline = deadline
        self.value = 0.0
        self._last: float | None = None
        self._pace = 0.0

    def advance(self, now: float) -> float:
        """Count one step and return the new fraction; `now` is in the deadline's clock."""
        stride = 1.0 / self.steps
        if self.deadline is not None:
            if self._last is not None:
                took = now - self._last
                # A pause is not the pace: single slow steps count at most ten times the usual.
                self._pace = (
                    took if self._pace == 0 else 0.98 * self._pace + 0.02 * min(took, 10 * self._pace)
                )
            left = self.deadline - now
            if left <= 0:
                stride = 1.0
            elif self._pace:
                stride = max(stride, (1.0 - self.value) * self._pace / left)
            self._last = now
        self.value = min(1.0, self.value + stride)
        if self.value > 1.0 - 1e-9:
            self.value = 1.0
        return self.value


def rate(progress: float, warmup: float = 0.05, floor: float = 0.01) -> float:
    """Return the factor on the peak learning rate: linear warm-up, then half a cosine down to `floor`."""
    if progress < warmup:
        return max(0.02, progress / warmup)
    along = (progress - warmup) / (1.0 - warmup)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * along))
