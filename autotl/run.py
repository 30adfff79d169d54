"""`Run`: the facade of a run folder. The folder is the product; nothing but its path is state."""

from __future__ import annotations

import itertools
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from autotl import leaderboard, result
from autotl.budget import Allowance, parse_seconds
from autotl.errors import RunError
from autotl.records import Decision, Event, Finding, Metric, Prefer, Profile
from autotl.result import Recommendation

if TYPE_CHECKING:
    import os

    import pandas as pd

    from autotl import pipeline
    from autotl.plan import Plan

_BATCH = 256  # files handed to the worker at once: rows come out as it goes, memory stays flat
_SECONDS_A_FILE = 10.0  # far more than any image takes; a worker that hangs is ended
_SECONDS_TO_START = 120.0
_PROFILE_SIDE = 64  # pixels: what is measured of an image is measured before it is made smaller


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one file; without a label where `error` says why."""

    path: str
    label: str | None
    probability: float | None
    error: str | None


class Run:
    """A run folder, opened.

    Everything is read from the folder when it is asked for, so a `Run` of a folder that is still being
    written shows how far it has come, and one of a folder that was moved works after `autotl.load`.
    """

    __slots__ = ("path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def result(self) -> result.Recommendation:
        """All that the run recorded. Raises `RunError` when the folder does not hold it."""
        return result.read(self.path)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """A row a candidate, best first; `autotl.leaderboard` names the columns."""
        return leaderboard.frame(leaderboard.rows(self.result))

    @property
    def decision(self) -> Decision | None:
        """Winner, winner's set, margin and reasons; None as long as nothing was decided."""
        return self.result.decision

    @property
    def profile(self) -> Profile:
        """What the data are."""
        return self.result.profile

    @property
    def recommendation(self) -> str:
        """What to do, in plain words."""
        from autotl import report

        return report.summary(self.result)

    def decide(
        self,
        *,
        prefer: Prefer | None = None,
        metric: Metric | None = None,
        max_params: float | None = None,
        max_latency: float | None = None,
        apply: bool = False,
    ) -> Recommendation:
        """Decides again from what the run recorded, without training: a result as it would be.

        What is not given stays as the run had it; `max_latency` is in seconds an image. With `apply` the
        folder takes it over, which needs a full fit of the winner: else `RunError`.
        """
        from autotl import revise

        limit = None if max_params is None else int(max_params)
        found = revise.revise(
            self.path, prefer=prefer, metric=metric, max_params=limit, max_latency=max_latency
        )
        if apply:
            revise.adopt(self.path, found)
        return found.state

    def extend(
        self,
        budget: str | float | None = None,
        *,
        source: str | os.PathLike[str] | None = None,
        backbones: str | Sequence[str] = (),
        weights: str | Sequence[str] = (),
        offline: bool = False,
        command: str = "",
        observers: Sequence[Callable[[Event], None]] = (),
        started: float | None = None,
    ) -> Run:
        """Goes on with this run for `budget`, or with what an interrupted one had left; returns it.

        What was tried is not trained again, images keep their part, and new images train. `backbones` and
        `weights` add to those of the run; `source` says where its images lie now. Raises an `AutotlError`
        for whatever the caller can put right, and leaves the folder as it was.
        """
        from autotl import pipeline, resume

        earlier = resume.read(self.path)
        seconds = resume.time_left(earlier.state) if budget is None else parse_seconds(_plain(budget))
        before = pipeline.Options(**_options(earlier.state.options))
        options = replace(
            before,
            source=before.source if source is None else str(source),
            budget=seconds,
            out=str(self.path),
            more=tuple(dict.fromkeys((*before.more, *_several(backbones)))),
            weights=tuple(dict.fromkeys((*before.weights, *_several(weights)))),
            offline=before.offline or offline,
            command=" && ".join(filter(None, (earlier.state.command, command))),
        )
        pipeline.recommend(options, observers=observers, started=started, earlier=earlier)
        return self

    def predict(self, paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> pd.DataFrame:
        """Label and probability of images, as a DataFrame: path, label, probability, error.

        A folder stands for the images in it. What cannot be read is a row with its error. Raises
        `RunError` when the folder holds no model, `EngineError` when torch cannot run.
        """
        import pandas as pd

        many = [paths] if isinstance(paths, str) or hasattr(paths, "__fspath__") else list(paths)
        found = list(self.predictions([str(path) for path in many]))
        return pd.DataFrame(
            {
                "path": [row.path for row in found],
                "label": pd.array([row.label for row in found], dtype="str"),
                "probability": pd.array([row.probability for row in found], dtype="Float64").astype(
                    "float64"
                ),
                "error": pd.array([row.error for row in found], dtype="str"),
            }
        )

    def predictions(self, paths: Iterable[str], *, device: str = "auto") -> Iterator[Prediction]:
        """The same as `predict`, one at a time, in the order of `paths` and with flat memory."""
        places = (
            self.path / "model",
            self.path / ".model.old",
        )  # the second if it was killed between renames
        model = next((place for place in places if (place / "model.json").is_file()), None)
        if model is None:
            raise RunError(
                f"{self.path} holds no model yet; one is there once the first training has finished"
            )
        return _predictions(model, paths, device)

    def __repr__(self) -> str:
        try:
            found = self.result
        except RunError:
            return f"Run({str(self.path)!r}, unreadable)"
        if found.winner is None:
            return f"Run({str(self.path)!r}, {found.status}, no winner)"
        return (
            f"Run({str(self.path)!r}, {found.status}, {found.winner.candidate}, {found.winner.score_val:.3f})"
        )

    def _repr_html_(self) -> str:
        try:
            words = escape(self.recommendation)
        except RunError as error:
            return f"<p>{escape(str(error))}</p>"
        table = self.leaderboard[["candidate", "score_val", "ci_low", "ci_high", "fit_time", "pred_time"]]
        return (
            f"<p>{words}</p>{table.head(10).to_html(index=False, escape=True)}<p>{escape(str(self.path))}</p>"
        )


def load(path: str | os.PathLike[str]) -> Run:
    """The run in a folder. Raises `RunError` when the folder is not one."""
    run = Run(path)
    _ = run.result
    return run


def recommend(
    source: str | os.PathLike[str],
    budget: str | float = "10m",
    *,
    out: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    test_size: float | None = None,
    weights: str | Sequence[str] = (),
    backbones: str | Sequence[str] = (),
    strategies: str | Sequence[str] = (),
    group: str | None = None,
    label: str | None = None,
    metric: Metric | None = None,
    prefer: Prefer = "accuracy",
    max_params: float | None = None,
    max_latency: float | None = None,
    max_memory: float | None = None,
    licence: str | Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
    seed: int = 0,
    offline: bool = False,
    refit: bool = False,
    command: str = "",
    observers: Sequence[Callable[[Event], None]] = (),
    started: float | None = None,
) -> Run:
    """Finds the best way to carry a pretrained backbone over to some data, and trains it.

    Takes the options of ``autotl run``: `budget` as text or seconds, `max_latency` in seconds an image,
    `max_memory` in bytes, lists where the command line repeats an option. `observers` are called with
    each `Event`; `started` is the `time.monotonic()` from which the budget counts, now by default.

    Raises an `AutotlError` for whatever the caller can put right.
    """
    from autotl import pipeline

    given = {
        "out": out if out is not None else run_folder(str(source)),
        "test": test,
        "test_size": test_size,
        "weights": weights,
        "backbones": backbones,
        "strategies": strategies,
        "group": group,
        "label": label,
        "metric": metric,
        "prefer": prefer,
        "max_params": max_params,
        "max_latency": max_latency,
        "max_memory": max_memory,
        "licence": licence,
        "device": device,
        "precision": precision,
        "seed": seed,
        "offline": offline,
        "refit": refit,
        "command": command,
    }
    return Run(pipeline.recommend(_asked(source, budget, given), observers=observers, started=started))


def plan(source: str | os.PathLike[str], budget: str | float = "10m", **options: Any) -> Plan:
    """What `recommend` would try with the same options, with a forecast of its price; ``autotl run --dry-run``.

    Decodes, fetches, trains and writes nothing. Raises what `recommend` raises before torch starts.
    """
    from autotl import plan as stage

    return stage.plan(_asked(source, budget, options))


def _asked(source: str | os.PathLike[str], budget: str | float, given: dict[str, Any]) -> pipeline.Options:
    """The options as the pipeline takes them: texts for paths, tuples for lists, whole numbers for counts."""
    from autotl import pipeline

    values = {name: value for name, value in given.items() if value is not None}
    for name in ("out", "test"):
        if name in values:
            values[name] = str(values[name])
    for name in ("weights", "backbones", "strategies", "licence"):
        values[name] = _several(values.get(name, ()))
    for name in ("max_params", "max_memory"):
        if name in values:
            values[name] = int(values[name])
    return pipeline.Options(source=str(source), budget=parse_seconds(budget), **values)


def profile(
    source: str | os.PathLike[str],
    *,
    test: str | os.PathLike[str] | None = None,
    group: str | None = None,
    label: str | None = None,
) -> Profile:
    """What the data are; reads every image once and trains nothing. Raises `DatasetError`."""
    from autotl import dataset, pixels
    from autotl import profile as stage
    from autotl.plugins import load_plugins

    named = {"test": test, "group": group, "label": label}
    options = {key: str(value) for key, value in named.items() if value is not None}
    data = dataset.load(str(source), options, load_plugins())
    with tempfile.TemporaryDirectory(prefix="autotl-") as work:
        unlimited = Allowance(deadline=float("inf"))
        decoded = pixels.decode(list(data.files), work, side=_PROFILE_SIDE, allowance=unlimited)
    found = stage.profile(data, decoded.statistics, decoded.thumbnails)
    broken = tuple(str(data.names[row]) for row in decoded.errors)
    unreadable = Finding(
        kind="broken", what=f"{len(broken)} images could not be decoded", count=len(broken), where=broken[:20]
    )
    findings = (*data.findings, *([unreadable] if broken else []), *found.findings)
    return replace(found, findings=findings)


def run_folder(source: str) -> Path:
    """Where a run goes that was given no folder: ``runs/<name>-<time>``."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).resolve().stem).strip("-.") or "run"
    return Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _options(recorded: dict[str, Any]) -> dict[str, Any]:
    """Options as a run recorded them: JSON's lists are tuples again."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in recorded.items()}


def _plain(budget: str | float) -> str | float:
    return budget.strip().removeprefix("+") if isinstance(budget, str) else budget


def _several(value: str | os.PathLike[str] | Sequence[str]) -> tuple[str, ...]:
    return (str(value),) if isinstance(value, str) or hasattr(value, "__fspath__") else tuple(map(str, value))


def _predictions(model: Path, paths: Iterable[str], device: str) -> Iterator[Prediction]:
    from autotl.engine import client

    classes = _classes(model)
    # The worker writes beside itself, and a run folder may be read-only or somebody else's.
    with tempfile.TemporaryDirectory(prefix="autotl-") as work:
        engine = client.connect(folder=work, device=device, offline=True)
        try:
            files = _files(paths)
            while batch := list(itertools.islice(files, _BATCH)):
                allowance = Allowance(
                    deadline=time.monotonic() + _SECONDS_TO_START + _SECONDS_A_FILE * len(batch)
                )
                probabilities, errors = engine.predict(str(model.absolute()), batch, allowance)
                for path, row, error in zip(batch, probabilities, errors, strict=True):
                    if error is not None:
                        yield Prediction(path, None, None, error)
                    else:
                        best = int(row.argmax())
                        yield Prediction(path, classes[best], float(row[best]), None)
        finally:
            engine.close()


def _classes(model: Path) -> list[str]:
    file = model / "model.json"
    try:
        classes = msgspec.json.decode(file.read_bytes())["classes"]
    except (OSError, msgspec.DecodeError, KeyError, TypeError) as error:
        raise RunError(
            f"{file} names no classes ({error}); expected a model folder written by autotl"
        ) from error
    return [str(name) for name in classes]


def _files(paths: Iterable[str]) -> Iterator[str]:
    """Paths as they are, folders replaced by the images in them."""
    from autotl.builtin.data import images_below

    for path in paths:
        if Path(path).is_dir():
            yield from map(str, images_below(Path(path)))
        else:
            yield path
