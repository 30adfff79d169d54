"""The run folder while it is written: events.jsonl, result.json, and the model in place."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

from autotl import hardware
from autotl.budget import Budget, Ledger
from autotl.cache import append, atomic_folder, copy_folder
from autotl.errors import RunError
from autotl.options import Options
from autotl.plugins.manager import Plugins
from autotl.records import Event, Fact, Interval, Kind, Ranking
from autotl.records.result import Recommendation
from autotl.report import wording
from autotl.run_folder import result_file
from autotl.run_folder.lock import FILE as LOCK
from autotl.run_folder.lock import hold

__all__ = ["Journal", "claimed", "ship"]

REQUIRED = frozenset({"data", "profile", "goal", "metric"})  # of a result, before it can be written
EVENTS = "events.jsonl"


@dataclass(slots=True, kw_only=True)
class Journal:
    """Writes what a run does into its folder. Notes and fields only grow; stages read their records instead."""

    folder: Path
    budget: Budget
    ledger: Ledger
    plugins: Plugins
    observers: Sequence[Callable[[Event], None]]
    earlier: Recommendation | None = None  # the result of the run that is continued
    _fields: dict[str, Any] = field(default_factory=dict)
    _notes: list[Fact] = field(default_factory=list)
    _best: float | None = None
    _interval: Interval | None = None
    _problems: int = 0  # of plugins, that were reported

    @property
    def recorded(self) -> bool:
        """Return whether the folder has a result."""
        return self._fields.keys() >= REQUIRED

    @property
    def has_score(self) -> bool:
        """Return whether a trial was recorded that has a score."""
        return any(result.score_val is not None for result in self._fields.get("trials", ()))

    @property
    def worth_keeping(self) -> bool:
        """Return whether the folder is of use: a trial has a score, or the run was concluded."""
        return self.has_score or self._fields.get("status", "running") != "running"

    @property
    def result(self) -> Recommendation:
        """Return the result as it stands. Only once `recorded`."""
        return Recommendation(**self._fields)

    @property
    def before(self) -> float:
        """Return the seconds of the run that is continued."""
        return 0.0 if self.earlier is None else self.earlier.seconds.get("total", 0.0)

    @property
    def peak(self) -> int:
        """Return the most bytes that the engine has held so far."""
        return int(self._fields.get("peak", 0))

    def note(self, fact: Fact) -> None:
        """Add a fact that the report shows beside its figures; one that is there already is not added again."""
        if fact not in self._notes:
            self._notes.append(fact)

    @property
    def notes(self) -> tuple[Fact, ...]:
        """Return the facts that were noted so far."""
        return tuple(self._notes)

    def event(
        self,
        stage: str,
        fact: Fact,
        candidate: str | None = None,
        score: float | None = None,
        forecast: float | None = None,
    ) -> None:
        """Write a line to events.jsonl and call every observer; those of plugins are called aside."""
        event = self._event(stage, fact, candidate, score, forecast)
        self._append(event)
        for observer in self.observers:
            observer(event)
        self.plugins.notify(event)

    def end(self, status: Literal["finished", "interrupted", "failed"], error: str = "") -> None:
        """Write the last event, and wait within limits until the observers of plugins have taken it.

        A full disk raises nothing: the run is over, or an error is on its way. What one of the run's own observers raises
        is raised.
        """
        event = self._event("end", Fact(kind=Kind.RUN_ENDED, values={"status": status, "error": error}))
        with suppress(OSError):
            self._append(event)
        for observer in self.observers:
            observer(event)
        before = len(self.plugins.problems)
        self.plugins.close(event)
        if len(self.plugins.problems) > before and self.recorded:
            with suppress(OSError):
                self.record()

    def _event(
        self,
        stage: str,
        fact: Fact,
        candidate: str | None = None,
        score: float | None = None,
        forecast: float | None = None,
    ) -> Event:
        memory = hardware.held()
        return Event(
            time=round(self.before + self.budget.spent, 3),
            stage=stage,
            kind=fact.kind,
            values=fact.values,
            message=wording.sentence(fact),
            candidate=candidate,
            score=score,
            best=self._best,
            left=round(self.budget.left, 1),
            low=None if self._interval is None else self._interval.low,
            high=None if self._interval is None else self._interval.high,
            forecast=None if forecast is None else round(forecast, 1),
            memory=memory,
            granted=memory + hardware.memory(),
            folder=str(self.folder),
        )

    def _append(self, event: Event) -> None:
        columns = {
            key: value for key, value in asdict(event).items() if value is not None and key != "folder"
        }
        append(self.folder / EVENTS, json.dumps(columns).encode() + b"\n")

    def standing(self, best: float | None, interval: Interval | None) -> None:
        """Set the best score so far and its interval, which the events to come carry."""
        self._best, self._interval = best, interval

    def held(self, peak: int) -> None:
        """Take note of the bytes that the engine held at some time; the result has the most."""
        self._fields["peak"] = max(peak, self._fields.get("peak", 0))

    def record(self, **fields: Any) -> None:
        """Set fields of the result and write result.json, once the fields that it needs are there."""
        self._fields.update(fields)
        self._fields["notes"] = tuple(self._notes)
        self._fields["problems"] = tuple(str(problem) for problem in self.plugins.problems)
        self._fields["plugins"] = self.plugins.guests(self._used())
        self._fields["seconds"] = self._seconds()
        self._fields["worked"] = self._worked()
        if self.recorded:
            result_file.write(self.result, self.folder)

    def new_problems(self) -> Sequence[str]:
        """Return the problems of plugins that came since this was last called."""
        problems = [str(problem) for problem in self.plugins.problems[self._problems :]]
        self._problems += len(problems)
        return problems

    def _used(self) -> dict[str, list[str]]:
        """Return what the run could choose from, by the hook that registers it."""
        ranking: Ranking | None = self._fields.get("ranking")
        return {
            "register_backbones": [spec.name for spec in self._fields.get("backbones", ())],
            "register_strategies": [strategy.name for strategy in self._fields.get("strategies", ())],
            "register_scores": [] if ranking is None else [weight.score for weight in ranking.weights],
        }

    def _seconds(self) -> dict[str, float]:
        """Return the seconds by stage, with those of the run that is continued."""
        own = {"budget": self.budget.seconds, "total": self.budget.spent, **self.ledger.by_stage()}
        return _added({} if self.earlier is None else self.earlier.seconds, own)

    def _worked(self) -> dict[str, dict[str, float]]:
        """Return the seconds of the engine by stage and kind, with those of the run that is continued."""
        before = {} if self.earlier is None else self.earlier.worked
        own = self.ledger.worked()
        return {stage: _added(before.get(stage, {}), own.get(stage, {})) for stage in {**before, **own}}


def _added(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    return {name: round(first.get(name, 0.0) + second.get(name, 0.0), 3) for name in {**first, **second}}


@contextmanager
def claimed(options: Options) -> Iterator[Path]:
    """Make the folder of a new run and hold it in the block: the one asked for, or one named after data and time.

    Raises `RunError` for a folder that is not empty, or that another run holds. Runs that begin in the same second
    without a folder of their own get different ones.
    """
    folder = None if options.out is None else Path(options.out)
    fresh = folder is None or not folder.exists()
    try:
        folder = _made(folder) if folder is not None else _fresh(options.source)
        with hold(folder):
            if any(entry.name != LOCK for entry in folder.iterdir()):
                raise _not_empty(folder)
            yield folder
    except BaseException:
        if fresh and folder is not None:
            with suppress(
                OSError
            ):  # it holds something, or is gone; Ctrl-C may come before anything is written
                folder.rmdir()
        raise


def _made(folder: Path) -> Path:
    if folder.exists() and not folder.is_dir():
        raise _not_empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _not_empty(folder: Path) -> RunError:
    return RunError(f"{folder} is not empty; expected a new or empty folder; choose another --out")


def _fresh(source: str) -> Path:
    """Make and return a new folder below runs/, named after source and time."""
    stem = f"{_name(source)}-{time.strftime('%Y%m%d-%H%M%S')}"
    for number in count(1):
        folder = Path("runs") / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError  # count() does not end


def _name(source: str) -> str:
    """Return the name of a source as the name of a folder."""
    kept = "".join(
        c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in Path(source).resolve().stem
    )
    return kept.strip("-.") or "run"


def ship(model: Path, folder: Path, name: str = "model") -> None:
    """Put a copy of a model folder in place as ``model/``, or under another name."""
    with atomic_folder(folder / name) as fresh:
        copy_folder(model, fresh)
