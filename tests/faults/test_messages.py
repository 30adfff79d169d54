"""Names that are not UTF-8 travel to the worker and back; what cannot be sent is an error at once."""

from __future__ import annotations

import os
import struct

import msgspec
import pytest

from autotl.engine import messages
from autotl.records import BackboneSpec, Embedding, Weights

LATIN = os.fsdecode(b"caf\xe9")
START = messages.Start(
    folder=f"/data/{LATIN}", cache=f"/{LATIN}", device="cpu", precision="auto", seed=0, offline=True,
    sys_path=("/usr/lib", f"/home/{LATIN}"),
)  # fmt: skip
SPEC = BackboneSpec(
    name="mine",
    build="a:b",
    arguments={"blocks": [1, "x"], "note": LATIN, LATIN: {"deep": LATIN}},
    weights=Weights(kind="file", location=f"/weights/{LATIN}.safetensors"),
)


@pytest.mark.parametrize(
    "body",
    [
        START,
        messages.Predict(model=LATIN, files=("a.png", LATIN, "\U0010dce9猫.png", f"{LATIN}\n\x1b[31m")),
        messages.Embed(backbone=SPEC, input_size=32, rows=f"/{LATIN}/rows.npz"),
    ],
)
def test_requests_arrive_as_they_were(body: messages.Body) -> None:
    request = messages.Request(number=3, seconds=1.5, body=body)
    assert messages.decode(messages.encode(request), messages.ToWorker) == request


def test_results_arrive_as_they_were() -> None:
    embedding = Embedding(
        backbone=LATIN,
        input_size=32,
        path=f"/{LATIN}/f.npz",
        groups=3,
        rows=7,
        seconds_per_image=0.1,
        cached=2,
    )
    raw = msgspec.Raw(messages.encode(embedding))
    done = messages.decode(messages.encode(messages.Done(number=1, result=raw)), messages.FromWorker)
    assert messages.decode(done.result, Embedding) == embedding
    failed = messages.Failed(number=1, kind="EngineError", message=f"{LATIN} is not there")
    assert messages.decode(messages.encode(failed), messages.FromWorker) == failed


def test_text_takes_the_short_way() -> None:
    request = messages.Request(number=3, seconds=1.5, body=messages.Predict(model="m", files=("猫.png",)))
    assert messages.encode(request) == msgspec.msgpack.encode(request)


def test_what_is_no_record_cannot_be_encoded() -> None:
    spec = BackboneSpec(name="mine", build="a:b", arguments={"a": object()})
    request = messages.Request(
        number=1, seconds=1.0, body=messages.Embed(backbone=spec, input_size=1, rows="")
    )
    with pytest.raises(TypeError):
        messages.encode(request)


@pytest.mark.parametrize("data", [b"", b"\xc1", struct.pack("<d", 1.0), b"\x81\xa4type\xa4Nope"])
def test_damaged_messages_are_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        messages.decode(data, messages.ToWorker)
