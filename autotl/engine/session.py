"""The state that a worker process keeps between requests: data, backbones, features, precision."""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from autotl import hardware, modality
from autotl.budget import Allowance
from autotl.cache import Cache
from autotl.cache import key as cache_key
from autotl.engine import device as devices
from autotl.engine import flip, messages, model, stopwatch, train, weights
from autotl.engine.backbone import Backbone, build
from autotl.engine.embed import TIMED, Features, Store, embed, pace
from autotl.engine.images import Squares
from autotl.engine.inference import Predictor
from autotl.engine.outputs import outputs_of, scaling_of
from autotl.engine.resolve import resolve
from autotl.engine.setting import Setting
from autotl.errors import Declined, EngineError
from autotl.modality.image_store import Pixels
from autotl.records import PARTS, BackboneSpec, Columns, Fact, Machine, Metric, Preprocess, Scaling, Target
from autotl.stats.folds import folds_for
from autotl.stats.target_kinds import TARGET_KINDS

BACKBONES_KEPT = 2
WORTH_TIMING = 300  # images; comparing two precisions takes about as long as embedding a hundred


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """The data of a run as the worker holds them."""

    columns: Columns
    digests: np.ndarray  # (n,) str: contents of the images, those without a label last
    metric: Metric
    squares: Squares

    @property
    def scaling(self) -> Scaling:
        """Return the scaling of numbers that are predicted."""
        return scaling_of(self.columns)


