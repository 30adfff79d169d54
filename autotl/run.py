"""`Run`: the facade of a run folder. The folder is the product; nothing but its path is state."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from autotl import predict as autotl_predict
from autotl.budget import parse_seconds
from autotl.builtin.sources import in_memory
from autotl.cache import atomic_write
from autotl.decision.evidence import representative_results
from autotl.errors import RunError, UnknownNameError
from autotl.options import (
    DEFAULT_BUDGET,
    DEFINITIONS,
    READING,
    OptionArguments,
    Options,
    converted,
    options_from,
    options_of_record,
    reading_options,
    several,
    takes,
    takes_options,
)
from autotl.plugins import provenance
from autotl.progress.live import live
from autotl.received import below, require_plain
from autotl.records import Decision, Event, Metric, Prefer, Profile, Trial
from autotl.records import result as records_result
from autotl.records.result import Recommendation
from autotl.run_folder import manifest, result_file
from autotl.run_folder import table as run_folder_table

if TYPE_CHECKING:
    import os

    import numpy as np
    import pandas as pd

    from autotl.engine.export import Format
    from autotl.pipeline import Tools
    from autotl.records import TargetName
    from autotl.records.evaluation import Evaluation, LabelSetEvaluation, NumberEvaluation
    from autotl.run_folder.resume import Earlier
    from autotl.stages.dry_run import Plan

# Options of a run that hold for another fit of its recipe.
_KEPT = {"source", *(name for name, definition in DEFINITIONS.items() if definition.refits)}
_SHOWN = 32  # images that an exported model is compared on


class Following(TypedDict, total=False):
    """The observers of a run, and what is recorded of its caller."""

    progress: bool  # show it in the terminal, in the notebook's cell or as lines, on standard error
    observers: Sequence[Callable[[Event], None]]  # called with each event
    command: str  # recorded
    started: float | None  # the `time.monotonic()` from which the budget counts; None: now


class Extending(Following, total=False):
    """What a run that is continued can be asked for besides."""

    distil_into: str | None  # smaller backbone that learns from the winner; None: as in the run


class Run:
    """A run folder, opened.

    Everything is read from the folder when it is asked for, so a `Run` of a folder that is still being
    written shows how far it has come, and one of a folder that was moved works after `autotl.load`.
    """

    __slots__ = ("path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def result(self) -> records_result.Recommendation:
        """Return all that the run recorded. Raises `RunError` when the folder does not hold it."""
        return result_file.read(self.path)

    @property
    def leaderboard(self) -> pd.DataFrame:
        """Return one row per candidate, best first; `autotl.run_folder.table` names the columns."""
        return run_folder_table.frame(run_folder_table.rows(self.result))

    @property
    def decision(self) -> Decision | None:
        """Return winner, winner's set, margin and reasons; None before the decision."""
        return self.result.decision

    @property
    def profile(self) -> Profile:
        """Return the profile of the data."""
        return self.result.profile

    @property
    def recommendation(self) -> str:
        """Return the recommendation in a few sentences."""
        from autotl.report import render

        return render.summary(self.result)

    def decide(
        self,
        *,
        prefer: Prefer | None = None,
        metric: Metric | None = None,
        max_params: float | None = None,
        max_latency: float | None = None,
        max_memory: float | None = None,
        licence: str | Sequence[str] = (),
        apply: bool = False,
    ) -> Recommendation:
        """Decide again from what the run recorded, without training, and return the new result.

        What is not given stays as the run had it; `max_latency` is in seconds an image, `max_memory` in bytes;
        memory was measured if the run had a limit on it. With `apply` the folder takes it over, which needs a
        full fit of the winner: else `RunError`.
        """
        from autotl.run_folder import redecide

        limit = None if max_params is None else int(max_params)
        with result_file.reading(self.path):
            revision = redecide.revise(
                self.path,
                prefer=prefer,
                metric=metric,
                max_params=limit,
                max_latency=max_latency,
                max_memory=None if max_memory is None else int(max_memory),
                licence=(licence,) if isinstance(licence, str) else licence,
            )
            if apply:
                redecide.adopt(self.path, revision)
        return revision.state

    def extend(
        self,
        budget: str | float | None = None,
        *,
        source: str | os.PathLike[str] | None = None,
        backbones: str | Sequence[str] = (),
        weights: str | Sequence[str] = (),
        offline: bool = False,
        history: str | os.PathLike[str] | None = None,
        engine: str = "local",
        slots: int | None = None,
        **following: Unpack[Extending],
    ) -> Run:
        """Continue this run for `budget`, or for the time that an interrupted one had left, and return it.

        What was tried is not trained again, images keep their part, and new images train. `backbones` and
        `weights` add to those of the run; `source` is the present place of its images; `offline`, `history`,
        `engine` and `slots` hold for this stretch alone: a run that was received names no file to be written and no
        engine. A run that was ended before its first result begins again, with its options. `distil_into`, `progress`,
        `observers`, `command` and `started` are as in `recommend`. Raises an `AutotlError` for whatever the caller can
        put right, and leaves the folder as it was.
        """
        from autotl import pipeline
        from autotl.run_folder import lock, resume

        into = following.pop("distil_into", None)
        with lock.hold(self.path), result_file.reading(self.path):
            before, earlier = _continued(self.path)
            begun = earlier is None  # and ended before its first result
            if budget is not None:
                seconds = parse_seconds(_plain(budget))
            else:
                seconds = before.budget if earlier is None else resume.time_left(earlier.state)
            commands = ("" if earlier is None else earlier.state.command, following.get("command", ""))
            options = replace(
                before,
                source=before.source if source is None else str(source),
                budget=seconds,
                out=str(self.path),
                more=tuple(dict.fromkeys((*before.more, *several(backbones)))),
                weights=tuple(dict.fromkeys((*before.weights, *several(weights)))),
                distil_into=before.distil_into if into is None else into,
                offline=offline or (begun and before.offline),
                history=None if history is None else str(history),
                engine=engine,
                slots=None if slots is None else int(slots),
                command=" && ".join(filter(None, commands)),
            )
            with _tools(following) as tools:
                pipeline.recommend(
                    options,
                    tools=tools,
                    started=following.get("started"),
                    earlier=earlier,
                    begun=begun,
                )
        return self

    @property
    def classes(self) -> tuple[str, ...]:
        """Display names of what the model tells apart, in the order of its outputs."""
        return tuple(autotl_predict.class_names(self._model()))

    @property
    def target(self) -> TargetName:
        """Kind of what the model predicts: multiclass, multilabel or regression."""
        return autotl_predict.description(self._model()).target

    @property
    def others(self) -> tuple[str, ...]:
        """Label columns that the model predicts besides the one that the run decided on."""
        return tuple(column.name for column in autotl_predict.description(self._model()).others)

    @property
    def module(self) -> Any:
        """Return the model as a plain `torch.nn.Module` in eval mode: images (B, 3, H, W) to logits (B, classes).

        Its `transform` makes the input (3, H, W) of a PIL image, `classes` names the outputs, and its `outputs` maps
        logits to predictions: ``softmax(logits / temperature)`` of classes, the calibrated probabilities; the sigmoid of
        several labels; a number in its unit. Imports torch here.
        """
        from autotl.engine import model

        return model.plain(self._model())

    def predict(self, images: Any, *, device: str = "auto", top: int = 1) -> pd.DataFrame:
        """Return the labels of images, as a DataFrame: path, label, probability, warning, error.

        `images` is one or several paths, PIL images or arrays, (H, W), (H, W, 3) or (H, W, 4) in uint8 or in
        floats from 0 to 1; a folder stands for the images in it, a CSV for those it lists. `top` above 1 adds
        label_2, probability_2 and so on. A model of numbers has value, low and high, the ends of its prediction
        interval; one of several labels an image has labels and label_1, probability_1 and so on; one of several
        label columns label:COLUMN and probability:COLUMN for each further one, not calibrated. What cannot be
        read is a row with its error. Raises `RunError` when the folder holds no model, `DatasetError` for what is
        no image, `EngineError` when torch cannot run.
        """
        many = autotl_predict.several(images)
        rows = list(self.predictions(many, device=device, top=top))
        return autotl_predict.frame(rows, top, self.target, self.others)

    def predictions(
        self, images: Iterable[Any], *, device: str = "auto", top: int = 1
    ) -> Iterator[autotl_predict.Prediction]:
        """Yield what `predict` returns, one at a time, in the order of `images` and with flat memory."""
        return autotl_predict.predictions(
            self._model(), images, device=device, top=top, absent=self._absent_reader()
        )

    def evaluate(
        self,
        data: str | os.PathLike[str],
        *,
        group: str | None = None,
        label: str | Sequence[str] | None = None,
        device: str = "auto",
    ) -> Evaluation | LabelSetEvaluation | NumberEvaluation:
        """Return how the model does on labelled images that the run has not seen; writes nothing.

        `data`, `group` and `label` are as in `recommend`; all images are used, whichever part they are in. Raises
        `DatasetError` where no image has a label of the model, else as `predict` does.
        """
        from autotl import evaluate

        options = reading_options(converted({"group": group, "label": label}))
        return evaluate.evaluate(self._model(), self.result, str(data), options, device=device)

    def embed(self, images: Any, *, device: str = "auto") -> np.ndarray:
        """Return the pooled features (n, d) float32 of images; NaN where one cannot be read.

        `images` and errors are as in `predict`.
        """
        return autotl_predict.embed(self._model(), autotl_predict.several(images), device=device)

    def fit(
        self,
        data: Any = None,
        *,
        candidate: str | None = None,
        group: str | None = None,
        out: str | os.PathLike[str] | None = None,
        budget: str | float = "1h",
        **following: Unpack[Following],
    ) -> Run:
        """Train the winner's recipe again, or that of another candidate, without a search.

        `data` replaces the run's own; without it the same images are split the same way. `group` names which of
        them stay together, "" that none do; by default as in the run. The outcome is a run
        of its own in `out`. `budget` is the most it may take; it ends as soon as the recipe is trained.
        `progress`, `observers`, `command` and `started` are as in `recommend`. Raises `UnknownNameError` for a
        candidate that was not trained here, else as `recommend` does.
        """
        from autotl import pipeline
        from autotl.data.doctor import expression_held
        from autotl.ranking.geometry import measured_geometry

        with result_file.reading(self.path):
            state = self.result
            recipe = _recipe(state, candidate)
            recorded = _recorded_options(state, self.path)
        given = {name: value for name, value in recorded.items() if name in _KEPT}
        if data is not None:  # options of the old data's parts and place need not hold for the new
            source, reading = in_memory.as_source(data, {})
            given = {k: v for k, v in given.items() if k not in {"test", "test_size", "root"}} | reading
            given["source"] = source
        else:
            provenance.require_reader(state.plugins)
        if data is None and (found := expression_held(state.profile.findings)) is not None:
            given.setdefault("group", found)  # the same images are split the same way
        if group is not None:
            given["group"] = group or None
        given.setdefault("geometry", measured_geometry(state.profile.findings))  # the recipe's
        options = replace(
            Options(**given),
            budget=parse_seconds(budget),
            out=None if out is None else str(out),
            backbones=(recipe.candidate.backbone,),
            strategies=(recipe.candidate.strategy,),
            metric=state.metric,
            command=following.get("command", ""),
        )
        with _tools(following) as tools:
            return Run(
                pipeline.recommend(options, tools=tools, started=following.get("started"), recipe=recipe)
            )

    def export(self, to: Format, out: str | os.PathLike[str] | None = None) -> Path:
        """Write the model for other programs (safetensors, torch-export or onnx) and return the folder.

        Beside it are config.json (preprocessing, labels, licence, how well the two agree on images of the run),
        the model card and an example that runs without autotl. `out` is a new or empty folder, in the run's own
        by default. Imports torch here. Raises `RunError` without a model, `EngineError` when the network cannot
        be written in that format.
        """
        from autotl.engine import export

        folder = Path(out) if out is not None else self.path / f"export-{to}"
        if out is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"{folder} is not empty; expected a new or empty folder; choose another --out")
        export.export(self._model(), folder, to, self._images(_SHOWN))
        card = self.path / "model" / "README.md"
        if card.is_file():
            atomic_write(folder / "README.md", card.read_bytes())
        return folder

    def _images(self, most: int) -> list[str]:
        """Return the run's images that are still where they were, those of the test part first."""
        try:
            data = self.result.data
            table = manifest.read(self.path / "manifest.csv")
        except RunError:
            return []
        source = Path(data.source)
        root = Path(data.root) if data.root else source if source.is_dir() else source.parent
        order = sorted(range(len(table.names)), key=lambda row: (-int(table.part[row]), row))
        used = (below(root, str(table.names[row])) for row in order if table.part[row] >= 0)
        there = (file for file in used if file is not None and file.is_file())
        return [str(file) for file in itertools.islice(there, most)]

    def _absent_reader(self) -> str:
        try:
            return provenance.absent_reader(self.result.plugins)
        except RunError:  # the model alone was copied
            return ""

    def _model(self) -> Path:
        # The second if it was killed between renames, the third where the model alone was copied.
        places = (self.path / "model", self.path / ".model.old", self.path)
        model = next((place for place in places if (place / "model.json").is_file()), None)
        if model is None:
            raise RunError(
                f"{self.path} holds no model yet; expected one after the first finished training; wait, or"
                " continue the run"
            )
        require_plain(model)
        return model

    def __repr__(self) -> str:
        try:
            result = self.result
        except RunError:
            return f"Run({str(self.path)!r}, unreadable)"
        if result.winner is None:
            return f"Run({str(self.path)!r}, {result.status}, no winner)"
        return f"Run({str(self.path)!r}, {result.status}, {result.winner.candidate}, {result.winner.score_val:.3f})"

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
    """Return the run in a folder, or a model without its run: a copy of a run's ``model/``.

    A model alone predicts, embeds and is exported; what asks for the run raises `RunError`, as this does for a folder
    that is neither.
    """
    run = Run(path)
    try:
        alone = (run.path / "model.json").is_file()
    except OSError as error:  # a name that is too long, a disk that fails
        raise RunError(
            f"{str(path)[:200]} cannot be read ({error.strerror}); expected a folder written by `autotl run`; correct"
            " the path"
        ) from error
    if not alone:
        _ = run.result
    return run


