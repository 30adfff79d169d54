"""Fetch weights in the background while a run probes the backbones whose weights are present."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from autotl.budget import Allowance
from autotl.errors import AutotlError
from autotl.records import BackboneSpec, Fact, Kind, Skipped, Weights, fact
from autotl.weights import hub

__all__ = ["SHARE", "Downloads", "megabytes"]

SHARE = 0.25  # of the budget: a download that takes longer is too late

Fetch = Callable[..., Path]


def megabytes(specs: Sequence[BackboneSpec]) -> float:
    """Return the size of the downloads in MB."""
    return sum((spec.weights.bytes or 0) / 1e6 for spec in specs if spec.weights is not None)


@dataclass(slots=True, kw_only=True)
class Downloads:
    """Downloads, one after another in a thread, until `allowance` ends.

    The thread ends with the process; a part of a file that has arrived is kept.
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
        """Return the backbones whose weights have arrived since the last call."""
        with self._news:
            came, self._came = self._came, []
            return came

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for the next one; return whether there is something to `take`."""
        with self._news:
            self._news.wait_for(lambda: bool(self._came) or not self._open, timeout=max(0.0, seconds))
            return bool(self._came)

    def close(self) -> list[Skipped]:
        """End the downloads and return those that failed or were too late, with reasons."""
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
