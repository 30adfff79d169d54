"""What a run knows of itself: `Recommendation`, kept as result.json.

Enough to derive leaderboard, tests and verdict again without torch. Floats are rounded to six digits
before they are written, and decisions are made from the rounded ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from autotl.cache import atomic_write
from autotl.errors import RunError
from autotl.records import Kind
from autotl.records.encoding import encode
from autotl.records.result import SCHEMA_VERSION, Recommendation

FILE = "result.json"


def write(result: Recommendation, folder: Path) -> None:
    """Writes result.json atomically."""
    atomic_write(folder / FILE, encode(result))


def read(folder: Path) -> Recommendation:
    """The result of a run folder. Raises `RunError` when there is none, or one of another schema."""
    path = Path(folder) / FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RunError(
            f"{folder} holds no {FILE} ({error.strerror}); expected a folder written by `autotl run`"
        ) from error
    try:
        stored = msgspec.json.decode(raw)
        version = stored.get("schema_version")
        if version == SCHEMA_VERSION:
            return msgspec.convert(_with_reasons(stored), Recommendation)
    except (msgspec.DecodeError, AttributeError) as error:
        raise RunError(f"{path} is not a result of this autotl: {error}; run `autotl run` again") from error
    raise RunError(
        f"{path} has schema version {version}, this autotl reads {SCHEMA_VERSION}; use the autotl that wrote it"
    )


def _with_reasons(stored: dict[str, Any]) -> dict[str, Any]:
    """Return a stored result with the sentences that were written as reasons of skipped backbones turned into facts."""
    for skipped in stored.get("skipped", ()):
        if isinstance(skipped.get("reason"), str):
            skipped["reason"] = {"kind": Kind.TEXT, "values": {"text": skipped["reason"]}}
    return stored


def schema() -> dict[str, Any]:
    """The JSON Schema of result.json, from the records; result.schema.json beside this file holds it."""
    made = msgspec.json.schema(Recommendation)
    made["$defs"]["Recommendation"]["properties"]["schema_version"]["const"] = SCHEMA_VERSION
    made["$defs"]["Recommendation"]["required"].append("schema_version")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "result.json of an autotl run",
    }
    return {**head, **made}
