"""Tar shards in the layout of WebDataset: members that share a name up to its first dot are one sample.

``000017.jpg`` is the image; ``000017.cls``, ``000017.json`` or ``000017.txt`` beside it is its label. Shards are listed
by their headers alone. Only images that take part in the run are read, and written to the cache.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import re
import shutil
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from autotl import modality
from autotl.builtin.sources import sampling, targets
from autotl.builtin.sources.archives import MOST_MEMBERS, SPARE, target
from autotl.builtin.sources.columns import LABELS, NUMBERED
from autotl.builtin.sources.listing import MODALITY, NO_PART, TEST, Beyond, Choices, Item, Listing
from autotl.builtin.sources.names import normal_form, part_of, squeezed
from autotl.cache import atomic, source_folder
from autotl.errors import DatasetError
from autotl.records import Kind, fact

BLOCK = 512  # bytes, of which a tar consists
ENDS = 2**16  # bytes at either end of a shard that its identity depends on
FILES, FOLDER = (b"0", b"\0", b"7"), b"5"
LONG_NAME, PAX, PAX_GLOBAL = b"L", b"x", b"g"
MOST_HEADER = 2**20  # bytes of a long name or a pax header
MOST_LABEL = 2**16  # bytes of a label
LABELLED_BY = ("cls", "json", "txt")  # the first that a sample has
CLASS_NAMES = ("classnames.txt", "classes.txt")  # beside the shards: the name of class n in line n, from 0
LOOKED_AT = 64  # members by which a tar is taken for a shard
MOST_CLASSES = 20_000  # different labels, up to which a sample has the same share of each
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_SHARDS = 100_000

Label = str | int | float | tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar: its name, and where its content lies."""

    name: str
    offset: int
    size: int
    kind: bytes


@dataclass(slots=True)
class _Index:
    """The labelled images of all shards, a few bytes each: there may be many millions."""

    shard: array[int] = field(default_factory=lambda: array("i"))
    offset: array[int] = field(default_factory=lambda: array("q"))
    size: array[int] = field(default_factory=lambda: array("q"))
    label: array[int] = field(default_factory=lambda: array("q"))  # its number in `labels`
    key: array[int] = field(default_factory=lambda: array("q"))  # of the sample
    labels: dict[Label, int] = field(default_factory=dict)  # as they are written

    def add(self, shard: int, image: Member, label: Label, key: int) -> None:
        self.shard.append(shard)
        self.offset.append(image.offset)
        self.size.append(image.size)
        self.label.append(self.labels.setdefault(label, len(self.labels)))
        self.key.append(key)


