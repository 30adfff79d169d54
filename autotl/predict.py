"""Predictions of a model folder for images, in constant memory, and the formats that they are written in."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from autotl import modality
from autotl.budget import Allowance
from autotl.builtin.sources import table_files, tables
from autotl.builtin.sources.tree import images_below
from autotl.cache import atomic
from autotl.errors import RunError
from autotl.records import Answers, TargetName
from autotl.report.format import csv_line, printable

if TYPE_CHECKING:
    import pandas as pd

    from autotl.plugins.manager import Plugins

Style = Literal["csv", "jsonl", "parquet"]
SEPARATOR = "|"  # of several labels in a cell
OUT_OF_DISTRIBUTION = "far from the training images"
MODALITY = "image"  # of every model folder

_BATCH = 256  # files sent to the worker at once, so that rows are returned early and memory stays constant
_SECONDS_PER_FILE = 10.0  # far more than any image takes; after it, a hanging worker is ended
_SECONDS_TO_START = 120.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction for one image, or the error if it cannot be read."""

    path: str
    top: tuple[tuple[str, float], ...]  # labels with their probabilities, most probable first
    warning: str | None = None
    error: str | None = None
    value: float | None = None  # of a model that predicts a number,
    low: float | None = None  # and its prediction interval
    high: float | None = None
    labels: tuple[str, ...] | None = None  # that are predicted, where an image may have several
    others: tuple[tuple[str, float], ...] = ()  # class and probability by each further label column

    @property
    def label(self) -> str | None:
        """Return the most probable class."""
        return self.top[0][0] if self.top else None

    @property
    def probability(self) -> float | None:
        """Return the calibrated probability of that class."""
        return self.top[0][1] if self.top else None


@dataclass(frozen=True, slots=True)
class Item:
    """An image to predict: its name in the output, and its file; or a folder that cannot be listed, with the reason."""

    name: str
    file: str
    error: str | None = None
    maybe_source: bool = (
        False  # of a plugin that is not here: neither named like an image nor read by a plugin
    )


# --------------------------------------------------------------------------- images


def items_of(sources: Iterable[Any], folder: Path) -> Iterator[Item]:
    """Yield images from paths, folders, tables with a column of paths, sources of plugins, PIL images and arrays.

    A folder yields the images below it. What is neither a folder nor a table, nor named like an image, may be a
    source that an installed plugin reads: its images have the names that the plugin gives them. Arrays are (H, W),
    (H, W, 3) or (H, W, 4), uint8 or floats from 0 to 1; they and PIL images are written to `folder` and named
    ``image 0``, ``image 1``, … Raises `DatasetError` for a table without paths, for a value that is not an image,
    and where a plugin cannot read its source.
    """
    kind, guests = modality.get(MODALITY), _Guests()
    for number, source in enumerate(sources):
        if not isinstance(source, str) and not hasattr(source, "__fspath__"):
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / str(number)
            kind.keep(source, file)
            yield Item(f"{MODALITY} {number}", str(file))
            continue
        name = os.fspath(source)  # no Path for each file: Python would intern its parts for ever
        if os.path.isdir(name):
            for path, problem in images_below(Path(name)):
                error = None if problem is None else f"cannot be listed: {problem.strerror or problem}"
                yield Item(str(path), str(path), error)
        elif name.lower().endswith(table_files.SUFFIXES) and os.path.isfile(name):
            yield from (Item(path, file) for path, file in tables.paths(table_files.read(Path(name))))
        elif os.path.splitext(name)[1].lower() in kind.SUFFIXES:
            yield Item(name, name)
        else:
            yield from guests.items(name)


class _Guests:
    """The plugins that read sources. They are loaded once, when the first source may be one of theirs."""

    def __init__(self) -> None:
        self._plugins: Plugins | None = None

    def items(self, name: str) -> Iterator[Item]:
        """Yield the images of a source that a plugin reads; the source itself, taken as a file, where none does.

        Raises the `DatasetError` of a plugin whose source it is.
        """
        if self._plugins is None:
            from autotl.plugins.manager import load_plugins

            self._plugins = load_plugins()
        if not self._plugins.guest_readers:
            yield Item(name, name, maybe_source=True)
            return
        before = len(self._plugins.problems)
        data = self._plugins.load_dataset(name, {}, guests_only=True)
        if data is not None:
            yield from (Item(str(n), str(file)) for n, file in zip(data.names, data.files, strict=True))
            return
        problems = "; ".join(map(str, self._plugins.problems[before:]))
        yield Item(name, name, problems or None, maybe_source=True)


