"""Weights that are fetched in the background while what is at hand is being probed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from autotl.budget import Allowance
from autotl.errors import AutotlError
from autotl.records import BackboneSpec, Fact, Kind, Skipped, Weights, fact
from autotl.weights import hub

__all__ = ["SHARE", "Arrivals", "megabytes"]

SHARE = 0.25  # of the budget: what has not come by then comes too late

Fetch = Callable[..., Path]


def megabytes(specs: Sequence[BackboneSpec]) -> float:
    """Megabytes of the downloads."""
    return sum((spec.weights.bytes or 0) / 1e6 for spec in specs if spec.weights is not None)


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """One download after another, in a thread, until `allowance` ends.

    The thread dies with the process; what it had fetched of a file is kept.
    """

    wanted: Sequence[BackboneSpec]
    allowance: Allowance
    fetch: Fetch = hub.fetch
    _came: list[BackboneSpec] = field(default_factory=list)
    _refused: list[Skipped] = field(default_factory=list)
    _open: list[BackboneSpec] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._open = list(self.wanted)
        if self.wanted:
            threading.Thread(target=self._work, daemon=True, name="autotl-downloads").start()

    def take(self) -> list[BackboneSpec]:
        """What has come since this was last asked."""
        with self._news:
            came, self._came = self._came, []
            return came

    def wait(self, seconds: float) -> bool:
        """Waits for the next one, at most so long; whether there is something to `take`."""
        with self._news:
            self._news.wait_for(lambda: bool(self._came) or not self._open, timeout=max(0.0, seconds))
            return bool(self._came)

    def close(self) -> list[Skipped]:
        """Ends the downloads; what was not to be had or came too late, and how to bring it."""
        self.allowance.cancelled.set()
        with self._news:
            late = [Skipped(name=spec.name, reason=_late(spec)) for spec in self._open]
            self._open = []
            return [*self._refused, *late]

    def _work(self) -> None:
        for spec in self.wanted:
            weights = spec.weights
            if self.allowance.expired or weights is None:
                return
            problem = self._bring(weights)
            with self._news:
                if spec not in self._open:  # closed meanwhile
                    return
                if isinstance(problem, hub.TooLate):
                    return  # it stays open: too late
                self._open.remove(spec)
                if problem is None:
                    self._came.append(replace(spec, weights=replace(weights, present=True)))
                else:
                    self._refused.append(
                        Skipped(name=spec.name, reason=fact(Kind.UNUSABLE, message=str(problem)))
                    )
                self._news.notify_all()

    def _bring(self, weights: Weights) -> Exception | None:
        try:
            self.fetch(weights, allowance=self.allowance)
        except AutotlError as error:
            return error
        except Exception as error:  # a full disk, a client of another version: a row, not the end of the run
            return AutotlError(f"{type(error).__name__}: {error}")
        return None


def _late(spec: BackboneSpec) -> Fact:
    size = (spec.weights.bytes or 0) if spec.weights is not None else 0
    return fact(Kind.DOWNLOAD_TOO_LATE, backbone=spec.name, bytes=size)
