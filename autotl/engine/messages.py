"""The messages between client and worker: records in msgpack, each preceded by its length.

Messages are small; whatever grows with the data travels as a file whose path is in the message.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec

from autotl.records import (
    BackboneSpec,
    Candidate,
    Metric,
    ModalityName,
    Progress,
    Strategy,
    TargetName,
    Trial,
)

LENGTH = struct.Struct("<Q")


class Start(msgspec.Struct, tag=True, frozen=True):
    """The first message: where the worker may write, and how it is to compute."""

    folder: str  # the run folder
    cache: str | None
    device: str
    precision: str
    seed: int
    offline: bool
    sys_path: tuple[str, ...]  # the parent's, so that a user's own plugin module is found


class Open(msgspec.Struct, tag=True, frozen=True):
    """The data of the run: decoded images and their `Columns`, whose arrays are in an npz."""

    pixels: str
    table: str  # npz with labels, part, fold, order, and group and digests where there are
    classes: tuple[str, ...]
    folds: int
    target: TargetName
    modality: ModalityName
    metric: Metric


class Embed(msgspec.Struct, tag=True, frozen=True):
    backbone: BackboneSpec
    input_size: int
    rows: str  # npz with `rows`


class Measure(msgspec.Struct, tag=True, frozen=True):
    candidate: Candidate
    backbone: BackboneSpec


class Train(msgspec.Struct, tag=True, frozen=True):
    trial: Trial
    backbone: BackboneSpec
    strategy: Strategy


class Predict(msgspec.Struct, tag=True, frozen=True):
    model: str
    files: tuple[str, ...]
    features: bool = False


class FitOod(msgspec.Struct, tag=True, frozen=True):
    model: str
    rows: str  # npz with `fitted` and `held_out`
    frozen: BackboneSpec | None = None  # whose features the model computes
    input_size: int = 0


class Explain(msgspec.Struct, tag=True, frozen=True):
    model: str
    rows: str  # npz with `rows` and `classes`


Body = Start | Open | Embed | Measure | Train | Predict | FitOod | Explain


class Request(msgspec.Struct, tag=True, frozen=True):
    """Work with a number and a limit in seconds, counted from when the request arrives."""

    number: int
    seconds: float
    body: Body


class Cancel(msgspec.Struct, tag=True, frozen=True):
    """Cancels the allowance of a request."""

    number: int


class Predicted(msgspec.Struct, tag=True, frozen=True):
    arrays: str  # npz: probabilities (n, classes) float32; distance (n,) and features (n, d) where there are
    errors: tuple[str | None, ...]


class Report(msgspec.Struct, tag=True, frozen=True):
    """Sent while a trial trains; `step_seconds` is the longest step since the report before."""

    number: int
    progress: Progress
    step_seconds: float


class Done(msgspec.Struct, tag=True, frozen=True):
    number: int
    result: msgspec.Raw
    worked: dict[str, float] = {}  # seconds by kind (`autotl.engine.stopwatch`) since the worker began


class Failed(msgspec.Struct, tag=True, frozen=True):
    """An error; `kind` names the class that the parent raises."""

    number: int
    kind: str
    message: str
    worked: dict[str, float] = {}


ToWorker = Request | Cancel
FromWorker = Report | Done | Failed


def write(stream: BinaryIO, message: ToWorker | FromWorker) -> None:
    """Write one message and flush."""
    data = msgspec.msgpack.encode(message)
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def read(stream: BinaryIO) -> bytes | None:
    """Return the bytes of the next message, None at the end of the stream or when it breaks off in the middle."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    size = LENGTH.unpack(head)[0]
    data = stream.read(size)
    return data if len(data) == size else None
