"""A recorded grid on disk: one folder a data set, numbers only, no images. numpy alone, no torch.

    grid/<set>/rows.npz         labels, parts and groups of the judged images, and what the set is
    grid/<set>/lines.jsonl      a line a fact: embedding, scores, training, in the order they were recorded
    grid/<set>/<backbone>.npz   probabilities (judged images, classes) of each training

Predictions are written before the line that speaks of them, and each file as a whole or not at all, so a
recording that was cut holds nothing but finished trainings.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from autotl.cache import atomic, atomic_write
from autotl.records import BackboneSpec, Candidate, Depth

__all__ = ["Embedded", "Line", "Recorded", "Scored", "Set", "Trained", "read_set", "read_specs"]

DIGITS = 3  # of a probability: compresses four times better than all of float16
AHEAD = 5e-4  # added to the class that was answered, so that rounding makes no ties


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """The cost of reading features: processor seconds an image, the decoded image's resize included."""

    kind: Literal["embedded"] = "embedded"
    backbone: str
    input_size: int
    images: int
    seconds: float  # of all these images
    reference: float  # seconds of the reference step, measured just before
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Transferability scores of the first `rows` train images, and the processor seconds to compute them."""

    kind: Literal["scored"] = "scored"
    backbone: str
    input_size: int
    rows: int
    values: dict[str, float]
    seconds: float
    reference: float
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A training of a cell to its annealed end, from the start or continuing a shorter one; 0 epochs: closed form."""

    kind: Literal["trained"] = "trained"
    backbone: str
    input_size: int
    strategy: str
    unfreeze: Depth
    epochs: float  # in all
    resumed: float = 0.0  # of these, made by the shorter training that this one continues
    rows: int  # images it was fitted on
    seed: int
    init: Literal["pretrained", "random"] = "pretrained"
    status: str = "finished"
    steps: int = 0
    seconds: float = (
        0.0  # of the processor, for what it added; the features of a closed-form head are `Embedded`'s
    )
    wall: float = 0.0
    parameters: int | None = None
    macs: float | None = None
    precision: str = ""
    note: str = ""
    reference: float  # seconds of the reference step, measured before this backbone
    machine: str

    @property
    def candidate(self) -> Candidate:
        """Return the recipe as autotl names it."""
        return Candidate(
            backbone=self.backbone,
            input_size=self.input_size,
            strategy=self.strategy,
            unfreeze=self.unfreeze,
        )

    @property
    def key(self) -> str:
        """Return the name of the training within its backbone's file."""
        fresh = "" if self.init == "pretrained" else "scratch/"
        return f"{fresh}{self.strategy}:{self.unfreeze}@{self.epochs:g}#{self.seed}"


Line = Embedded | Scored | Trained


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Set:
    """The images that the cells of a data set are judged on."""

    name: str
    classes: int
    train: int  # images that trainings fit on
    side: int  # median of the images' shorter sides, pixels
    counts: np.ndarray  # (classes,) train images of each class
    rows: np.ndarray  # (n,) row numbers of the judged images in the set
    labels: np.ndarray  # (n,)
    part: np.ndarray  # (n,) 1: select, 2: test
    group: np.ndarray | None  # (n,) images of one number hang together


