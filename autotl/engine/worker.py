"""The worker: answers requests one after another. torch is at home here."""

from __future__ import annotations

import copy
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
import torch

from autotl.budget import Allowance
from autotl.cache import Cache, atomic
from autotl.cache import key as cache_key
from autotl.engine import device as devices
from autotl.engine import messages, model, stopwatch, trial
from autotl.engine.backbone import Backbone, build
from autotl.engine.embed import Features, embed
from autotl.engine.explain import explain
from autotl.engine.images import Squares
from autotl.engine.inference import FILES_AT_ONCE, Answering
from autotl.errors import AutotlError
from autotl.modality.image_store import Pixels
from autotl.records import BackboneSpec, Embedding, Machine, Measurement, Metric, TrialResult
from autotl.stats import ood

BACKBONES_KEPT = 2


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Reads requests until the other end is closed. Cancellations are heard while work is going on."""
    waiting: queue.SimpleQueue[tuple[messages.Request, Allowance] | None] = queue.SimpleQueue()
    rights: dict[int, Allowance] = {}

    def listen() -> None:
        decoder = msgspec.msgpack.Decoder(messages.ToWorker)
        while (data := messages.read(requests)) is not None:
            message = decoder.decode(data)
            if isinstance(message, messages.Cancel):
                if message.number in rights:
                    rights[message.number].cancelled.set()
                continue
            right = Allowance(deadline=time.monotonic() + message.seconds)
            rights[message.number] = right
            waiting.put((message, right))
        os._exit(0)  # the parent is gone: nobody waits for what is still being computed

    threading.Thread(target=listen, daemon=True).start()
    worker = Worker()
    while (item := waiting.get()) is not None:
        request, right = item
        try:
            with stopwatch.on("other"):
                value = worker.answer(request.body, right)
                raw = msgspec.Raw(msgspec.msgpack.encode(value))
            done = messages.Done(number=request.number, result=raw, spent=stopwatch.so_far())
            messages.write(answers, done)
        except Exception as error:  # whatever a backbone raises is an answer, and the worker lives on
            traceback.print_exc()
            kind = type(error).__name__ if isinstance(error, AutotlError) else "EngineError"
            text = str(error) if isinstance(error, AutotlError) else f"{type(error).__name__}: {error}"
            failed = messages.Failed(number=request.number, kind=kind, message=text, spent=stopwatch.so_far())
            messages.write(answers, failed)
        finally:
            rights.pop(request.number, None)


class Worker:
    """The data of a run, and what was built of it."""

    def __init__(self) -> None:
        self.start: messages.Start | None = None
        self.table: dict[str, np.ndarray] = {}
        self.classes: tuple[str, ...] = ()
        self.folds = 0
        self.metric: Metric = "accuracy"
        self.squares: Squares | None = None
        self.device = torch.device("cpu")
        self.cache: Cache | None = None
        self.built: dict[tuple[str, str, int], Backbone] = {}
        self.precisions: dict[tuple[str, int, bool], str] = {}
        self.mirror: tuple[bool, str] | None = None
        self.model: tuple[tuple[object, ...], Answering] | None = None

    def answer(self, body: messages.Body, allowance: Allowance) -> Any:
        """The answer to a request. Raises `AutotlError` or whatever went wrong."""
        if isinstance(body, messages.Start):
            return self._begin(body)
        if isinstance(body, messages.Open):
            return self._open(body)
        if isinstance(body, messages.Embed):
            return self._embed(body, allowance)
        if isinstance(body, messages.Measure):
            return self._measure(body, allowance)
        if isinstance(body, messages.Train):
            return self._train(body, allowance)
        if isinstance(body, messages.Familiarise):
            return self._familiarise(body, allowance)
        if isinstance(body, messages.Explain):
            return self._explain(body, allowance)
        return self._predict(body, allowance)

    def _begin(self, body: messages.Start) -> Machine:
        self.start = body
        sys.path += [entry for entry in body.sys_path if entry not in sys.path]
        self.device = devices.choose(body.device)
        devices.possible(self.device, body.precision)
        threads = devices.prepare(self.device)
        self.cache = None if body.cache is None else Cache(body.cache)
        return Machine(
            device=devices.describe(self.device),
            precision=body.precision,
            threads=threads,
            versions=_versions(),
        )

    def _open(self, body: messages.Open) -> None:
        with np.load(body.table, allow_pickle=False) as table:
            self.table = {name: table[name] for name in table.files}
        self.classes, self.folds, self.metric = body.classes, body.folds, body.metric
        self.squares = Squares(Pixels.open(body.pixels))
        if "digests" not in self.table:
            self.table["digests"] = np.array(
                [f"{body.pixels}:{row}" for row in range(len(self.table["labels"]))]
            )

    def _embed(self, body: messages.Embed, allowance: Allowance) -> Embedding:
        with np.load(body.rows, allow_pickle=False) as asked:
            rows = asked["rows"]
        os.unlink(body.rows)
        found = self.features(body.backbone, body.input_size, rows, allowance)
        path = Path(body.rows).with_name(f"features-{Path(body.rows).stem}.npz")
        arrays = {f"g{index}": group for index, group in enumerate(found.groups)}
        if found.logits is not None:
            arrays["logits"] = found.logits
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **{"rows": found.rows, **arrays})  # type: ignore[arg-type]
        return Embedding(
            backbone=body.backbone.name,
            input_size=body.input_size,
            path=str(path),
            groups=len(found.groups),
            rows=len(found.rows),
            seconds_per_image=found.seconds_per_image,
            cached=found.cached,
        )

    def features(self, spec: BackboneSpec, size: int, rows: np.ndarray, allowance: Allowance) -> Features:
        """Features of some rows of the run's data."""
        assert self.squares is not None, "open comes first"
        backbone = self.backbone(spec, size)
        precision = self.precision(backbone)
        return embed(
            backbone, rows, self.squares, self.table["digests"], self.cache, self.device, precision, allowance
        )

    def backbone(self, spec: BackboneSpec, size: int) -> Backbone:
        """A backbone for reading features; the last few are kept. Trainings build their own."""
        key = (spec.name, spec.init, size)
        if key not in self.built:
            while len(self.built) >= BACKBONES_KEPT:
                self.built.pop(next(iter(self.built)))
            self.built[key] = self.fresh(spec, size)
        return self.built[key]

    @stopwatch.on("build")
    def fresh(self, spec: BackboneSpec, size: int) -> Backbone:
        """A backbone of one's own, on the device, channels last."""
        assert self.start is not None
        torch.manual_seed(self.start.seed)
        backbone = build(spec, size, offline=self.start.offline)
        return backbone.to(self.device).to(memory_format=torch.channels_last)

    def precision(self, backbone: Backbone, training: bool = False) -> str:
        """What to compute in: asked for, or the faster of two on a batch; training is timed with its backward pass.

        A precision that is faster forward can be several times slower backward. What was found is kept in
        the cache: two that are nearly as fast would else take turns, and one seed would give two models.
        """
        assert self.start is not None
        key = (backbone.spec.name, backbone.input_size, training)
        if key not in self.precisions:
            choices = devices.possible(self.device, self.start.precision)
            if len(choices) == 1:
                return choices[0]
            self.precisions[key] = self._remembered(choices, backbone, training)
        return self.precisions[key]

    @stopwatch.on("timing")
    def _remembered(self, choices: tuple[devices.Precision, ...], backbone: Backbone, training: bool) -> str:
        """The faster precision, as timed now or once before on such a machine."""
        described = (*devices.identity(self.device), backbone.spec.build, backbone.spec.arguments)
        name = cache_key("precision", described, backbone.input_size, training)
        known = None if self.cache is None else self.cache.get(name)
        if known is not None and "precision" in known and str(known["precision"]) in choices:
            return str(known["precision"])
        batch = torch.randn(16, 3, backbone.input_size, backbone.input_size, device=self.device)
        batch = batch.contiguous(memory_format=torch.channels_last)
        run = _training_step(backbone, batch) if training else _forward_pass(backbone, batch)
        found = devices.faster(choices, run, self.device)
        if self.cache is not None:
            self.cache.put(name, {"precision": np.array(found)})
        return found

    def _train(self, body: messages.Train, allowance: Allowance) -> TrialResult:
        try:
            return trial.run(self, body.trial, body.backbone, body.strategy, allowance)
        except AutotlError as error:
            return TrialResult(trial=body.trial, status="failed", error=str(error))
        except Exception as error:  # a training that breaks is a row of the leaderboard
            traceback.print_exc()
            devices.release(self.device)
            return TrialResult(trial=body.trial, status="failed", error=f"{type(error).__name__}: {error}")

    def _measure(self, body: messages.Measure, allowance: Allowance) -> Measurement:
        return trial.measure(self, body.candidate, body.backbone, allowance)

    def _predict(self, body: messages.Predict, allowance: Allowance) -> messages.Predicted:
        assert self.start is not None
        found = self._answering(body.model).files(body.files, allowance, features=body.features)
        columns = {
            "probabilities": found.probabilities,
            "distance": found.distance,
            "features": found.features,
        }
        arrays: dict[str, Any] = {name: value for name, value in columns.items() if value is not None}
        work = Path(self.start.folder) / ".engine"
        work.mkdir(parents=True, exist_ok=True)
        path = work / f"predicted-{time.monotonic_ns()}.npz"
        np.savez(path, **arrays)
        return messages.Predicted(arrays=str(path), errors=tuple(found.errors))

    def _answering(self, name: str) -> Answering:
        """The model of a folder; the last one is kept for as long as weights and description are the same."""
        assert self.start is not None
        folder = Path(self.start.folder, name)
        parts = [folder / model.FILE, folder / model.DESCRIPTION]
        key = (str(folder), *(part.stat().st_mtime_ns for part in parts if part.exists()))
        if self.model is None or self.model[0] != key:
            self.model = None  # not two at a time
            self.model = (key, Answering(folder, self.device))
        return self.model[1]

    def _familiarise(self, body: messages.Familiarise, allowance: Allowance) -> bool:
        assert self.squares is not None and self.start is not None, "open comes first"
        with np.load(body.rows, allow_pickle=False) as asked:
            fitted, held_out = asked["fitted"][: ood.MOST], asked["held_out"][: ood.MOST]
        os.unlink(body.rows)
        answering = self._answering(body.model)
        half = Allowance(deadline=time.monotonic() + allowance.left / 2, cancelled=allowance.cancelled)
        outside = self._seen(answering, held_out, half)
        inside = self._seen(answering, fitted, allowance)
        with stopwatch.on("head"):
            found = ood.fit(inside, outside)
        if found is not None:
            ood.write(found, Path(self.start.folder, body.model))
            answering.familiar = found
        return found is not None

    def _explain(self, body: messages.Explain, allowance: Allowance) -> str:
        assert self.squares is not None, "open comes first"
        with np.load(body.rows, allow_pickle=False) as asked:
            rows, answers = asked["rows"], asked["answers"]
        os.unlink(body.rows)
        answering = self._answering(body.model)
        size, preprocess = answering.description.input_size, answering.description.backbone.preprocess
        margin = (answering.side - size) // 2
        inside = np.s_[:, margin : margin + size, margin : margin + size]
        images = self.squares.get(rows, answering.side, preprocess.interpolation)[inside]
        found = explain(images, answers, lambda some: answering.squares(some)[0], allowance)
        path = Path(body.rows).with_name(f"explained-{Path(body.rows).stem}.npz")
        np.savez(path, maps=found.maps, shares=found.shares, seen=found.seen)
        return str(path)

    def _seen(self, answering: Answering, rows: np.ndarray, allowance: Allowance) -> np.ndarray:
        """Pooled features (m, d) of rows of the run, as many as the allowance grants."""
        assert self.squares is not None
        preprocess, seen = answering.description.backbone.preprocess, []
        for first in range(0, len(rows), FILES_AT_ONCE):
            if allowance.expired:
                break
            some = rows[first : first + FILES_AT_ONCE]
            squares = self.squares.get(some, answering.side, preprocess.interpolation)
            seen.append(answering.squares(squares)[1])
        return np.concatenate(seen) if seen else np.zeros((0, answering.network.backbone.feature_dim))


def _forward_pass(backbone: Backbone, batch: torch.Tensor) -> Callable[[str], None]:
    def run(precision: str) -> None:
        with torch.inference_mode(), devices.autocast(batch.device, precision):
            backbone(batch)

    return run


def _training_step(backbone: Backbone, batch: torch.Tensor) -> Callable[[str], None]:
    """Forward and backward through a copy: batch norm would remember the noise."""
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
