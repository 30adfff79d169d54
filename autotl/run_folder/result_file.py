"""result.json: the whole of a run, as `Recommendation` holds it.

It is enough to derive leaderboard, tests and decision again without torch. Floats are rounded to six digits
before they are written, and decisions are made from the rounded ones. Every fact is written with its sentence
as ``text``, and the recommendation as ``summary``: for people, and ignored when the file is read. The last field is
the digest of the others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from autotl.cache import atomic_write
from autotl.checksums import SEALED, sums
from autotl.decision import evidence
from autotl.errors import AutotlError, RunError
from autotl.received import inside, require_plain
from autotl.records import Fact, Finding
from autotl.records.encoding import rounded
from autotl.records.result import SCHEMA_VERSION, Recommendation
from autotl.report import wording
from autotl.report.wording.recommendation import recommendation
from autotl.run_folder import migrate

__all__ = [
    "FILE",
    "altered",
    "encoded",
    "files",
    "read",
    "reading",
    "require_unchanged",
    "schema",
    "version",
    "write",
]

FILE, MANIFEST = "result.json", "manifest.csv"


def write(result: Recommendation, folder: Path) -> None:
    """Write result.json atomically."""
    atomic_write(folder / FILE, encoded(result))


def encoded(result: Recommendation) -> bytes:
    """Return the bytes of result.json."""
    stored = with_text(result)
    stored["summary"] = recommendation(result)
    stored["sha256"] = ""
    content = msgspec.json.format(msgspec.json.encode(rounded(stored)), indent=1) + b"\n"
    digest = hashlib.sha256(content).hexdigest().encode()
    before, after = content.rsplit(b'"sha256": ""', 1)
    return b'%s"sha256": "%s"%s' % (before, digest, after)


def altered(folder: Path) -> bool:
    """Return whether result.json is not as autotl wrote it: its last field is the digest of the others."""
    content = (Path(folder) / FILE).read_bytes()
    empty, found = _SEAL.subn(b'"sha256": ""', content)
    digest = hashlib.sha256(empty).hexdigest().encode()
    return found != 1 or not content.endswith(b'"sha256": "%s"\n}\n' % digest)


_SEAL = re.compile(rb'"sha256": "[0-9a-f]{64}"(?=\n\}\n$)')


@contextlib.contextmanager
def reading(folder: str | Path) -> Iterator[None]:
    """Raise `RunError` for whatever goes wrong in the block where result.json was altered since it was written.

    Its values can be of the right kinds and still not fit together. With a result as autotl wrote it,
    an exception is a bug of autotl and goes on.
    """
    try:
        yield
    except Exception as error:
        path = Path(folder) / FILE
        if isinstance(error, (AutotlError, OSError)) or not path.is_file() or not altered(Path(folder)):
            raise
        raise RunError(
            f"{path} was changed after autotl wrote it, and its values do not fit together"
            f" ({type(error).__name__}: {error}); restore the file, or run again"
        ) from error


def require_unchanged(state: Recommendation, folder: Path) -> None:
    """Raise `RunError` that names a file which a decision rests on and which is not as the run recorded it.

    One that is missing is named by who reads it.
    """
    recorded = {name: digest for name, digest in state.files.items() if name == MANIFEST}
    recorded |= {
        trial.predictions: trial.digest for trial in state.trials if trial.predictions and trial.digest
    }
    for name, digest in recorded.items():
        here = sums(folder, (name,)).get(name) if name == MANIFEST else evidence.digest(folder, name)
        if here not in {None, digest}:
            raise RunError(
                f"{folder / name} is not as the run recorded it; expected the digest in {FILE}; restore the file, or"
                " start a new run"
            )


def files(folder: Path) -> dict[str, str]:
    """Return the digests of manifest and model, for `Recommendation.files`."""
    return sums(folder, (MANIFEST, *(f"model/{name}" for name in SEALED)))


def version(folder: Path) -> int | None:
    """Return the schema version that a run folder was written in. Raises `RunError` as `read` does."""
    written = _stored(folder).get("schema_version")
    return written if isinstance(written, int) else None


def read(folder: Path) -> Recommendation:
    """Return the result of a run folder, of this schema or an earlier one.

    Raises `RunError` when there is no result, one of a later schema, or when names in it or links lead out of the
    folder.
    """
    require_plain(Path(folder))
    stored = _stored(folder)
    written = stored.get("schema_version")
    try:
        if written == migrate.OLDEST:
            stored = migrate.migrated(stored)
        if stored.get("schema_version") == SCHEMA_VERSION:
            return _within(msgspec.convert(stored, Recommendation), folder)
    except (msgspec.ValidationError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise RunError(
            f"{Path(folder) / FILE} is not a result of this autotl: {error}; run `autotl run` again"
        ) from error
    raise RunError(
        f"{Path(folder) / FILE} has schema version {written}, this autotl reads {migrate.OLDEST} to"
        f" {SCHEMA_VERSION}; use the autotl that wrote it"
    )


def _within(state: Recommendation, folder: Path) -> Recommendation:
    """Return the result. Raises `RunError` for a recorded path that leads elsewhere than to trials or model."""
    paths = [(trial.predictions, "trials") for trial in state.trials]
    paths += [(trial.model, "trials") for trial in state.trials]
    paths += [(name, "model") for name in state.files if name != MANIFEST]
    for name, top in paths:
        if name is not None and not inside(name, top):
            raise RunError(
                f"{Path(folder) / FILE} names {name!r}, expected a path in {top}/ of the run folder; do not use a run"
                " that was tampered with"
            )
    return state


def _stored(folder: Path) -> dict[str, Any]:
    path = Path(folder) / FILE
    try:
        stored = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise RunError(
            f"{folder} has no {FILE} ({error.strerror}); expected a folder written by `autotl run`"
        ) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
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
    made["$defs"]["Recommendation"]["properties"]["sha256"] = sentence  # of the rest, see `altered`
    for name in ("Fact", "Finding"):
        made["$defs"][name]["properties"]["text"] = sentence
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "result.json of an autotl run",
    }
    return {**head, **made}
