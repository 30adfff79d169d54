"""Time networks on this device: a training step and a prediction of a candidate, and the latency of a model."""

from __future__ import annotations

import time
from dataclasses import replace

import msgspec
import numpy as np
import torch
from torch import nn

from autotl import __version__
from autotl.cache import key as cache_key
from autotl.engine import device as devices
from autotl.engine import memory, stopwatch
from autotl.engine.augment import augment
from autotl.engine.images import normalised, side_before_crop
from autotl.engine.model import Model
from autotl.engine.session import Session
from autotl.engine.task import Task
from autotl.records import BackboneSpec, Candidate, Measurement

ENOUGH = 2.0  # seconds after which no further batch is timed: on a busy machine one alone can take as long
TIMED = 32  # images in a batch that is timed
TIMED_SECONDS = 0.02  # of passes at least


@stopwatch.on("timing")
def measure(session: Session, candidate: Candidate, spec: BackboneSpec) -> Measurement:
    """Return the seconds of a training image and of a predicted image, from three timed batches of noise.

    What was measured once is kept in the cache, by machine, architecture, input size and depth.
    """
    described = (*devices.identity(session.device), session.threads, session.wanted_precision)
    architecture = (spec.build, spec.arguments, candidate.input_size, str(candidate.unfreeze))
    name = cache_key("measurement", __version__, described, architecture)
    cached = None if session.cache is None else session.cache.get(name)
    if cached is not None and "measurement" in cached:
        measured = msgspec.json.decode(bytes(cached["measurement"]), type=Measurement)
        return replace(measured, candidate=candidate.id, peak=devices.peak_memory(session.device))
    measured = timed_batches(session, candidate, spec)
    if session.cache is not None:
        session.cache.put(name, {"measurement": np.frombuffer(msgspec.json.encode(measured), np.uint8)})
    return measured


def timed_batches(session: Session, candidate: Candidate, spec: BackboneSpec) -> Measurement:
    """Return what a batch of noise takes: the least of three, of fewer where `ENOUGH` seconds are over."""
    backbone = session.fresh(spec, candidate.input_size)
    precision, predicts_in = session.precision(backbone, training=True), session.precision(backbone)
    classes = max(2, len(session.data.columns.classes))
    network = Model(backbone, nn.Linear(backbone.feature_dim, classes)).to(session.device)
    backbone.freeze(candidate.unfreeze)
    network.train()
    batch = torch.randn(16, 3, candidate.input_size, candidate.input_size, device=session.device)
    batch = batch.contiguous(memory_format=torch.channels_last)
    side = side_before_crop(candidate.input_size, spec.preprocess)
    squares = torch.randint(0, 256, (16, side, side, 3), dtype=torch.uint8, device=session.device)
    generator = torch.Generator().manual_seed(0)
    train_seconds: list[float] = []
    predict_seconds: list[float] = []
    prepare_seconds: list[float] = []
    begun = time.perf_counter()
    for _ in range(3):
        start = time.perf_counter()
        if train_seconds and start - begun > ENOUGH:
            break
        normalised(augment(squares, candidate.input_size, "light", True, generator), spec.preprocess)
        devices.synchronize(session.device)
        prepared = time.perf_counter()
        with devices.autocast(session.device, precision):
            loss = network(batch).square().mean()
        loss.backward()
        devices.synchronize(session.device)
        trained = time.perf_counter()
        with torch.inference_mode(), devices.autocast(session.device, predicts_in):
            network(batch)
        devices.synchronize(session.device)
        prepare_seconds.append(prepared - start)
        train_seconds.append(trained - prepared)
        predict_seconds.append(time.perf_counter() - trained)
    return Measurement(
        candidate=candidate.id,
        seconds_per_image=min(train_seconds) / len(batch),
        latency=min(predict_seconds) / len(batch),
        prepare=min(prepare_seconds) / len(batch),
        bytes=memory.predicting(network.eval(), batch[:1]),
        peak=devices.peak_memory(session.device),
        precision=precision,
    )


@stopwatch.on("timing")
def latency(network: Model, task: Task, precision: str) -> float:
    """Return the seconds that predicting one image of a batch of 32 takes.

    The backbone is timed once a run: whatever head it has, and however it was trained, it takes the same time.
    """
    device, known = task.session.device, task.session.latencies
    key = (task.spec.name, task.strategy.prepare, task.size, precision)
    network.eval()
    with torch.inference_mode(), devices.autocast(device, precision):
        if key not in known:
            batch = torch.randn(TIMED, 3, task.size, task.size, device=device)
            batch = batch.contiguous(memory_format=torch.channels_last)
            known[key] = _seconds(network.backbone, batch)
        features = torch.randn(TIMED, network.head_width, device=device)
        return known[key] + _seconds(network.head, features)


def _seconds(module: nn.Module, batch: torch.Tensor) -> float:
    """Return the seconds an item of a batch takes: the shortest of three passes or more after a first one.

    What takes next to nothing is passed until `TIMED_SECONDS` are over: among few short passes of a busy machine
    each may have been interrupted, and a head would seem to slow its network down.
    """
    passes: list[float] = []
    while len(passes) < 4 or sum(passes) < TIMED_SECONDS:
        start = time.perf_counter()
        module(batch)
        devices.synchronize(batch.device)
        passes.append(time.perf_counter() - start)
    return min(passes[1:]) / len(batch)