def several(images: Any) -> Iterable[Any]:
    """Return one image, path or folder as a list of one, and several as they are."""
    path = isinstance(images, str) or hasattr(images, "__fspath__")
    return [images] if path or modality.get(MODALITY).single(images) else images


# --------------------------------------------------------------------------- predictions


def predictions(
    model: Path, sources: Iterable[Any], *, device: str = "auto", top: int = 1, absent: str = ""
) -> Iterator[Prediction]:
    """Yield the predictions of a model folder for images, in their order, with `top` classes each.

    A model of numbers yields a value with its interval, one of several labels an image those whose probability reaches
    their threshold. A file that cannot be read yields its error; where it may be the source of a plugin that is not
    installed here, the error ends with `absent`, a sentence on that plugin. Raises `EngineError` if torch cannot run.
    """
    described = description(model)
    for items, batch in _answers(model, sources, device, features=False):
        for row, item in enumerate(items):
            error = item.error or batch.errors[row]
            if error is not None:
                advice = f"; {absent}, if this is its source" if absent and item.maybe_source else ""
                yield Prediction(item.name, (), None, f"{error}{advice}")
                continue
            far = batch.distance is not None and bool(batch.distance[row] > 1)
            warning = OUT_OF_DISTRIBUTION if far else None
            others = () if batch.others is None else _of_columns(described, batch.others[row])
            yield _predicted(described, item.name, batch.probabilities[row], top, warning, others)


def _of_columns(described: Description, shares: np.ndarray) -> tuple[tuple[str, float], ...]:
    """Return the most probable class of each further label column, by probabilities (k,) side by side."""
    first, best = 0, []
    for column in described.others:
        own = shares[first : first + len(column.classes)]
        place, first = int(own.argmax()), first + len(own)
        best.append((column.classes[place], float(own[place])))
    return tuple(best)


def _predicted(
    described: Description,
    name: str,
    answer: np.ndarray,
    top: int,
    warning: str | None,
    others: tuple[tuple[str, float], ...],
) -> Prediction:
    """Return the prediction that a model's answer (outputs,) for one image is."""
    if described.target == "regression":
        value, half = float(answer[0]), described.half_width
        low, high = (None, None) if half is None else (value - half, value + half)
        return Prediction(name, (), warning, value=value, low=low, high=high)
    order = np.argsort(-answer, kind="stable")
    best = tuple((described.classes[place], float(answer[place])) for place in order.tolist()[:top])
    if described.target == "multiclass":
        return Prediction(name, best, warning, others=others)
    limits = described.thresholds or [0.5] * len(answer)
    own = tuple(described.classes[place] for place in order.tolist() if answer[place] >= limits[place])
    return Prediction(name, best, warning, labels=own)


def embed(model: Path, sources: Iterable[Any], *, device: str = "auto") -> np.ndarray:
    """Return pooled features (n, d) float32 of images from a model folder; NaN for an image that cannot be read."""
    tables = [batch.features for _, batch in _answers(model, sources, device, features=True)]
    return np.concatenate([t for t in tables if t is not None]) if tables else np.zeros((0, 0), np.float32)


class Column(msgspec.Struct):
    """A label column besides the main one."""

    name: str
    classes: Annotated[list[str], msgspec.Meta(min_length=1)]


class Description(msgspec.Struct):
    """The part of model.json that is read here; the worker reads the rest."""

    classes: Annotated[list[str], msgspec.Meta(min_length=1)]
    target: TargetName = "multiclass"
    half_width: float | None = None  # of the interval of a number
    thresholds: list[float] = []  # probability from which each of several labels is predicted
    others: list[Column] = []  # further label columns


def class_names(model: Path) -> list[str]:
    """Return the display names of the outputs of a model folder. Raises `RunError` if it is not one."""
    return description(model).classes


def description(model: Path) -> Description:
    """Return what a model predicts. Raises `RunError` if the folder is none of a model."""
    file = model / "model.json"
    try:
        described = msgspec.json.decode(file.read_bytes(), type=Description)
        if described.thresholds and len(described.thresholds) != len(described.classes):
            raise msgspec.ValidationError("it has another number of thresholds than of classes")
        return described
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RunError(
            f"{file} has no list of classes ({error}); expected a model folder written by autotl; give another folder"
        ) from error


