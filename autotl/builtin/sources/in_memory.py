"""Data sets in Python: data frames, lists of paths, PIL images or arrays, torchvision's and Hugging Face's objects.

They are written as a table beside their images, in the cache under their digest, and read as any table. Thus a run can
be continued and fitted again when the objects are gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from autotl import modality
from autotl.builtin.sources.columns import LABELS, PATHS
from autotl.builtin.sources.listing import MODALITY
from autotl.builtin.sources.names import squeezed
from autotl.builtin.sources.table_files import text_of
from autotl.cache import atomic_write, source_folder
from autotl.errors import DatasetError

TABLE = "items.jsonl"
EXPECTED = (
    "a path, a DataFrame with columns of paths and labels, a pair (images, labels), a dataset with image and label in"
    " each item, or a dict of these by part"
)

Row = dict[str, Any]


def as_source(source: Any, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a source that a reader can read, and the options that it needs. A path stays as it is.

    Raises `DatasetError` for an object that holds no labelled images.
    """
    if isinstance(source, str | os.PathLike):
        return os.fspath(source), dict(options)
    test = options.get("test")
    if test is not None and not isinstance(test, str | os.PathLike):
        source = {**(source if _is_parts(source) else {"train": source}), "test": test}
        options = {name: value for name, value in options.items() if name != "test"}
    with tempfile.TemporaryDirectory(prefix="autotl-") as work:
        writer = _Writer(Path(work), Path(os.fspath(options.get("root") or ".")))
        parts = source.items() if _is_parts(source) else [("", source)]
        rows = [
            row | ({"split": str(part)} if part else {})
            for part, of_part in parts
            for row in _rows(of_part, options, writer)
        ]
        table, root = writer.keep(rows)
    kept = {name: value for name, value in options.items() if name != "path"}  # its column is `path` now
    return str(table), kept | {"root": str(root)}


def _is_parts(source: Any) -> bool:
    """Return whether an object holds data sets by the name of their part."""
    return isinstance(source, Mapping) and not hasattr(source, "columns")


@dataclass(slots=True)
class _Writer:
    """Writes images in memory to files, and the table that names them."""

    work: Path
    root: Path  # that relative paths start from
    written: list[str] = field(default_factory=list)  # names of files in `work`

    def path(self, image: Any) -> str:
        """Return the path of an image: its own, or that of the file that it is written to."""
        if isinstance(image, str | os.PathLike):
            return os.path.abspath(self.root / os.fspath(image))
        if isinstance(image, Mapping):  # Hugging Face's, where images are not decoded
            if not image.get("bytes"):
                return self.path(image.get("path") or "")
            content = bytes(image["bytes"])
        else:
            modality.get(MODALITY).keep(_pixels(image), self.work / "image")
            content = (self.work / "image").read_bytes()
        name = f"{hashlib.blake2b(content, digest_size=16).hexdigest()}-{len(self.written):07d}"
        (self.work / name).write_bytes(content)
        self.written.append(name)
        return name  # relative: it is not known yet where the table will be

    def keep(self, rows: Sequence[Row]) -> tuple[Path, Path]:
        """Write the table and the images to the cache; return its path, and the folder that paths start from."""
        lines = "\n".join(json.dumps(row, sort_keys=True, default=str) for row in rows).encode()
        digest = hashlib.blake2b(lines, digest_size=20).hexdigest()  # names hold the digests of the contents
        place = source_folder(digest)
        paths = [str(row["path"]) for row in rows]
        outside = [path for path in paths if os.path.isabs(path)]
        root = Path(os.path.commonpath([os.path.dirname(path) for path in outside])) if outside else place
        if outside and self.written:
            root = Path(os.path.commonpath([root, place.absolute()]))
        try:
            for name in self.written:
                if not (place / name).is_file():
                    atomic_write(place / name, (self.work / name).read_bytes())
            table = [
                row | {"path": os.path.relpath(place / str(row["path"]), root)} for row in rows
            ]  # joined with an absolute path, a folder is left out
            text = "\n".join(json.dumps(row, default=str) for row in table)
            atomic_write(place / TABLE, text + "\n")
        except OSError as error:
            raise DatasetError(
                f"the images cannot be written to {place} ({error.strerror}); expected room for them; point"
                " AUTOTL_CACHE to another folder"
            ) from error
        return place / TABLE, root


