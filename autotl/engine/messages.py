"""What client and worker say to each other: records in msgpack, each preceded by its length.

Messages are small; whatever grows with the data travels as a file whose path is in the message.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec

from autotl.records import BackboneSpec, Candidate, Metric, Strategy, Trial

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
    """The data of the run: decoded images and an npz with labels, part, fold, order, group."""

    pixels: str
    table: str
    classes: tuple[str, ...]
    folds: int
    metric: Metric


class Embed(msgspec.Struct, tag=True, frozen=True):
    backbone: BackboneSpec
    input_size: int
    rows: str  # npz with `rows`


class Measure(msgspec.Struct, tag=True, frozen=True):
    candidate: Candidate
    backbone: BackboneSpec
    strategy: Strategy


class Train(msgspec.Struct, tag=True, frozen=True):
    trial: Trial
    backbone: BackboneSpec
    strategy: Strategy


class Predict(msgspec.Struct, tag=True, frozen=True):
    model: str
    files: tuple[str, ...]
    features: bool = False


class Familiarise(msgspec.Struct, tag=True, frozen=True):
    model: str
    rows: str  # npz with `fitted` and `held_out`


class Explain(msgspec.Struct, tag=True, frozen=True):
    model: str
    rows: str  # npz with `rows` and `answers`


Body = Start | Open | Embed | Measure | Train | Predict | Familiarise | Explain


class Request(msgspec.Struct, tag=True, frozen=True):
    """Something to be done within some seconds, counted from when it arrives."""

    number: int
    seconds: float
    body: Body


class Cancel(msgspec.Struct, tag=True, frozen=True):
    """Takes back the right of a request to go on."""

    number: int


class Predicted(msgspec.Struct, tag=True, frozen=True):
    arrays: str  # npz: probabilities (n, classes) float32; distance (n,) and features (n, d) where there are
    errors: tuple[str | None, ...]


class Progress(msgspec.Struct, tag=True, frozen=True):
    number: int
    values: dict[str, float | str]


class Done(msgspec.Struct, tag=True, frozen=True):
    number: int
    result: msgspec.Raw
    spent: dict[str, float] = {}  # seconds by kind (`autotl.engine.stopwatch`) since the worker began


class Failed(msgspec.Struct, tag=True, frozen=True):
    """What went wrong; `kind` names the class of error the parent raises."""

    number: int
    kind: str
    message: str
    spent: dict[str, float] = {}


ToWorker = Request | Cancel
FromWorker = Progress | Done | Failed


def write(stream: BinaryIO, message: ToWorker | FromWorker) -> None:
    """Writes one message and flushes."""
    data = msgspec.msgpack.encode(message)
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def read(stream: BinaryIO) -> bytes | None:
    """The bytes of the next message, None at the end of the stream or when it breaks off in the middle."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    size = LENGTH.unpack(head)[0]
    data = stream.read(size)
    return data if len(data) == size else None