def other_plugin(model: Path) -> str | None:
    """Return that the plugin which builds a model's backbone has another version here; None where it has not."""
    from autotl.plugins.provenance import package_of

    try:
        description = msgspec.json.decode((model / "model.json").read_bytes())
        package, build = description.get("package", ""), description["backbone"]["build"]
    except (OSError, msgspec.DecodeError, AttributeError, KeyError, TypeError):
        return None  # `class_names` says what is wrong
    installed = package_of(build) if package else ""
    if installed in {"", package}:  # where it is missing, the engine says so
        return None
    return f"the model was trained with {package}, and {installed} is installed: predictions may differ"


def _answers(
    model: Path, sources: Iterable[Any], device: str, *, features: bool
) -> Iterator[tuple[list[Item], Answers]]:
    from autotl.engine import client

    # The worker writes files, and a run folder may be read-only.
    with (
        tempfile.TemporaryDirectory(prefix="autotl-") as work,
        contextlib.closing(client.connect(folder=work, device=device, offline=True)) as engine,
    ):
        items = items_of(sources, Path(work) / "given")
        while batch := list(itertools.islice(items, _BATCH)):
            seconds = _SECONDS_TO_START + _SECONDS_PER_FILE * len(batch)
            allowance = Allowance(deadline=time.monotonic() + seconds)
            files = [item.file for item in batch]
            yield batch, engine.predict(str(model.absolute()), files, allowance, features)
            for file in files:
                if file.startswith(work):
                    Path(file).unlink()


# --------------------------------------------------------------------------- formats


def columns(top: int, target: TargetName = "multiclass", others: Sequence[str] = ()) -> list[str]:
    """Return the column names of a prediction's row; `others` are the further label columns.

    >>> columns(1, others=["shape"])
    ['path', 'label', 'probability', 'label:shape', 'probability:shape', 'warning', 'error']
    """
    if target == "regression":
        return ["path", "value", "low", "high", "warning", "error"]
    if target == "multilabel":
        return ["path", "labels", *_pairs(1, top), "warning", "error"]
    more = [name for place in range(2, top + 1) for name in (f"label_{place}", f"probability_{place}")]
    of_columns = [name for column in others for name in (f"label:{column}", f"probability:{column}")]
    return ["path", "label", "probability", *more, *of_columns, "warning", "error"]


def _pairs(first: int, last: int) -> list[str]:
    return [name for place in range(first, last + 1) for name in (f"label_{place}", f"probability_{place}")]


def cells(
    prediction: Prediction, top: int, target: TargetName = "multiclass", others: Sequence[str] = ()
) -> list[str | float | None]:
    """Return a prediction as the cells of a row; None for an empty cell, several labels in one cell with ``|``."""
    end = [prediction.warning, prediction.error]
    if target == "regression":
        return [prediction.path, prediction.value, prediction.low, prediction.high, *end]
    first: list[str | float | None] = [prediction.path]
    if target == "multilabel":
        first.append(None if prediction.labels is None else SEPARATOR.join(prediction.labels))
    pairs = [*prediction.top, *[(None, None)] * (top - len(prediction.top))]
    of_columns = prediction.others or [(None, None)] * len(others)
    return [*first, *(cell for pair in (*pairs, *of_columns) for cell in pair), *end]


@contextlib.contextmanager
def writer(
    style: Style, out: Path | IO[str], top: int, target: TargetName = "multiclass", others: Sequence[str] = ()
) -> Iterator[Callable[[Prediction], None]]:
    """Yield a function that writes one prediction after another to a stream, or atomically to a file.

    Parquet needs a file and pyarrow. Raises `RunError` without them.
    """
    with contextlib.ExitStack() as stack:
        if style == "parquet":
            yield stack.enter_context(_parquet(out, target, others))
            return
        if isinstance(out, Path):
            temporary = stack.enter_context(atomic(out))
            stream: IO[str] = stack.enter_context(
                open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape")
            )
        else:
            stream = out
        shown = isinstance(stream, io.TextIOBase) and stream.isatty()
        yield (
            _csv(stream, top, target, others, shown=shown)
            if style == "csv"
            else _json_lines(stream, target, others, shown=shown)
        )
        stream.flush()