@dataclass(slots=True, kw_only=True, eq=False)
class Recorded:
    """A set's folder, read and appended to."""

    folder: Path
    about: Set
    lines: list[Line] = field(default_factory=list)
    tables: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def has(self, trained: Trained) -> bool:
        """Return whether a training like this was recorded."""
        wanted = (trained.backbone, trained.input_size, trained.key)
        return any(
            isinstance(line, Trained) and (line.backbone, line.input_size, line.key) == wanted
            for line in self.lines
        )

    def embedded(self, backbone: str) -> Embedded | None:
        """Return what reading a backbone's features costs, if that was recorded."""
        found = [line for line in self.lines if isinstance(line, Embedded) and line.backbone == backbone]
        return found[-1] if found else None

    def scored(self, backbone: str) -> dict[int, Scored]:
        """Return a backbone's scores by number of images; the latest line counts."""
        found = [line for line in self.lines if isinstance(line, Scored) and line.backbone == backbone]
        return {line.rows: line for line in found}

    def probabilities(self, trained: Trained) -> np.ndarray:
        """Return the probabilities (n, classes) float16 of the judged images by a recorded training."""
        return self._table(trained.backbone)[trained.key]

    def append(self, line: Line, probabilities: np.ndarray | None = None) -> None:
        """Add a line; the probabilities of a training are written first."""
        if isinstance(line, Trained) and probabilities is not None:
            table = self._table(line.backbone) | {line.key: short(probabilities)}
            with atomic(self._file(line.backbone)) as temporary, open(temporary, "wb") as file:
                np.savez_compressed(file, **table)  # type: ignore[arg-type]
            self.tables[line.backbone] = table
        with open(self.folder / "lines.jsonl", "ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.lines.append(line)

    def _file(self, backbone: str) -> Path:
        return self.folder / f"{backbone.replace(':', '.')}.npz"

    def _table(self, backbone: str) -> dict[str, np.ndarray]:
        if backbone not in self.tables:
            path = self._file(backbone)
            if not path.exists():
                return {}
            with np.load(path, allow_pickle=False) as stored:
                self.tables[backbone] = {name: stored[name] for name in stored.files}
        return self.tables[backbone]


def short(probabilities: np.ndarray) -> np.ndarray:
    """Return probabilities with three digits as float16; the predicted class stays ahead of the others."""
    found = np.round(probabilities.astype(np.float64), DIGITS)
    found[np.arange(len(found)), probabilities.argmax(1)] += AHEAD
    return found.astype(np.float16)


def read_set(folder: Path) -> Recorded:
    """Return what was recorded of a data set. A last line that was cut is dropped, also from the file."""
    with np.load(folder / "rows.npz", allow_pickle=False) as stored:
        facts = json.loads(str(stored["facts"]))
        about = Set(
            name=folder.name,
            counts=stored["counts"],
            rows=stored["rows"],
            labels=stored["labels"].astype(np.int64),
            part=stored["part"],
            group=stored.get("group"),
            **facts,
        )
    path = folder / "lines.jsonl"
    raw = path.read_bytes() if path.exists() else b""
    whole = raw[: raw.rfind(b"\n") + 1]
    if len(whole) < len(raw):
        atomic_write(path, whole)
    decoder = msgspec.json.Decoder(dict[str, Any])
    lines = [_line(decoder.decode(line)) for line in whole.splitlines()]
    return Recorded(folder=folder, about=about, lines=lines)


def write_set(folder: Path, about: Set) -> Recorded:
    """Return a set's folder, new, or as it was recorded so far. Raises `ValueError` when that judged other images."""
    if not (folder / "rows.npz").exists():
        facts = {name: getattr(about, name) for name in ("classes", "train", "side")}
        arrays = {
            "facts": np.array(json.dumps(facts)),
            "counts": about.counts,
            "rows": about.rows,
            "labels": about.labels.astype(np.int16),
            "part": about.part.astype(np.int8),
        }
        if about.group is not None:
            arrays["group"] = about.group
        with atomic(folder / "rows.npz") as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    recorded = read_set(folder)
    if not np.array_equal(recorded.about.rows, about.rows):
        raise ValueError(
            f"{folder} was recorded on other images; expected the same; record to another folder"
        )
    return recorded


def write_specs(folder: Path, specs: Sequence[BackboneSpec]) -> None:
    """Return what the grid's backbones are, without where their weights lie."""
    known = {spec.name: spec for spec in read_specs(folder)} | {spec.name: bare(spec) for spec in specs}
    raw = msgspec.json.format(msgspec.json.encode(list(known.values())), indent=1)
    atomic_write(folder / "backbones.json", raw)


def bare(spec: BackboneSpec) -> BackboneSpec:
    """Return the spec without its weights' place on this machine."""
    return replace(spec, weights=None)


def read_specs(folder: Path) -> list[BackboneSpec]:
    """Return the grid's backbones, in the order they were recorded."""
    path = folder / "backbones.json"
    return msgspec.json.decode(path.read_bytes(), type=list[BackboneSpec]) if path.exists() else []


KINDS: dict[str, type[Line]] = {"embedded": Embedded, "scored": Scored, "trained": Trained}


def _line(plain: dict[str, Any]) -> Line:
    return msgspec.convert(plain, KINDS[plain["kind"]])
