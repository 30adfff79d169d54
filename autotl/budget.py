"""Time: what may be spent (Budget), what was (Ledger), and the right to spend some (Allowance).

The clock is an argument everywhere, so that tests and replay run on a clock of their own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event as Flag
from typing import Protocol

from autotl.errors import BudgetError
from autotl.records import Charge

Clock = Callable[[], float]

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_seconds(text: str | float) -> float:
    """Return the seconds of ``90s``, ``10m``, ``1h``, ``1h30m`` or a plain number.

    Raises `BudgetError` when the text is none of these or not positive.

    >>> parse_seconds("90s"), parse_seconds("10m"), parse_seconds("1h30m"), parse_seconds(45)
    (90.0, 600.0, 5400.0, 45.0)
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(min|[smh]?)", str(text).strip().lower())
    whole = re.fullmatch(r"(?:\d+(?:\.\d+)?\s*(?:min|[smh])?\s*)+", str(text).strip().lower())
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts) if whole else 0.0
    if seconds <= 0 or seconds == float("inf"):
        raise BudgetError(f"{str(text)!r} is not a duration; use 90s, 10m, 1h or plain seconds")
    return seconds


@dataclass(slots=True)
class Allowance:
    """The right to spend some seconds: a deadline on a clock, and a token that takes it back.

    A worker that is late is not ended for `patience` seconds more than usual: where there is no model yet, ending it
    would gain nothing.
    """

    deadline: float
    clock: Clock = time.monotonic
    cancelled: Flag = field(default_factory=Flag)
    patience: float = 0.0

    @property
    def left(self) -> float:
        """Return the seconds until the deadline, at least 0; 0 when cancelled."""
        return 0.0 if self.cancelled.is_set() else max(0.0, self.deadline - self.clock())

    @property
    def expired(self) -> bool:
        return self.left <= 0.0

    def share(self, fraction: float) -> Allowance:
        """Return a fraction of the time left, under the same cancel token."""
        return replace(self, deadline=self.clock() + fraction * self.left)

    def without(self, seconds: float) -> Allowance:
        """Return the allowance that ends so many seconds earlier."""
        return replace(self, deadline=self.deadline - seconds)


class Metered(Protocol):
    """Something that counts its own seconds, such as an engine."""

    @property
    def worked(self) -> dict[str, float]:
        """Return the seconds so far, by kind."""
        ...


@dataclass(slots=True)
class Ledger:
    """Seconds that were spent, by stage, in the order of their first use."""

    clock: Clock = time.monotonic
    charges: list[Charge] = field(default_factory=list)
    meter: Callable[[], Mapping[str, float]] = dict  # seconds that the engine has worked so far, by kind

    def metered_by(self, worker: Metered) -> Ledger:
        """Return a ledger that goes on with these charges and books the seconds of `worker` as well."""
        return replace(self, meter=lambda: worker.worked)

    @contextmanager
    def charge(self, stage: str) -> Iterator[None]:
        """Add the seconds of a block, also when it raises, and the engine's work in them."""
        start, before = self.clock(), self.meter()
        try:
            yield
        finally:
            seconds, worked = self.clock() - start, _difference(self.meter(), before)
            self.charges.append(Charge(stage=stage, seconds=seconds, worked=worked))

    def by_stage(self) -> dict[str, float]:
        """Return the seconds by stage, in order of first use."""
        total: dict[str, float] = {}
        for charge in self.charges:
            total[charge.stage] = total.get(charge.stage, 0.0) + charge.seconds
        return total

    def worked(self) -> dict[str, dict[str, float]]:
        """Return the seconds of the engine by stage and kind, where it did anything."""
        total: dict[str, dict[str, float]] = {}
        for charge in self.charges:
            for kind, seconds in charge.worked.items():
                stage = total.setdefault(charge.stage, {})
                stage[kind] = stage.get(kind, 0.0) + seconds
        return total


def _difference(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds that were added, by kind."""
    added = {kind: seconds - before.get(kind, 0.0) for kind, seconds in now.items()}
    return {kind: seconds for kind, seconds in added.items() if seconds > 0}


@dataclass(slots=True)
class Budget:
    """The wall-clock of a whole run, and the part of it that is reserved for its end."""

    seconds: float
    start: float
    clock: Clock = time.monotonic
    cancelled: Flag = field(default_factory=Flag)

    @property
    def spent(self) -> float:
        return self.clock() - self.start

    @property
    def left(self) -> float:
        """Return the seconds left, at least 0; 0 when cancelled."""
        return 0.0 if self.cancelled.is_set() else max(0.0, self.seconds - self.spent)

    def allowance(
        self, seconds: float | None = None, *, reserve: float = 0.0, patience: float = 0.0
    ) -> Allowance:
        """Return an allowance of at most `seconds` that spares the last `reserve` seconds of the budget."""
        end = self.start + self.seconds - reserve
        now = self.clock()
        deadline = end if seconds is None else min(end, now + seconds)
        return Allowance(
            deadline=deadline, clock=self.clock, cancelled=self.cancelled, patience=max(0.0, patience)
        )