class Session:
    """The device, the data and the networks of one run. Raises `EngineError` for a device that is not there."""

    def __init__(self, start: messages.Start) -> None:
        sys.path += [entry for entry in start.sys_path if entry not in sys.path]
        self.folder = Path(start.folder)
        self.seed = start.seed
        self.offline = start.offline
        self.wanted_precision = start.precision
        self.device = devices.choose(start.device)
        devices.possible(self.device, start.precision)
        self.threads = devices.prepare(self.device)
        self.cache = None if start.cache is None else Cache(start.cache)
        self._data: Data | None = None
        self._backbones: dict[tuple[str, str, int, Preprocess, str | None], Backbone] = {}
        self._precisions: dict[tuple[str, int, bool], str] = {}
        self._flips: tuple[bool, Fact] | None = None
        # Seconds an image, by backbone, what prepared it, size, precision.
        self.latencies: dict[tuple[str, str | None, int, str], float] = {}
        self._texts: dict[str, tuple[np.ndarray, float]] = {}
        self._predictor: tuple[tuple[object, ...], Predictor] | None = None

    def machine(self) -> Machine:
        """Return where this session works."""
        return Machine(
            device=devices.describe(self.device),
            precision=self.wanted_precision,
            threads=self.threads,
            processor=hardware.processor(),
            versions=_versions(),
        )

    # ----------------------------------------------------------------------- data

    @property
    def data(self) -> Data:
        """Return the data of the run. Raises `EngineError` before `open`."""
        if self._data is None:
            raise EngineError("no data are open; expected Engine.open before this request")
        return self._data

    def open(self, data: Data) -> None:
        """Take the data that further requests are about."""
        self._data = data

    # ----------------------------------------------------------------------- backbones and features

    def backbone(self, spec: BackboneSpec, size: int, prepare: str | None = None) -> Backbone:
        """Return a backbone for reading features; the last few are kept. Trainings use `fresh`."""
        key = (spec.name, spec.init, size, spec.preprocess, prepare)
        if key not in self._backbones:
            while len(self._backbones) >= BACKBONES_KEPT:
                self._backbones.pop(next(iter(self._backbones)))
            self._backbones[key] = self.fresh(spec, size, prepare)
        return self._backbones[key]

    @stopwatch.on("build")
    def fresh(self, spec: BackboneSpec, size: int, prepare: str | None = None) -> Backbone:
        """Build a backbone that nothing else uses, on the device, channels last; a strategy's function prepares it."""
        torch.manual_seed(self.seed)
        backbone = build(spec, size, prepare=prepare, offline=self.offline)
        return backbone.to(self.device).to(memory_format=torch.channels_last)

    def features(
        self,
        spec: BackboneSpec,
        size: int,
        rows: np.ndarray,
        allowance: Allowance,
        prepare: str | None = None,
    ) -> Features:
        """Compute features of `rows` of the run's data, as many as the allowance grants.

        Their seconds an image are also known where all came from the cache.
        """
        backbone = self.backbone(spec, size, prepare)
        store = Store(squares=self.data.squares, digests=self.data.digests, cache=self.cache)
        precision = self._settled(backbone) if len(rows) < WORTH_TIMING else self.precision(backbone)
        found = embed(backbone, rows, store, self.device, precision, allowance)
        return replace(
            found, seconds_per_image=self._pace(backbone, precision, store, rows, found, allowance)
        )

    def _pace(
        self,
        backbone: Backbone,
        precision: str,
        store: Store,
        rows: np.ndarray,
        found: Features,
        allowance: Allowance,
    ) -> float:
        """Return the seconds an image: of enough that were computed now, else as the cache holds it for such a machine.

        A recipe without a pace cannot be forecast, so a second run would be offered less than the first.
        """
        name, seconds = self._name("pace", backbone, precision), found.seconds_per_image
        if len(found.rows) - found.cached < TIMED:
            known = None if self.cache is None else self.cache.get(name)
            if known is not None and "seconds" in known:
                return float(known["seconds"])
            if not seconds and len(rows):
                seconds = pace(backbone, rows[:TIMED], store, self.device, precision, allowance)
        if seconds and self.cache is not None:
            self.cache.put(name, {"seconds": np.array(seconds)})
        return seconds

    # ----------------------------------------------------------------------- precision

    def precision(self, backbone: Backbone, training: bool = False) -> str:
        """Return the precision to compute in: the one asked for, or the faster of two on a batch.

        Training is timed with its backward pass: a precision that is faster forward can be several times
        slower backward. The choice is kept in the cache: two that are nearly as fast would otherwise take
        turns, and one seed would give two models.
        """
        key = (backbone.spec.name, backbone.input_size, training)
        if key not in self._precisions:
            choices = devices.possible(self.device, self.wanted_precision)
            if len(choices) == 1:
                return choices[0]
            self._precisions[key] = self._faster(choices, backbone, training)
        return self._precisions[key]

    def _settled(self, backbone: Backbone) -> str:
        """Return the precision that was chosen before, in this run or on this machine; the first one without a choice."""
        choices = devices.possible(self.device, self.wanted_precision)
        own = self._precisions.get((backbone.spec.name, backbone.input_size, False))
        return own or self._remembered(choices, backbone, training=False) or choices[0]

    def _remembered(
        self, choices: tuple[devices.Precision, ...], backbone: Backbone, training: bool
    ) -> str | None:
        """Return the faster precision as the cache holds it for such a machine."""
        cached = None if self.cache is None else self.cache.get(self._name("precision", backbone, training))
        known = None if cached is None or "precision" not in cached else str(cached["precision"])
        return known if known in choices else None

    def _name(self, what: str, backbone: Backbone, of: object) -> str:
        """Return the name in the cache of what was timed on such a machine."""
        described = (*devices.identity(self.device), backbone.spec.build, backbone.spec.arguments)
        return cache_key(what, described, backbone.input_size, of)

    @stopwatch.on("timing")
    def _faster(self, choices: tuple[devices.Precision, ...], backbone: Backbone, training: bool) -> str:
        """Return the faster precision, as the cache holds it for such a machine or as timed now."""
        known = self._remembered(choices, backbone, training)
        if known is not None:
            return known
        batch = torch.randn(16, 3, backbone.input_size, backbone.input_size, device=self.device)
        batch = batch.contiguous(memory_format=torch.channels_last)
        run = _training_step(backbone, batch) if training else _forward_pass(backbone, batch)
        fastest = devices.faster(choices, run, self.device)
        if self.cache is not None:
            self.cache.put(self._name("precision", backbone, training), {"precision": np.array(fastest)})
        return fastest

    # ----------------------------------------------------------------------- flips

    def flips(self, spec: BackboneSpec, size: int) -> tuple[bool, Fact | None]:
        """Return whether training may flip images, and the fact behind it where it was measured just now.

        It is measured once a run, with the first pretrained backbone that trains. Random features show
        nothing, so a network without pretraining takes the result of another or does without flips.
        """
        if self._flips is not None:
            return self._flips[0], None
        if spec.init == "random":
            return False, None
        columns = self.data.columns
        rows = columns.order[columns.part[columns.order] == PARTS.index("train")][: flip.ROWS]
        backbone, labels = self.backbone(spec, size), columns.labels[rows]
        setting = self.setting(spec, size, self.precision(backbone))
        plain, flipped = (train.features(backbone, rows, setting, flipped) for flipped in (False, True))
        folds = folds_for(labels, None if columns.group is None else columns.group[rows], flip.FOLDS)
        with stopwatch.on("head"), hardware.one_thread():
            self._flips = flip.compare(plain, flipped, labels, folds, columns.classes)
        return self._flips

    @stopwatch.on("build")
    def text(self, spec: BackboneSpec) -> tuple[np.ndarray, float]:
        """Return features (classes, d) of the class names by a backbone's text tower, and the factor on cosines.

        They are computed once a run. Raises `Declined` for a backbone that has none.
        """
        if spec.text is None or spec.weights is None:
            raise Declined(
                f"{spec.name!r} has no text tower that reads the names of the classes; expected an image-text backbone, "
                "such as one of open_clip; choose it with --backbones"
            )
        if spec.name not in self._texts:
            state = weights.read(spec.weights, offline=self.offline)
            self._texts[spec.name] = resolve(spec.text)(spec.arguments, state, self.data.columns.classes)
        return self._texts[spec.name]

    def setting(self, spec: BackboneSpec, size: int, precision: str) -> Setting:
        """Return what a training or a prediction on the run's data works with."""
        columns = self.data.columns
        kind = modality.get(columns.modality)
        return Setting(
            squares=self.data.squares,
            labels=columns.labels,
            classes=len(columns.classes),
            weight=columns.weight,
            unlabelled=columns.unlabelled,
            augment=resolve(kind.AUGMENT),
            to_input=resolve(kind.BATCH),
            loss=resolve(TARGET_KINDS[columns.target].loss),
            outputs=outputs_of(columns.target, self.data.scaling),
            preprocess=spec.preprocess,
            size=size,
            device=self.device,
            precision=precision,
            seed=0,
        )

    # ----------------------------------------------------------------------- model folders

    def predictor(self, name: str) -> Predictor:
        """Return the model of a folder; the last one is kept while weights and description stay the same."""
        folder = Path(self.folder, name)
        parts = [folder / model.FILE, folder / model.DESCRIPTION]
        key = (str(folder), *(part.stat().st_mtime_ns for part in parts if part.exists()))
        if self._predictor is None or self._predictor[0] != key:
            self._predictor = None  # not two at a time
            self._predictor = (key, Predictor(folder, self.device))
        return self._predictor[1]

    def work_file(self, stem: str) -> Path:
        """Return a path for arrays that travel to the parent."""
        work = self.folder / ".engine"
        work.mkdir(parents=True, exist_ok=True)
        return work / f"{stem}-{os.getpid()}-{time.monotonic_ns()}.npz"