@takes_options
def recommend(
    source: Any,
    budget: str | float = DEFAULT_BUDGET,
    *,
    progress: bool = False,
    command: str = "",
    observers: Sequence[Callable[[Event], None]] = (),
    started: float | None = None,
    **options: Unpack[OptionArguments],
) -> Run:
    """Find the best way to transfer a pretrained backbone to the images in `source`, and train it.

    `source` is a path; or in Python a DataFrame with columns of paths (or images) and labels, a pair (images,
    labels), a torchvision or Hugging Face dataset, or a dict of these by part (train, val, test).
    `progress` shows how far the run is: a panel in a terminal, a block in a notebook, lines on standard error
    elsewhere. `observers` are called with each `Event`; `started` is the `time.monotonic()` from which the budget counts,
    by default now; `command` is recorded. The options are those of ``autotl run``. Raises an `AutotlError`
    for everything that the caller can put right.
    """
    from autotl import pipeline

    place, given = in_memory.as_source(source, options)
    asked = options_from(place, budget, given, command=command)
    with _tools(Following(progress=progress, observers=observers)) as tools:
        return Run(pipeline.recommend(asked, tools=tools, started=started))


@takes_options
def plan(
    source: Any,
    budget: str | float = DEFAULT_BUDGET,
    **options: Unpack[OptionArguments],
) -> Plan:
    """Return what `recommend` would try with the same options, with its forecast cost; ``autotl run --dry-run``.

    Decodes, downloads, trains and writes nothing. Raises what `recommend` raises before torch starts.
    """
    from autotl.stages import dry_run

    place, given = in_memory.as_source(source, options)
    return dry_run.plan(options_from(place, budget, given))


