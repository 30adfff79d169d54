"""A data source for autotl: images as BLOBs in a table of an SQLite file, with their labels."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from autotl.plugin import Dataset, DatasetError, SourceCall, Target, hookimpl

AUTOTL_API_VERSION = 2
SUFFIXES = (".sqlite", ".sqlite3", ".db")
QUERY = "SELECT id, image, label FROM images ORDER BY id"


@hookimpl
def load_dataset(call: SourceCall) -> Dataset | None:
    """Read the table ``images`` (id, image, label): the bytes of an image file, and the name of its class."""
    path = Path(call.source)
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute(QUERY).fetchall()
    except sqlite3.Error as error:
        raise DatasetError(
            f"{path} cannot be read ({error}); expected a table images (id, image, label); make one, or a view"
        ) from error
    digests = [hashlib.blake2b(blob, digest_size=16).hexdigest() for _, blob, _ in rows]
    labels = [str(label) for _, _, label in rows]
    names = [str(key) for key, _, _ in rows]
    classes, values = np.unique(labels, return_inverse=True)
    target = Target(
        name="label",
        kind="multiclass",
        classes=tuple(map(str, classes.tolist())),
        values=values.astype(np.int64),
    )
    return Dataset(
        source=call.source,
        modality="image",
        files=np.array(
            [str(_file(row[1], digest)) for row, digest in zip(rows, digests, strict=True)], object
        ),
        names=np.array(names, object),
        targets=(target,),
        given=np.full(len(rows), -1, np.int8),  # autotl splits
        digests=np.array(digests, object),
        fingerprint=_fingerprint(names, digests, labels),
    )


def _file(blob: bytes, digest: str) -> Path:
    """Return the file of an image, named by its contents: written once, and shared by all databases."""
    file = user_cache_path("autotl-sqlite") / digest[:2] / digest
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".part").write_bytes(blob)
        file.with_suffix(".part").replace(file)
    return file


def _fingerprint(*columns: list[str]) -> str:
    """Return a digest of contents and labels, which is the same wherever the database lies."""
    text = "\n".join("\t".join(row) for row in zip(*columns, strict=True))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
