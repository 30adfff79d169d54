"""The run folder while it is written: events, result.json, and the model in place."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from autotl import hardware
from autotl.budget import Budget
from autotl.errors import RunError
from autotl.options import Options
from autotl.plugins.manager import Plugins
from autotl.records import Event, Interval, result
from autotl.run_folder import result_file


@dataclass(slots=True)
class Journal:
    """The run folder as it is being written: events, trials, result.json."""

    folder: Path
    budget: Budget
    plugins: Plugins
    observers: Sequence[Callable[[Event], None]]
    state: result.Recommendation | None = None
    best: float | None = None
    before: float = 0.0  # seconds of the run that is continued
    interval: Interval | None = None  # of the best, or what stands for it

    def say(
        self,
        stage: str,
        message: str,
        candidate: str | None = None,
        score: float | None = None,
        forecast: float | None = None,
    ) -> None:
        """An event: a line of events.jsonl, and a call to every observer."""
        memory = hardware.held()
        event = Event(
            time=round(self.before + self.budget.spent, 3),
            stage=stage,
            message=message,
            candidate=candidate,
            score=score,
            best=self.best,
            left=round(self.budget.left, 1),
            low=None if self.interval is None else self.interval.low,
            high=None if self.interval is None else self.interval.high,
            forecast=None if forecast is None else round(forecast, 1),
            memory=memory,
            granted=memory + hardware.memory(),
            folder=str(self.folder),
        )
        told = {key: value for key, value in asdict(event).items() if value is not None and key != "folder"}
        line = json.dumps(told)
        with open(self.folder / "events.jsonl", "a", encoding="utf-8") as file:
            file.write(line + "\n")
        for observer in self.observers:
            observer(event)
        self.plugins.notify(event)

    def write(self, **changes: object) -> result.Recommendation:
        """Changes the state and writes result.json."""
        assert self.state is not None
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        result_file.write(self.state, self.folder)
        return self.state


def run_folder(options: Options) -> Path:
    """A new folder for a run: the one asked for, which must be empty, or one named after the data and the time."""
    if options.out is None:
        name = Path(options.source).resolve().name or "data"
        stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        folder = Path("runs") / stem
        number = 1
        while folder.exists():
            number += 1
            folder = Path("runs") / f"{stem}-{number}"
    else:
        folder = Path(options.out)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"{folder} is not empty; expected a new or empty folder; choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ship(model: Path, folder: Path) -> None:
    """Puts a copy of a model folder in place as ``model/``; between two renames the old one is ``.model.old``."""
    fresh, old = folder / ".model.new", folder / ".model.old"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(model, fresh)
    if (folder / "model").exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder / "model", old)
    os.replace(fresh, folder / "model")
    shutil.rmtree(old, ignore_errors=True)