def read_data(body: messages.Open) -> Data:
    """Read the columns and map the decoded images that a message names."""
    with np.load(body.table, allow_pickle=False) as table:
        arrays = {name: table[name] for name in table.files}
    columns = Columns(
        labels=arrays["labels"],
        part=arrays["part"],
        fold=arrays["fold"],
        group=arrays.get("group"),
        order=arrays["order"],
        classes=body.classes,
        folds=body.folds,
        target=body.target,
        modality=body.modality,
        weight=arrays.get("weight"),
        unlabelled=arrays.get("unlabelled"),
        related=arrays.get("related"),
        related_labels=arrays.get("related_labels"),
        others=tuple(
            Target(name=name, kind="multiclass", classes=classes, values=arrays[f"other{place}"])
            for place, (name, classes) in enumerate(body.others)
        ),
    )
    pixels = Pixels.open(body.pixels)
    digests = arrays.get("digests")
    if digests is None:
        digests = np.array([f"{body.pixels}:{row}" for row in range(len(pixels))])
    return Data(columns=columns, digests=digests, metric=body.metric, squares=Squares(pixels))


def take_arrays(path: str) -> dict[str, np.ndarray]:
    """Return the arrays of a request's npz and remove the file."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    os.unlink(path)
    return arrays


def _forward_pass(backbone: Backbone, batch: torch.Tensor) -> Callable[[str], None]:
    def run(precision: str) -> None:
        with torch.inference_mode(), devices.autocast(batch.device, precision):
            backbone(batch)

    return run


def _training_step(backbone: Backbone, batch: torch.Tensor) -> Callable[[str], None]:
    """Return a forward and backward pass through a copy, because batch norm would keep the noise's statistics."""
    twin = copy.deepcopy(backbone)
    twin.freeze("all")
    twin.train()

    def run(precision: str) -> None:
        with devices.autocast(batch.device, precision):
            loss = twin(batch).float().square().mean()
        loss.backward()

    return run


def _versions() -> dict[str, str]:
    import timm
    import torchvision

    return {
        "python": sys.version.split()[0],
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "timm": str(timm.__version__),
    }