@takes(*READING)
def profile(source: Any, **options: Unpack[OptionArguments]) -> Profile:
    """Return the profile of the data. Reads every image once and trains nothing.

    The options are those of ``autotl run`` on reading the data. Raises `DatasetError`, and `TypeError` for another
    option.
    """
    from autotl.stages import examine

    unknown = sorted(set(options) - set(READING))
    if unknown:
        raise TypeError(f"{unknown[0]!r} is not an option of reading; expected one of {', '.join(READING)}")
    place, given = in_memory.as_source(source, options)
    return examine.examine(place, reading_options(converted(given)))


@contextmanager
def _tools(following: Following) -> Iterator[Tools]:
    """Yield the tools of a run that is followed. Raises `TypeError` for an argument that there is not."""
    from autotl import pipeline

    unknown = sorted(set(following) - set(Following.__annotations__))
    if unknown:
        raise TypeError(
            f"{unknown[0]!r} is not an argument; expected one of {', '.join(Following.__annotations__)}"
        )
    with live(quiet=not following.get("progress", False)) as observe:
        yield pipeline.Tools(observers=(*following.get("observers", ()), observe))


def _continued(folder: Path) -> tuple[Options, Earlier | None]:
    """Return the options of the run in a folder, and its record; None where it was ended before its first result."""
    from autotl.run_folder import resume

    recorded = resume.begun(folder)
    if recorded is not None:
        return Options(**recorded), None
    earlier = resume.read(folder)
    provenance.require_reader(earlier.state.plugins)
    return Options(**_recorded_options(earlier.state, folder)), earlier


def _recorded_options(state: Recommendation, folder: Path) -> dict[str, Any]:
    return options_of_record(state.options, folder / result_file.FILE)


def _plain(budget: str | float) -> str | float:
    return budget.strip().removeprefix("+") if isinstance(budget, str) else budget


def _recipe(state: records_result.Recommendation, name: str | None) -> Trial:
    """Return a trial of a candidate at the fidelity at which it was judged. Raises `RunError`, `UnknownNameError`."""
    probes = [
        result for result in state.trials if records_result.is_probe(result) and not result.trial.control
    ]
    standing = representative_results(probes)
    name = name or (state.decision.winner if state.decision else None)
    if name is None:
        raise RunError(
            "the run has no winner to be fitted again; expected one, or a candidate to be named with --candidate"
        )
    if name not in standing:
        raise UnknownNameError("trained candidate", name, standing)
    result = standing[name]
    return Trial(
        id="t000",
        candidate=result.trial.candidate,
        epochs=result.epochs_done,
        seed=state.seed,
        keep_model=True,
    )