def _pixels(image: Any) -> Any:
    """Return an image without torch: a tensor (C, H, W) becomes an array (H, W, C)."""
    if hasattr(image, "detach") and hasattr(image, "numpy"):
        array = np.asarray(image.detach().cpu().numpy())
        return np.moveaxis(array, 0, -1) if array.ndim == 3 and array.shape[0] in (1, 3, 4) else array
    return image


def _rows(source: Any, options: Mapping[str, Any], writer: _Writer) -> Iterator[Row]:
    """Yield path, label and other columns of each image. Raises `DatasetError` for what is no data set."""
    if hasattr(source, "columns") and hasattr(source, "to_dict"):
        yield from _of_columns(source.to_dict("records"), list(map(str, source.columns)), options, writer, {})
    elif hasattr(source, "features") and hasattr(source, "column_names"):
        names = {name: getattr(f, "names", None) for name, f in source.features.items()}
        yield from _of_columns(source, list(source.column_names), options, writer, names)
    elif isinstance(source, tuple) and len(source) == 2 and _is_pair(*source):
        for image, label in zip(*source, strict=True):
            yield {"path": writer.path(image), "label": _plain(label)}
    elif hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, tuple):
        yield from _of_items(source, writer)
    else:
        raise _unknown(source)


def _unknown(source: Any) -> DatasetError:
    return DatasetError(f"a {type(source).__name__} is not a data set; expected {EXPECTED}")


def _is_pair(images: Any, labels: Any) -> bool:
    """Return whether two objects are images and as many labels. Raises `DatasetError` for other lengths."""
    if not (hasattr(images, "__len__") and hasattr(labels, "__len__")) or isinstance(images, str):
        return False
    if len(images) != len(labels):
        raise DatasetError(
            f"there are {len(images):,} images and {len(labels):,} labels; expected one label for each image"
        )
    return True


def _of_columns(
    rows: Iterable[Mapping[str, Any]],
    header: Sequence[str],
    options: Mapping[str, Any],
    writer: _Writer,
    names: Mapping[str, Any],
) -> Iterator[Row]:
    """Yield the rows of a table in memory: images in a column, labels in another, the rest as it is."""
    asked = options.get("path")
    image = _usual(header, PATHS) if asked is None else str(asked)
    if image is None or image not in header:
        listed = ", ".join(header)
        raise DatasetError(f"the table has the columns {listed}; expected one of images; name it with path=")
    for row in rows:
        cells = {name: _named(_plain(row[name]), names.get(name)) for name in header if name != image}
        yield {"path": writer.path(row[image]), **{name: c for name, c in cells.items() if name != "path"}}


def _usual(header: Sequence[str], names: Sequence[str]) -> str | None:
    by_name = {squeezed(column): column for column in reversed(header)}
    return next((by_name[name] for name in names if name in by_name), None)


def _of_items(source: Any, writer: _Writer) -> Iterator[Row]:
    """Yield the items of a sequence of (image, label), or of mappings with both; torchvision's is one."""
    classes = getattr(source, "classes", None)
    samples = getattr(source, "samples", None)  # of torchvision's folders: paths, which need not be decoded
    for number in range(len(source)):
        item = samples[number] if samples is not None else source[number]
        if isinstance(item, Mapping):
            header = list(map(str, item))
            image, label = _usual(header, PATHS), _usual(header, LABELS)
            if image is None or label is None:
                raise _unknown(source)
            pair = (item[image], item[label])
        elif isinstance(item, tuple | list) and len(item) == 2:
            pair = (item[0], item[1])
        else:
            raise _unknown(source)
        yield {"path": writer.path(pair[0]), "label": _named(_plain(pair[1]), classes)}


def _named(label: Any, classes: Any) -> Any:
    """Return the name of a class number, where there are names; None for a number without one."""
    if classes and isinstance(label, int) and not isinstance(label, bool):
        return str(classes[label]) if 0 <= label < len(classes) else None
    return label


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if value is None or isinstance(value, str | bool | int | list | tuple | dict):
        return value
    if isinstance(value, float):
        return value if text_of(value) else None
    return text_of(value) or None
