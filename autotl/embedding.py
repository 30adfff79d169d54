"""Embeddings as a product of their own: pooled features of all images of a source, with their paths, labels and parts."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from autotl import modality
from autotl.budget import Allowance, parse_seconds
from autotl.cache import atomic, cache_folder
from autotl.candidates.gather import choose
from autotl.data.load import load
from autotl.errors import AutotlError, BudgetError, DatasetError
from autotl.options import reading_options
from autotl.plugins.manager import load_plugins
from autotl.protocols import Engine
from autotl.records import PARTS, BackboneSpec, Columns, Dataset, Settings
from autotl.weights import hub

__all__ = ["SUFFIXES", "Embeddings", "embed"]

SUFFIXES = (".npz", ".parquet")
Layers = Literal["last", "all"]
ROWS_PER_GROUP = 1024  # of a Parquet file


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embeddings:
    """Pooled features of images by one backbone, and what is known of the images."""

    features: np.ndarray  # (n, d) float32; of all layer groups side by side where these were asked for
    widths: tuple[int, ...]  # features of each layer group, shallow to deep; their sum is d
    paths: np.ndarray  # (n,) str, as the source names the images
    labels: (
        np.ndarray
    )  # (n,) int64 indices of `classes`; several an image: (n, classes) of 0 and 1; numbers: (n,) float64
    classes: tuple[str, ...]
    parts: np.ndarray  # (n,) str: train, select or test where the source says so, else empty
    backbone: str
    input_size: int  # pixels
    errors: dict[str, str] = field(default_factory=dict)  # why an image is left out, by path

    def save(self, file: str | Path) -> Path:
        """Write a .npz or .parquet file atomically and return its path. Raises `AutotlError` for another suffix."""
        path = Path(file)
        suffix = _suffix(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".npz":
            self._npz(path)
        else:
            self._parquet(path)
        return path

    def _npz(self, path: Path) -> None:
        with atomic(path) as temporary, open(temporary, "wb") as out:
            np.savez_compressed(
                out,
                features=self.features,
                widths=np.array(self.widths, np.int64),
                paths=np.array(self.paths, str),
                labels=self.labels,
                classes=np.array(self.classes, str),
                parts=np.array(self.parts, str),
                backbone=np.array(self.backbone),
                input_size=np.array(self.input_size),
            )

    def _texts(self, pa: Any) -> tuple[list[Any], Any]:
        """Return the labels of the images as a table holds them, and their type: names, lists of names or numbers."""
        if self.labels.ndim == 2:
            names = [[self.classes[place] for place in np.flatnonzero(row)] for row in self.labels]
            return names, pa.list_(pa.string())
        if np.issubdtype(self.labels.dtype, np.floating):
            return self.labels.tolist(), pa.float64()
        return [self.classes[label] for label in self.labels], pa.string()

    def _parquet(self, path: Path) -> None:
        pa, parquet = _pyarrow()
        width = self.features.shape[1]
        labels, kind = self._texts(pa)
        about = {"backbone": self.backbone, "input_size": self.input_size, "widths": list(self.widths)}
        schema = pa.schema(
            [
                ("path", pa.string()),
                ("label", kind),
                ("part", pa.string()),
                ("features", pa.list_(pa.float32(), width)),
            ],
            metadata={name: str(value) for name, value in about.items()},
        )
        with atomic(path) as temporary, parquet.ParquetWriter(temporary, schema) as table:
            for first in range(0, len(self.paths), ROWS_PER_GROUP):
                rows = slice(first, first + ROWS_PER_GROUP)
                flat = pa.array(self.features[rows].ravel(), pa.float32())
                columns = [
                    pa.array([_utf8(name) for name in self.paths[rows]]),
                    pa.array(labels[rows], kind),
                    pa.array([part or None for part in self.parts[rows]], pa.string()),
                    pa.FixedSizeListArray.from_arrays(flat, width),
                ]
                table.write_table(pa.Table.from_arrays(columns, schema=schema))


def embed(  # noqa: PLR0913 (each is an option of its own, as of `recommend`)
    source: str | Path,
    *,
    backbone: str,
    budget: str | float | None = None,
    layers: Layers = "last",
    input_size: int | None = None,
    weights: Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
    offline: bool = False,
    **reading: Any,
) -> Embeddings:
    """Return the embeddings of all readable images of a source, whichever part they are in.

    `reading` are the options of `recommend` on how a source is read, such as `label` or `test`. Features come from the
    cache where a run or an earlier call has computed them, and go there.

    Raises `DatasetError` as `recommend` does, and where no image can be read; `UnknownNameError` for a backbone that
    does not exist; `BudgetError` where the budget does not suffice; `EngineError`, `WeightsUnavailable`.
    """
    from autotl.engine import client

    began = time.monotonic()
    seconds = math.inf if budget is None else parse_seconds(budget)
    allowance = Allowance(deadline=began + seconds)
    plugins = load_plugins()
    settings = Settings(
        weights=tuple(map(str, weights)),
        offline=offline or hub.told_offline(),
        device=device,
        wanted=(backbone,),
    )
    spec = _one(choose(plugins.backbones(None, settings), settings.wanted, "backbone"), backbone)
    size = spec.input_size if input_size is None else input_size
    options = reading_options(reading)
    if "\n" in options.get("label", ""):
        raise DatasetError(
            "--label names several columns; expected one, for the labels beside the features; name it"
        )
    data = load(str(source), options, plugins)
    with tempfile.TemporaryDirectory(prefix="autotl-") as work:
        engine = client.connect(
            folder=work, cache=cache_folder(), device=device, precision=precision, offline=settings.offline
        )
        with closing(engine):  # which imports torch while the images are decoded
            return _embedded(engine, data, spec, size, layers, Path(work), allowance)


def _embedded(
    engine: Engine,
    data: Dataset,
    spec: BackboneSpec,
    size: int,
    layers: Layers,
    work: Path,
    allowance: Allowance,
) -> Embeddings:
    """Decode the images into `work` and return their features. Raises as `embed` does."""
    decoded = modality.get(data.modality).decode(list(data.files), work / "pixels", allowance=allowance)
    rows = np.flatnonzero(decoded.present)
    errors = {str(data.names[row]): error for row, error in decoded.errors.items()}
    if len(rows) + len(errors) < len(data.files):
        raise _over(len(rows), len(data.files), "decoded")
    if not len(rows):
        first = next(f"{path}: {error}" for path, error in errors.items())
        raise DatasetError(
            f"none of the {len(errors):,} images of {data.source} can be read ({first}); expected image files; "
            "check DATA"
        )
    columns = Columns(
        labels=data.labels,
        part=np.zeros(len(data.files), np.int8),
        fold=np.full(len(data.files), -1, np.int8),
        group=None,
        order=np.arange(len(data.files)),
        classes=data.classes,
        target=data.targets[0].kind,
        modality=data.modality,
    )
    engine.open(work / "pixels", columns, metric="accuracy", digests=decoded.digests.tolist())
    found = engine.embed(spec, size, rows, allowance)
    if found.rows < len(rows):
        raise _over(found.rows, len(rows), "embedded; they are in the cache, so that the next call goes on")
    with np.load(work / found.path, allow_pickle=False) as stored:
        names = range(found.groups) if layers == "all" else range(found.groups - 1, found.groups)
        groups = [stored[f"g{depth}"].astype(np.float32) for depth in names]
    parts = np.array([PARTS[given] if given >= 0 else "" for given in data.given[rows].tolist()], str)
    return Embeddings(
        features=np.concatenate(groups, axis=1),
        widths=tuple(group.shape[1] for group in groups),
        paths=np.array([str(name) for name in data.names[rows]], str),
        labels=data.labels[rows],
        classes=data.classes,
        parts=parts,
        backbone=spec.name,
        input_size=size,
        errors=errors,
    )


def _one(specs: list[BackboneSpec], name: str) -> BackboneSpec:
    if len(specs) != 1:
        few = ", ".join(spec.name for spec in specs[:5])
        raise AutotlError(f"{name!r} names {len(specs)} backbones ({few}); expected one; name it in full")
    return specs[0]


def _over(ready: int, wanted: int, what: str) -> BudgetError:
    return BudgetError(
        f"the budget is over with {ready:,} of {wanted:,} images {what}; expected all; give more --budget"
    )


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise AutotlError(
            f"{path} ends with {suffix or 'no suffix'}; expected {' or '.join(SUFFIXES)}; rename it"
        )
    return suffix


def require_writable(file: Path) -> None:
    """Raise `AutotlError` before any work where `Embeddings.save` could not write the file."""
    if _suffix(file) == ".parquet":
        _pyarrow()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise AutotlError(
            "the package pyarrow is not installed; Parquet needs it; pip install 'autotl[parquet]', or choose a file "
            "that ends with .npz"
        ) from error
    return pa, parquet


def _utf8(name: str) -> str:
    """Return a name of a file as text: bytes that are no UTF-8 are replaced."""
    return os.fsencode(name).decode("utf-8", "replace")