def shards_of(path: Path) -> list[Path]:
    """Return the shards that a path names: one, a folder of nothing else, or a pattern with {000..009}; or none."""
    if RANGE.search(str(path)) and not os.path.lexists(path):
        return _expanded(path)
    if path.is_file():
        return [path] if path.suffix.lower() == ".tar" and _is_shard(path) else []
    if not path.is_dir():
        return []
    files = sorted(file for file in [*path.glob("*.tar"), *path.glob("*/*.tar")] if file.is_file())
    if not files or not _is_shard(files[0]):
        return []
    beside = [entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    return files if all(any(folder.glob("*.tar")) for folder in beside) else []


def _expanded(path: Path) -> list[Path]:
    """Return the files of a pattern. Raises `DatasetError` for one that is not there, and for too many."""
    names = [str(path)]
    while found := RANGE.search(names[0]):
        first, last = int(found[1]), int(found[2])
        if last < first or len(names) * (last - first + 1) > MOST_SHARDS:
            raise DatasetError(
                f"{path} stands for {max(0, last - first + 1):,} files; expected 1 to {MOST_SHARDS:,}; correct it"
            )
        names = [
            RANGE.sub(str(number).zfill(len(found[1])), name, count=1)
            for name in names
            for number in range(first, last + 1)
        ]
    absent = next((name for name in names if not os.path.isfile(name)), None)
    if absent is not None:
        raise DatasetError(
            f"{path} stands for {len(names):,} files, and {absent} is none; expected all of them to be tar shards;"
            " correct the pattern"
        )
    return [Path(name) for name in names]


def _is_shard(path: Path) -> bool:
    """Return whether a tar begins with an image and a label of the same name."""
    ends: dict[str, set[str]] = {}
    try:
        for number, member in enumerate(members(path)):
            if number >= LOOKED_AT:
                break
            name, end = _split(member.name)
            ends.setdefault(name, set()).add(end)
    except (DatasetError, OSError):
        return False
    suffixes = modality.get(MODALITY).SUFFIXES
    return any(
        any("." + end in suffixes for end in of_one) and not of_one.isdisjoint(LABELLED_BY)
        for of_one in ends.values()
    )


def members(path: Path) -> Iterator[Member]:
    """Yield the members of a tar, by their headers alone. Raises `DatasetError` for one that is damaged."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield from _members(path, content)


def _members(path: Path, content: mmap.mmap) -> Iterator[Member]:
    place, end, number = 0, len(content), 0
    more: dict[str, str] = {}  # of the next member, by headers before it
    while place + BLOCK <= end:
        header = content[place : place + BLOCK]
        if not header.strip(b"\0"):
            return
        kind = header[156:157]
        name = more.pop("path", None) or _name_in(header)
        try:
            size = int(more.pop("size", "") or _number(header[124:136]))
            whole = _number(header[148:156]) == sum(header[:148]) + sum(header[156:]) + 8 * ord(" ")
        except ValueError:
            size, whole = -1, False
        place += BLOCK
        if not whole or size < 0 or place + size > end or (kind in (LONG_NAME, PAX) and size > MOST_HEADER):
            raise DatasetError(
                f"{path} is a damaged tar at byte {place - BLOCK:,}; expected a whole one; fetch it again"
            )
        if kind == LONG_NAME:
            more["path"] = content[place : place + size].rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif kind == PAX:
            more |= _pax(content[place : place + size])
        elif kind != PAX_GLOBAL:
            number += 1
            if number > MOST_MEMBERS:
                raise DatasetError(
                    f"{path} holds more than {MOST_MEMBERS:,} members; expected fewer; make more shards"
                )
            yield Member(name, place, size, kind)
        place += -(-size // BLOCK) * BLOCK
    raise DatasetError(
        f"{path} is a damaged tar at byte {end:,}: it has no end; expected a whole one; fetch it again"
    )


def _name_in(header: bytes) -> str:
    name, prefix = header[:100].split(b"\0")[0], header[345:500].split(b"\0")[0]
    if header[257:262] == b"ustar" and header[257:265] != b"ustar  \0" and prefix:
        name = prefix + b"/" + name
    return name.decode("utf-8", "surrogateescape")


def _number(text: bytes) -> int:
    """Return a number of a header: octal digits, or the number itself where its first bit is set."""
    if text[0] & 0x80:
        return int.from_bytes(text[1:], "big")
    return int(text.split(b"\0")[0].strip() or b"0", 8)


def _pax(records: bytes) -> dict[str, str]:
    """Return name and size of the next member by the records of a pax header."""
    found: dict[str, str] = {}
    while records:
        length, separator, _ = records.partition(b" ")
        if not separator or not length.isdigit() or not len(length) < int(length) <= len(records):
            break
        keyword, _, value = records[len(length) + 1 : int(length) - 1].partition(b"=")
        if keyword in (b"path", b"size"):
            found[keyword.decode()] = value.decode("utf-8", "surrogateescape")
        records = records[int(length) :]
    return found


def _split(name: str) -> tuple[str, str]:
    """Return the name of a sample, and what follows the first dot of the last part of a member's name."""
    folder, slash, last = name.rpartition("/")
    first, _, end = last.partition(".")
    return f"{folder}{slash}{first}", end.lower()


def read(path: Path, shards: list[Path], choices: Choices) -> Listing:
    """Return the images of the shards that take part. Their bytes are written to the cache. Raises `DatasetError`."""
    folder = source_folder(_digest(shards))
    listing = Listing(root=folder, is_table=True)
    index, names = _Index(), _class_names(shards)
    for number, file in enumerate(shards):
        _add(index, number, file, listing, choices)
    if not index.shard:
        raise DatasetError(
            f"{path} holds no image with a label beside it; expected members such as 0001.jpg and 0001.cls; name the"
            " field of a json with --label"
        )
    shard, label = np.array(index.shard), np.array(index.label)
    parts = np.array([_part(file) for file in shards], np.int64)
    strata = parts[shard]
    if len(index.labels) <= MOST_CLASSES:
        strata = strata + 4 * label  # parts are -1 to 2
    rows = sampling.chosen(strata, np.array(index.key), choices.sample)
    listing.not_sampled = len(shard) - len(rows)
    written = list(index.labels)
    labels = targets.read(
        [_named(written[number], names) for number in label[rows].tolist()],
        f"the labels of {path}",
        choices.target,
        choices.label or "label",
    )
    listing.target, listing.column = labels.kind, choices.label or "label"
    if labels.kind == "multiclass" and choices.group is None:  # groups stand in names, which are not kept
        listing.beyond = _beyond(shards, index, rows, labels.texts, parts[shard] != TEST)
    files = _written(path, folder, shards, index, rows)
    for row, name, text in zip(rows.tolist(), files, labels.texts, strict=True):
        if text:
            part = int(parts[index.shard[row]])
            listing.items.append(Item(str(folder / name), name, name, normal_form(text), part))
        else:
            listing.leave_out(name, Kind.NO_LABEL)
    listing.reading += [
        fact(Kind.READ_SHARDS, shards=len(shards), images=len(shard), folder=str(folder)),
        *labels.guesses,
    ]
    return listing


def _beyond(
    shards: list[Path], index: _Index, rows: np.ndarray, texts: Sequence[str | None], trains: np.ndarray
) -> Beyond:
    """Return the images outside the sample, of those that may train, with the classes of the sample.

    `rows` are the sample, `texts` its labels, and `trains` says of all images whether they may train.
    """
    label = np.array(index.label)
    outside = trains.copy()
    outside[rows] = False
    of_number = dict(zip(label[rows].tolist(), texts, strict=True))
    named = [normal_form(of_number.get(number) or "") for number in range(len(index.labels))]
    known = np.array([bool(text) for text in named])
    outside &= known[label]
    return Beyond(
        files=[os.path.abspath(shard) for shard in shards],
        file=np.array(index.shard, np.int64)[outside],
        offset=np.array(index.offset)[outside],
        size=np.array(index.size)[outside],
        labels=named,
        label=label[outside],
    )


def _digest(shards: list[Path]) -> str:
    """Return what identifies the shards: names, sizes, times, and both ends of each. They may be larger than a disk."""
    digest = hashlib.blake2b(b"shards", digest_size=20)
    for shard in shards:
        status = shard.stat()
        about = f"{os.path.abspath(shard)} {status.st_size} {status.st_mtime_ns}\0"
        digest.update(about.encode("utf-8", "surrogateescape"))
        with shard.open("rb") as file:
            digest.update(file.read(ENDS))
            file.seek(max(0, status.st_size - ENDS))
            digest.update(file.read(ENDS))
    return digest.hexdigest()


def _part(shard: Path) -> int:
    """Return the part that a shard is of, by its own name up to the first digit, or by its folder's."""
    for name in (re.split(r"[-_.]?\d", shard.stem)[0], shard.parent.name):
        code = part_of(name) if name else None
        if code is not None:
            return code
    return NO_PART


def _add(index: _Index, number: int, shard: Path, listing: Listing, choices: Choices) -> None:
    """Add the labelled images of a shard to the index, and name what cannot be used."""
    if shard.stat().st_size == 0:
        listing.leave_out(shard.name, Kind.EMPTY_FILE)
        return
    with shard.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for name, images, fields in _samples(shard, content, listing):
            label = _label(content, fields, choices) if images else None
            if label is not None:
                index.add(number, images[0], label, sampling.key_of(f"{shard.name}/{name}"))
            unused, kind = (images, Kind.NO_LABEL) if label is None else (images[1:], Kind.SEVERAL_IMAGES)
            for image in unused:
                listing.leave_out(f"{shard.name}/{image.name}", kind)


def _samples(
    shard: Path, content: mmap.mmap, listing: Listing
) -> Iterator[tuple[str, list[Member], dict[str, Member]]]:
    """Yield the name, the images and the labels by `LABELLED_BY` of each sample; name what is not read."""
    suffixes = frozenset(suffix[1:] for suffix in modality.get(MODALITY).SUFFIXES)
    for name, sample in groupby(_members(shard, content), lambda member: _split(member.name)[0]):
        images, fields = list[Member](), dict[str, Member]()
        for member in sample:
            end = _split(member.name)[1]
            problem = _problem(member)
            if problem is not None:
                listing.leave_out(f"{shard.name}/{member.name}", problem)
            elif end in suffixes:
                images.append(member)
            elif end in LABELLED_BY:
                fields[end] = member
        yield name, images, fields


def _problem(member: Member) -> Kind | None:
    """Return why a member is not read: nothing that is no plain file, and no name that leads elsewhere."""
    if member.kind == FOLDER:
        return None
    if member.kind not in FILES:
        return Kind.ARCHIVE_LINK
    return Kind.ARCHIVE_OUTSIDE if target(Path(), member.name) is None else None


def _label(content: mmap.mmap, fields: dict[str, Member], choices: Choices) -> Label | None:
    """Return the label of a sample as it is written; None where it has none that can be read."""
    end = next((end for end in LABELLED_BY if end in fields), None)
    if end is None or fields[end].size > MOST_LABEL:
        return None
    member = fields[end]
    try:
        text = content[member.offset : member.offset + member.size].decode("utf-8-sig").strip()
        value = _field(json.loads(text), choices.label) if end == "json" else text
    except (ValueError, RecursionError):
        return None
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return tuple(value)
    return value if isinstance(value, str | int | float) and value != "" else None


def _field(value: Any, wanted: str | None) -> Any:
    """Return the label in a JSON value: the field that is wanted, else one with a usual name."""
    if not isinstance(value, dict):
        return value
    if wanted is not None:
        return value.get(wanted)
    by_name = {squeezed(name): name for name in reversed(value)}
    return next((value[by_name[alias]] for alias in (*LABELS, *NUMBERED, "cls") if alias in by_name), None)


def _class_names(shards: list[Path]) -> list[str]:
    """Return the names of classes that are numbers, by a file beside the shards or above them; none without one."""
    for folder in (shards[0].parent, shards[0].parent.parent):
        for name in CLASS_NAMES:
            file = folder / name
            if file.is_file() and file.stat().st_size <= MOST_HEADER:
                return file.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    return []


def _named(label: Label, names: Sequence[str]) -> Any:
    """Return a label with its class's name in place of its number, where there are names."""
    if isinstance(label, tuple):
        return [_named(item, names) for item in label]
    number = int(label) if names and str(label).isdecimal() else -1
    return names[number].strip() if 0 <= number < len(names) else label


def _written(path: Path, folder: Path, shards: list[Path], index: _Index, rows: np.ndarray) -> list[str]:
    """Write images to a folder, and return their names below it, in the order of the rows."""
    total = sum(index.size[row] for row in rows.tolist())
    folder.mkdir(parents=True, exist_ok=True)
    if total > shutil.disk_usage(folder).free - SPARE:
        raise DatasetError(
            f"the images of {path} that take part hold {total / 1e9:.1f} GB, which {folder} has no room for; expected it"
            " to; point AUTOTL_CACHE to another disk, or use a smaller --sample"
        )
    root = os.path.commonpath([os.path.abspath(shard.parent) for shard in shards])
    names: list[str] = []
    for number, of_shard in groupby(rows.tolist(), lambda row: index.shard[row]):
        place, taken = os.path.relpath(os.path.abspath(shards[number]), root)[: -len(".tar")], set[str]()
        with shards[number].open("rb") as file:
            for row in of_shard:
                file.seek(index.offset[row] - BLOCK)
                name = f"{place}/{_name_in(file.read(BLOCK))}".replace(os.sep, "/")
                if name in taken or target(Path(), name) is None:  # its header has only its beginning
                    name = f"{place}/{index.offset[row]}{os.path.splitext(name)[1]}"
                taken.add(name)
                names.append(name)
                if not _is_there(folder / name, index.size[row]):
                    _write(folder / name, file.read(index.size[row]), path)
    return names


def _is_there(file: Path, size: int) -> bool:
    """Return whether an image was written before; a power cut may have left its name with less than its content."""
    try:
        return file.stat().st_size == size
    except OSError:
        return False


def _write(file: Path, content: bytes, source: Path) -> None:
    try:
        with atomic(file) as temporary:  # and not synced: a disk takes minutes for that, of so many files
            temporary.write_bytes(content)
    except OSError as error:
        raise DatasetError(
            f"the images of {source} cannot be written to {file.parent} ({error.strerror}); expected room for"
            " them; point AUTOTL_CACHE to another folder"
        ) from error