def _csv(
    stream: IO[str], top: int, target: TargetName, others: Sequence[str], *, shown: bool
) -> Callable[[Prediction], None]:
    """Return the writer of a CSV; `shown` on a terminal, names have no control characters."""

    def put(row: Iterable[object]) -> None:
        line = csv_line(row)
        stream.write("\n".join(map(printable, line.split("\n"))) if shown else line)

    put(columns(top, target, others))
    form = "{:.6g}" if target == "regression" else "{:.6f}"
    return lambda prediction: put(
        form.format(cell) if isinstance(cell, float) else cell
        for cell in cells(prediction, top, target, others)
    )


def _json_lines(
    stream: IO[str], target: TargetName, others: Sequence[str], *, shown: bool
) -> Callable[[Prediction], None]:
    def write(prediction: Prediction) -> None:
        stream.write(json.dumps(_record(prediction, target, others), ensure_ascii=shown) + "\n")

    return write


def _record(prediction: Prediction, target: TargetName, others: Sequence[str]) -> dict[str, Any]:
    best = prediction.probability
    end = {"warning": prediction.warning, "error": prediction.error}
    if target == "regression":
        numbers = {name: getattr(prediction, name) for name in ("value", "low", "high")}
        rounded = {name: None if n is None else float(f"{n:.6g}") for name, n in numbers.items()}
        return {"path": prediction.path, **rounded, **end}
    first: dict[str, Any] = {"path": prediction.path}
    if target == "multilabel":
        first["labels"] = None if prediction.labels is None else list(prediction.labels)
    return {
        **first,
        "label": prediction.label,
        "probability": None if best is None else round(best, 6),
        "top": [
            {"label": label, "probability": round(probability, 6)} for label, probability in prediction.top
        ],
        **_of_others(prediction, others),
        **end,
    }


def _of_others(prediction: Prediction, others: Sequence[str]) -> dict[str, str | float | None]:
    found = [(label, round(share, 6)) for label, share in prediction.others]
    pairs: Sequence[tuple[str | None, float | None]] = found or [(None, None)] * len(others)
    cells: dict[str, str | float | None] = {}
    for column, (label, probability) in zip(others, pairs, strict=True):
        cells |= {f"label:{column}": label, f"probability:{column}": probability}
    return cells


_ROWS_PER_GROUP = 4096


@contextlib.contextmanager
def _parquet(
    out: Path | IO[str], target: TargetName, others: Sequence[str]
) -> Iterator[Callable[[Prediction], None]]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise RunError(
            "the package pyarrow is not installed; Parquet needs it; pip install pyarrow, or choose --format csv or"
            " jsonl"
        ) from error
    if not isinstance(out, Path):
        raise RunError(
            "Parquet cannot be written to standard output; expected a file; add --out predictions.parquet"
        )
    pair = pa.struct([("label", pa.string()), ("probability", pa.float64())])
    of_labels = [("label", pa.string()), ("probability", pa.float64()), ("top", pa.list_(pair))]
    several = [("labels", pa.list_(pa.string())), *of_labels]
    numbers = [(name, pa.float64()) for name in ("value", "low", "high")]
    own = {"multiclass": of_labels, "multilabel": several, "regression": numbers}[target]
    own = [
        *own,
        *(
            field
            for column in others
            for field in ((f"label:{column}", pa.string()), (f"probability:{column}", pa.float64()))
        ),
    ]
    schema = pa.schema([("path", pa.string()), *own, ("warning", pa.string()), ("error", pa.string())])
    waiting: list[dict[str, Any]] = []
    with atomic(out) as temporary, parquet.ParquetWriter(temporary, schema) as table:

        def flush() -> None:
            table.write_table(pa.Table.from_pylist(waiting, schema=schema))
            waiting.clear()

        def write(prediction: Prediction) -> None:
            waiting.append(_record(prediction, target, others))
            if len(waiting) == _ROWS_PER_GROUP:
                flush()

        yield write
        flush()


def frame(
    rows: Sequence[Prediction], top: int, target: TargetName = "multiclass", others: Sequence[str] = ()
) -> pd.DataFrame:
    """Return predictions as a pandas DataFrame."""
    import pandas as pd

    names = columns(top, target, others)
    table = pd.DataFrame([cells(row, top, target, others) for row in rows], columns=names)
    for name in table.columns:
        number = name.startswith("probability") or (
            target == "regression" and name in {"value", "low", "high"}
        )
        table[name] = table[name].astype("float64" if number else "str")
    return table
