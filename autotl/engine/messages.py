"""The messages between client and worker: records in msgpack, each preceded by its length.

Messages are small; whatever grows with the data travels as a file whose path is in the message.
"""

from __future__ import annotations

import os
import struct
from functools import cache
from typing import Any, BinaryIO

import msgspec

from autotl.cache import key
from autotl.records import (
    BackboneSpec,
    Candidate,
    Metric,
    ModalityName,
    Progress,
    Strategy,
    TargetName,
    Trial,
    Weights,
)

LENGTH = struct.Struct("<Q")
DISK_FULL = "disk full"
_NAME, _PAIRS = 1, 2  # msgpack's extension types of a name in bytes, and of a dictionary with such names


class Start(msgspec.Struct, tag=True, frozen=True):
    """The first message: where the worker may write, and how it is to compute."""

    folder: str  # the run folder
    cache: str | None
    device: str
    precision: str
    seed: int
    offline: bool
    sys_path: tuple[str, ...]  # the parent's, so that a user's own plugin module is found
    number: int = 0  # of the slot, among those that write into the folder
    cores: int = 0  # that the worker may use; 0: all there are
    sent: str = ""  # folder of weights that this machine lacked (`sent_name`)


def sent_name(weights: Weights) -> str:
    """Return the name under which weights travel: of what they are, not of where they lie."""
    return key("sent weights", weights.kind, weights.location, weights.revision)


class Open(msgspec.Struct, tag=True, frozen=True):
    """The data of the run: decoded images and their `Columns`, whose arrays are in an npz."""

    pixels: str
    table: (
        str  # npz with labels, part, fold, order, and what else `Columns` has, and digests, where there are
    )
    classes: tuple[str, ...]
    folds: int
    target: TargetName
    modality: ModalityName
    metric: Metric
    others: tuple[tuple[str, tuple[str, ...]], ...] = ()  # name and classes of each further label column


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


class FitOthers(msgspec.Struct, tag=True, frozen=True):
    model: str
    rows: str  # npz with `fitted` and `judged`


class Explain(msgspec.Struct, tag=True, frozen=True):
    model: str
    rows: str  # npz with `rows` and `classes`


Body = Start | Open | Embed | Measure | Train | Predict | FitOod | FitOthers | Explain


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
    """An error; `kind` names the class that the parent raises.

    `DISK_FULL` is an `OSError`, with the path as message: it is no fault of a backbone, and ends the run.
    """

    number: int
    kind: str
    message: str
    worked: dict[str, float] = {}


ToWorker = Request | Cancel
FromWorker = Report | Done | Failed


def encode(value: Any) -> bytes:
    """Return a message or a record in msgpack. Raises `TypeError` for what holds something else than records.

    The name of a file need not be text: on Linux it is bytes, and those that are not UTF-8 travel as such.
    """
    try:
        return msgspec.msgpack.encode(value)
    except UnicodeEncodeError:
        return msgspec.msgpack.encode(_with_bytes(msgspec.to_builtins(value)))


def decode(data: bytes | msgspec.Raw, kind: Any) -> Any:
    """Return the value of type `kind` that `encode` made the bytes of. Raises `msgspec.ValidationError`."""
    try:
        return _decoder(kind).decode(data)
    except msgspec.ValidationError:  # of a name in bytes: no field has that type
        return msgspec.convert(_decoder(Any).decode(data), kind)


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind, ext_hook=_from_bytes)


def _from_bytes(code: int, data: memoryview) -> Any:
    return os.fsdecode(bytes(data)) if code == _NAME else dict(_decoder(Any).decode(data))


def _with_bytes(value: Any) -> Any:
    """Return a value of plain types, its strings that are not text as bytes of an extension type."""
    if isinstance(value, str):
        return value if _is_text(value) else msgspec.msgpack.Ext(_NAME, os.fsencode(value))
    if isinstance(value, dict):
        if all(isinstance(key, str) and _is_text(key) for key in value):
            return {key: _with_bytes(item) for key, item in value.items()}
        pairs = [(_with_bytes(key), _with_bytes(item)) for key, item in value.items()]
        return msgspec.msgpack.Ext(_PAIRS, msgspec.msgpack.encode(pairs))  # no key has an extension type
    if isinstance(value, list | tuple):
        return [_with_bytes(item) for item in value]
    return value


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def write(stream: BinaryIO, data: bytes) -> None:
    """Write the bytes of one message and flush."""
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
