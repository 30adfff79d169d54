"""Data sets with the images inside: Parquet as the Hugging Face hub keeps it, and `datasets` saved to disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autotl.builtin.sources import targets
from autotl.builtin.sources.columns import LABELS, NUMBERED, PATHS
from autotl.builtin.sources.listing import NO_PART, Choices, Item, Listing
from autotl.builtin.sources.names import normal_form, part_of, squeezed
from autotl.builtin.sources.table_files import ARROW, needs, text_of
from autotl.cache import atomic_write, source_folder
from autotl.errors import DatasetError
from autotl.records import Kind, fact

BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Shard:
    """A file with rows of one part."""

    path: Path
    split: str  # its name, "" for none


def shards_of(path: Path) -> list[Shard]:
    """Return the files of a data set with images inside: one file, a folder of them, or one saved to disk; or none."""
    if path.is_file():
        shards = [Shard(path, "")] if path.suffix.lower() in ARROW else []
    elif (path / "dataset_dict.json").is_file():
        splits = json.loads((path / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
        return [shard for split in splits for shard in _saved(path / str(split), str(split))]
    elif (path / "state.json").is_file() and (path / "dataset_info.json").is_file():
        return _saved(path, "")
    else:
        places = sorted([*path.glob("*"), *path.glob("data/*")])
        shards = [Shard(file, file.stem.split("-")[0]) for file in places if file.suffix.lower() in ARROW]
    return shards if shards and _has_images(shards[0]) else []


def _saved(folder: Path, split: str) -> list[Shard]:
    """Return the files of `Dataset.save_to_disk`. A name that leads out of the folder is none of its files."""
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    names = [str(file["filename"]) for file in state["_data_files"]]
    return [Shard(folder / os.path.basename(name), split or str(state.get("_split") or "")) for name in names]


def _has_images(shard: Shard) -> bool:
    try:
        schema = needs("pyarrow.parquet", "pyarrow", "parquet", shard.path).read_schema(shard.path)
    except Exception:  # no pyarrow, or no Parquet file: the reader of tables says what is wrong
        return False
    return any(_is_image(field.type) for field in schema)


def _is_image(of_type: Any) -> bool:
    names = {of_type.field(index).name for index in range(getattr(of_type, "num_fields", 0))}
    return names == {"bytes", "path"}


def read(path: Path, shards: list[Shard], choices: Choices) -> Listing:
    """Return the images of a data set. Their bytes are written to the cache as they are. Raises `DatasetError`."""
    pa = needs("pyarrow", "pyarrow", "parquet", path)
    folder = source_folder(_digest(shards))
    listing = Listing(root=folder, is_table=True)
    rows: list[tuple[str, Any, int]] = []  # name, label, part
    columns = _columns(pa, shards[0], path, choices)
    for shard in shards:
        part = part_of(shard.split) if shard.split else None
        start = len(rows)
        for number, row in enumerate(_rows(pa, shard, columns)):
            name = f"{shard.split or 'all'}/{start + number:07d}{_suffix(row.image)}"
            if _write(row.image, folder / name, path):
                rows.append((name, row.label, NO_PART if part is None else part))
            else:
                listing.leave_out(name, Kind.EMPTY_FILE)
    labels = targets.read(
        [columns.class_of(label) for _, label, _ in rows],
        f"column {columns.label!r} of {path}",
        choices.target,
        columns.label,
    )
    listing.target, listing.column = labels.kind, columns.label
    for (name, _, part), label in zip(rows, labels.texts, strict=True):
        if label:
            listing.items.append(Item(str(folder / name), name, name, normal_form(label), part))
        else:
            listing.leave_out(name, Kind.NO_LABEL)
    listing.reading += [
        fact(Kind.READ_EMBEDDED, images=columns.image, label=columns.label, folder=str(folder)),
        *labels.guesses,
    ]
    return listing


def _digest(shards: list[Shard]) -> str:
    digest = hashlib.blake2b(digest_size=20)
    for shard in shards:
        digest.update(shard.split.encode() + b"\0")
        with shard.path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Columns:
    image: str
    label: str
    names: tuple[str, ...]  # of the classes, where labels are their numbers

    def class_of(self, label: Any) -> Any:
        """Return the class of a label; None for a number that has no name, as -1 for unlabelled rows."""
        if self.names and isinstance(label, int):
            return self.names[label] if 0 <= label < len(self.names) else None
        if self.names and isinstance(label, list):
            return [self.class_of(item) for item in label]
        return label


@dataclass(frozen=True, slots=True)
class _Row:
    image: Mapping[str, Any] | None
    label: Any


def _batches(pa: Any, shard: Shard) -> Iterator[Any]:
    if shard.path.suffix.lower() in ARROW:
        parquet = needs("pyarrow.parquet", "pyarrow", "parquet", shard.path)
        yield from parquet.ParquetFile(shard.path).iter_batches(batch_size=256)
    else:
        with pa.memory_map(str(shard.path)) as source:
            yield from pa.ipc.open_stream(source)


def _rows(pa: Any, shard: Shard, columns: _Columns) -> Iterator[_Row]:
    try:
        for batch in _batches(pa, shard):
            for row in batch.select([columns.image, columns.label]).to_pylist():
                yield _Row(row[columns.image], row[columns.label])
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{shard.path} cannot be read ({error}); expected a whole file") from error


def _schema(pa: Any, shard: Shard) -> Any:
    if shard.path.suffix.lower() in ARROW:
        return needs("pyarrow.parquet", "pyarrow", "parquet", shard.path).read_schema(shard.path)
    try:
        with pa.memory_map(str(shard.path)) as source:
            return pa.ipc.open_stream(source).schema
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{shard.path} cannot be read ({error}); expected a whole file") from error


def _columns(pa: Any, shard: Shard, path: Path, choices: Choices) -> _Columns:
    """Return the columns of the images and labels. Raises `DatasetError` when one is missing."""
    schema = _schema(pa, shard)
    images = [field.name for field in schema if _is_image(field.type)]
    images.sort(key=lambda name: PATHS.index(squeezed(name)) if squeezed(name) in PATHS else len(PATHS))
    if choices.path is not None:
        images = [name for name in images if name == choices.path]
    features = (
        json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    )
    usual = [name for alias in (*LABELS, *NUMBERED) for name in schema.names if squeezed(name) == alias]
    named = [name for name, feature in features.items() if _class_names(feature)]
    labels = [choices.label] if choices.label is not None else [*usual, *named]
    if not images or not labels or labels[0] not in schema.names:
        raise DatasetError(
            f"{path} has the columns {', '.join(schema.names)}; expected one of images and one of labels; name the"
            " labels with --label, the images with --path"
        )
    return _Columns(images[0], labels[0], _class_names(features.get(labels[0])))


def _class_names(feature: Any) -> tuple[str, ...]:
    """Return the names that a column of class numbers declares."""
    if isinstance(feature, dict) and feature.get("_type") in {"Sequence", "List", "LargeList"}:
        feature = feature.get("feature")
    is_class = isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    return tuple(map(str, feature.get("names") or ())) if is_class else ()


def _suffix(image: Mapping[str, Any] | None) -> str:
    suffix = os.path.splitext(text_of((image or {}).get("path")))[1].lower()
    return suffix if suffix[1:].isalnum() else ""


def _write(image: Mapping[str, Any] | None, file: Path, source: Path) -> bool:
    """Write the bytes of an image, and return whether there are any. A path alone is not followed."""
    content = (image or {}).get("bytes")
    if not content:
        return False
    if not file.is_file():
        try:
            atomic_write(file, content)
        except OSError as error:
            raise DatasetError(
                f"the images of {source} cannot be written to {file.parent} ({error.strerror}); expected room for"
                " them; point AUTOTL_CACHE to another folder"
            ) from error
    return True
