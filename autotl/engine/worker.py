"""The worker's message loop: it handles requests one after another and sends results, errors and progress."""

from __future__ import annotations

import os
import queue
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec
import numpy as np

from autotl import checksums
from autotl.budget import Allowance
from autotl.cache import atomic, disk_full
from autotl.engine import device as devices
from autotl.engine import messages, others, stopwatch, timing, trial
from autotl.engine.explain import explain
from autotl.engine.inference import FILES_AT_ONCE, Predictor
from autotl.engine.progress import Send
from autotl.engine.session import Session, read_data, take_arrays
from autotl.errors import AutotlError, EngineError, OutOfMemory
from autotl.records import Embedding, Machine, Measurement, Progress, TrialResult
from autotl.stats import ood


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Handle requests until the other end is closed. Cancellations are read while work is going on."""
    waiting: queue.SimpleQueue[tuple[messages.Request, Allowance]] = queue.SimpleQueue()
    allowances: dict[int, Allowance] = {}

    def receive(data: bytes) -> messages.ToWorker:
        try:
            return cast("messages.ToWorker", messages.decode(data, messages.ToWorker))
        except msgspec.DecodeError:
            traceback.print_exc()
            os._exit(1)  # the parent reads the log; it would wait for ever for an answer

    def listen() -> None:
        while (data := messages.read(requests)) is not None:
            message = receive(data)
            if isinstance(message, messages.Cancel):
                if message.number in allowances:
                    allowances[message.number].cancelled.set()
                continue
            allowance = Allowance(deadline=time.monotonic() + message.seconds)
            allowances[message.number] = allowance
            waiting.put((message, allowance))
        os._exit(0)  # the parent is gone: nothing waits for what is still being computed

    threading.Thread(target=listen, daemon=True).start()
    worker = Worker()
    while True:
        request, allowance = waiting.get()
        messages.write(answers, messages.encode(_reply(worker, request, allowance, answers)))
        allowances.pop(request.number, None)


def _reply(
    worker: Worker, request: messages.Request, allowance: Allowance, answers: BinaryIO
) -> messages.Done | messages.Failed:
    number = request.number

    def send(progress: Progress, step_seconds: float) -> None:
        report = messages.Report(number=number, progress=progress, step_seconds=step_seconds)
        messages.write(answers, messages.encode(report))

    try:
        with stopwatch.on("other"):
            value = worker.handle(request.body, allowance, send)
            raw = msgspec.Raw(messages.encode(value))
        return messages.Done(number=number, result=raw, worked=stopwatch.so_far())
    except Exception as error:  # a backbone may raise anything, and the worker goes on
        with suppress(OSError):  # the log may be on the disk that is full
            traceback.print_exc()
        if disk_full(error):
            path = os.fsdecode(getattr(error, "filename", None) or "")
            return messages.Failed(
                number=number, kind=messages.DISK_FULL, message=path, worked=stopwatch.so_far()
            )
        kind = type(error).__name__ if isinstance(error, AutotlError) else "EngineError"
        text = str(error) if isinstance(error, AutotlError) else f"{type(error).__name__}: {error}"
        return messages.Failed(number=number, kind=kind, message=text, worked=stopwatch.so_far())


class Worker:
    """Handles each kind of request with the session that the first one, `messages.Start`, begins."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._handlers: dict[type, Callable[..., Any]] = {
            messages.Embed: self._embed,
            messages.Measure: self._measure,
            messages.Predict: self._predict,
            messages.FitOod: self._fit_ood,
            messages.FitOthers: self._fit_others,
            messages.Explain: self._explain,
        }

    @property
    def session(self) -> Session:
        """Return the session. Raises `EngineError` before `messages.Start`."""
        if self._session is None:
            raise EngineError("the worker has no session; expected a Start message first")
        return self._session

    def handle(self, body: messages.Body, allowance: Allowance, send: Send | None = None) -> Any:
        """Return the result of a request. Raises `AutotlError` or whatever went wrong."""
        try:
            if isinstance(body, messages.Start):
                return self._start(body)
            if isinstance(body, messages.Open):
                return self.session.open(read_data(body))
            if isinstance(body, messages.Train):
                return self._train(body, allowance, send)
            return self._handlers[type(body)](body, allowance)
        except Exception as error:
            if devices.out_of_memory(error):
                raise OutOfMemory(f"{type(error).__name__}: {error}") from error
            raise

    def _start(self, body: messages.Start) -> Machine:
        # The client repeats the message to wait until torch is imported; a second session would lose the data.
        if self._session is None:
            self._session = Session(body)
        return self._session.machine()

    def _embed(self, body: messages.Embed, allowance: Allowance) -> Embedding:
        rows = take_arrays(body.rows)["rows"]
        features = self.session.features(body.backbone, body.input_size, rows, allowance)
        path = Path(body.rows).with_name(f"features-{Path(body.rows).stem}.npz")
        arrays = {f"g{index}": group for index, group in enumerate(features.groups)}
        if features.logits is not None:
            arrays["logits"] = features.logits
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **{"rows": features.rows, **arrays})  # type: ignore[arg-type]
        return Embedding(
            backbone=body.backbone.name,
            input_size=body.input_size,
            path=str(path),
            groups=len(features.groups),
            rows=len(features.rows),
            seconds_per_image=features.seconds_per_image,
            cached=features.cached,
        )

    def _train(self, body: messages.Train, allowance: Allowance, send: Send | None) -> TrialResult:
        return trial.attempt(self.session, body.trial, body.backbone, body.strategy, allowance, send)

    def _measure(self, body: messages.Measure, _: Allowance) -> Measurement:
        return timing.measure(self.session, body.candidate, body.backbone)

    def _predict(self, body: messages.Predict, allowance: Allowance) -> messages.Predicted:
        predictor = self.session.predictor(body.model)
        answers = predictor.predict_files(body.files, allowance, features=body.features)
        columns = {
            "probabilities": answers.probabilities,
            "distance": answers.distance,
            "features": answers.features,
            "others": answers.others,
        }
        arrays: dict[str, Any] = {name: value for name, value in columns.items() if value is not None}
        path = self.session.work_file("predicted")
        np.savez(path, **arrays)
        return messages.Predicted(arrays=str(path), errors=tuple(answers.errors))

    def _fit_ood(self, body: messages.FitOod, allowance: Allowance) -> bool:
        arrays = take_arrays(body.rows)
        predictor = self.session.predictor(body.model)
        half = allowance.share(0.5)
        if body.frozen is None:
            held_out = self._pooled(predictor, arrays["held_out"][: ood.MOST], half)
            fitted = self._pooled(predictor, arrays["fitted"][: ood.MOST], allowance)
        else:
            held_out, fitted = (
                self.session.features(body.frozen, body.input_size, arrays[name][: ood.MOST], granted).groups[
                    -1
                ]
                for name, granted in (("held_out", half), ("fitted", allowance))
            )
        with stopwatch.on("head"):
            detector = ood.fit(fitted, held_out)
        if detector is None:
            return False
        folder = Path(self.session.folder, body.model)
        ood.write(detector, folder)
        checksums.seal(folder)
        predictor.ood = detector
        return True

    def _fit_others(self, body: messages.FitOthers, allowance: Allowance) -> str:
        arrays = take_arrays(body.rows)
        session, predictor = self.session, self.session.predictor(body.model)
        columns, judged = session.data.columns, self._pooled(predictor, arrays["judged"], allowance)
        if predictor.description.others != others.described(columns):
            features = self._pooled(predictor, arrays["fitted"], allowance)
            rows = arrays["fitted"][: len(features)]
            with stopwatch.on("head"):
                made = others.fitted(session.data, features, rows, session.seed)
            others.attach(predictor, made, columns, Path(session.folder, body.model))
        if len(judged) < len(arrays["judged"]):
            raise EngineError("the time was over before all images were predicted; expected more time")
        path = Path(body.rows).with_name(f"others-{Path(body.rows).stem}.npz")
        table = predictor.of_others(judged)
        assert table is not None
        np.savez(path, probabilities=table)
        return str(path)

    def _explain(self, body: messages.Explain, allowance: Allowance) -> str:
        arrays = take_arrays(body.rows)
        predictor = self.session.predictor(body.model)
        size, preprocess = predictor.description.input_size, predictor.description.backbone.preprocess
        margin = (predictor.side - size) // 2
        inside = np.s_[:, margin : margin + size, margin : margin + size]
        squares = self.session.data.squares.get(arrays["rows"], size, preprocess)
        explained = explain(
            squares[inside],
            arrays["classes"],
            lambda images: predictor.predict_squares(images)[0],
            allowance,
        )
        path = Path(body.rows).with_name(f"explained-{Path(body.rows).stem}.npz")
        np.savez(path, maps=explained.maps, shares=explained.shares, seen=explained.seen)
        return str(path)

    def _pooled(self, predictor: Predictor, rows: np.ndarray, allowance: Allowance) -> np.ndarray:
        """Return pooled features (m, d) of rows of the run, as many as the allowance grants."""
        description, features = predictor.description, []
        for first in range(0, len(rows), FILES_AT_ONCE):
            if allowance.expired:
                break
            batch = rows[first : first + FILES_AT_ONCE]
            squares = self.session.data.squares.get(
                batch, description.input_size, description.backbone.preprocess
            )
            features.append(predictor.predict_squares(squares)[1])
        return np.concatenate(features) if features else np.zeros((0, predictor.network.backbone.feature_dim))
