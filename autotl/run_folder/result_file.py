"""result.json: the whole of a run, as `Recommendation` holds it.

It is enough to derive leaderboard, tests and decision again without torch. Floats are rounded to six digits
before they are written, and decisions are made from the rounded ones. Every fact is written with its sentence
as ``text``, and the recommendation as ``summary``: for people, and ignored when the file is read.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec

from autotl.cache import atomic_write
from autotl.errors import RunError
from autotl.records import Fact, Finding
from autotl.records.encoding import rounded
from autotl.records.result import SCHEMA_VERSION, Recommendation
from autotl.report import wording
from autotl.report.wording.recommendation import recommendation
from autotl.run_folder import migrate

__all__ = ["FILE", "encoded", "read", "schema", "version", "write"]

FILE = "result.json"


def write(result: Recommendation, folder: Path) -> None:
    """Write result.json atomically."""
    atomic_write(folder / FILE, encoded(result))


def encoded(result: Recommendation) -> bytes:
    """Return the bytes of result.json."""
    stored = with_text(result)
    stored["summary"] = recommendation(result)
    return msgspec.json.format(msgspec.json.encode(rounded(stored)), indent=1) + b"\n"


def version(folder: Path) -> int | None:
    """Return the schema version that a run folder was written in. Raises `RunError` as `read` does."""
    written = _stored(folder).get("schema_version")
    return written if isinstance(written, int) else None


def read(folder: Path) -> Recommendation:
    """Return the result of a run folder, of this schema or an earlier one.

    Raises `RunError` when there is no result, or one of a later schema.
    """
    stored = _stored(folder)
    written = stored.get("schema_version")
    try:
        if written == migrate.OLDEST:
            stored = migrate.migrated(stored)
        if stored.get("schema_version") == SCHEMA_VERSION:
            return msgspec.convert(stored, Recommendation)
    except (msgspec.ValidationError, AttributeError, KeyError, TypeError) as error:
        raise RunError(
            f"{Path(folder) / FILE} is not a result of this autotl: {error}; run `autotl run` again"
        ) from error
    raise RunError(
        f"{Path(folder) / FILE} has schema version {written}, this autotl reads {migrate.OLDEST} to"
        f" {SCHEMA_VERSION}; use the autotl that wrote it"
    )


def _stored(folder: Path) -> dict[str, Any]:
    path = Path(folder) / FILE
    try:
        stored = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise RunError(
            f"{folder} has no {FILE} ({error.strerror}); expected a folder written by `autotl run`"
        ) from error
    except msgspec.DecodeError as error:
        raise RunError(
            f"{path} is not JSON: {error}; expected result.json as autotl wrote it; run `autotl run` again"
        ) from error
    if not isinstance(stored, dict):
        raise RunError(f"{path} is not a result of autotl; expected an object; run `autotl run` again")
    return stored


def with_text(record: Any) -> Any:
    """Return the JSON-able values of a record, with the sentence of each fact and finding as its ``text``."""
    return _with_text(msgspec.to_builtins(record))


def _with_text(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_with_text(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == _FACT:
        return {**value, "text": wording.sentence(msgspec.convert(value, Fact))}
    if value.keys() == _FINDING:
        return {**value, "text": wording.sentence(msgspec.convert(value, Finding))}
    return {name: _with_text(item) for name, item in value.items()}


_FACT, _FINDING = ({field.name for field in dataclasses.fields(kind)} for kind in (Fact, Finding))


def schema() -> dict[str, Any]:
    """Return the JSON Schema of result.json, from the records; result.schema.json beside this file has it."""
    made = msgspec.json.schema(Recommendation)
    made["$defs"]["Recommendation"]["properties"]["schema_version"]["const"] = SCHEMA_VERSION
    made["$defs"]["Recommendation"]["required"].append("schema_version")
    sentence = {"type": "string"}  # for readers: derived from kind and values, see `with_text`
    made["$defs"]["Recommendation"]["properties"]["summary"] = sentence
    for name in ("Fact", "Finding"):
        made["$defs"][name]["properties"]["text"] = sentence
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "result.json of an autotl run",
    }
    return {**head, **made}
