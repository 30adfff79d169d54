"""A data source for autotl: images as BLOBs in a table of an SQLite file, with their labels."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from autotl.plugin import Dataset, DatasetError, SourceCall, Target, hookimpl

AUTOTL_API_VERSION = 4
SUFFIXES = (".sqlite", ".sqlite3", ".db")
QUERY = "SELECT * FROM images ORDER BY id"


@hookimpl
def load_dataset(call: SourceCall) -> Dataset | None:
    """Read the table ``images`` (id, image, label): the bytes of an image file, and the name of its class.

    The options `label` and `group` name other columns of it. autotl refuses options that are not looked up here.
    """
    path = Path(call.source)
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return None
    label, group = call.options.get("label", "label"), call.options.get("group")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            rows = database.execute(QUERY).fetchall()
        names, labels = [str(row["id"]) for row in rows], [str(row[label]) for row in rows]
        blobs = [row["image"] for row in rows]
        groups = [str(row[group]) for row in rows] if group else []
    except (sqlite3.Error, IndexError) as error:
        columns = ", ".join(("id", "image", label, *([group] if group else [])))
        raise DatasetError(
            f"{path} cannot be read ({error}); expected a table images ({columns}); make one, or a view"
        ) from error
    digests = [hashlib.blake2b(blob, digest_size=16).hexdigest() for blob in blobs]
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
            [str(_file(blob, digest)) for blob, digest in zip(blobs, digests, strict=True)], object
        ),
        names=np.array(names, object),
        targets=(target,),
        given=np.full(len(rows), -1, np.int8),  # autotl splits
        group=np.unique(groups, return_inverse=True)[1].astype(np.int64) if group else None,
        digests=np.array(digests, object),
        fingerprint=_fingerprint(names, digests, labels, *([groups] if group else [])),
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
    """Return a digest of contents, labels and groups, which is the same wherever the database lies."""
    text = "\n".join("\t".join(row) for row in zip(*columns, strict=True))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def autotl_check_source(folder: Path) -> str:
    """Write a database with two images into a folder and return its name: ``autotl check`` reads it."""
    path = folder / "sample.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE images (id INTEGER, image BLOB, label TEXT)")
        for number, label in enumerate(("dark", "light")):
            image = b"P6 32 32 255\n" + bytes([255 * number]) * (32 * 32 * 3)  # an image file (PPM)
            database.execute("INSERT INTO images VALUES (?, ?, ?)", (number, image, label))
        database.commit()
    return str(path)
