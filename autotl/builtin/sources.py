"""Folders of class folders and CSV files: the data sources that come with autotl.

What cannot be used is left out with a reason, never silently: hidden files, files that are no images,
images whose header cannot be read, links that lead nowhere, and rows of a CSV that point outside its folder.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autotl import modality
from autotl.errors import DatasetError
from autotl.hookspecs import hookimpl
from autotl.records import PARTS, Dataset, Fact, Finding, Kind, LeftOut, Target, fact

PART_NAMES = {
    "train": 0,
    "training": 0,
    "val": 1,
    "valid": 1,
    "validation": 1,
    "select": 1,
    "dev": 1,
    "test": 2,
    "testing": 2,
}
COLUMNS = {
    "path": ("path", "file", "filename", "filepath", "image", "image_path"),
    "label": ("label", "class", "target", "category"),
    "split": ("split", "part", "set", "subset"),
    "group": ("group",),
}
OVERLOOKED = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
FULL_HASH_BYTES = 2 * 2**30  # of all files; a larger source is identified by size, beginning and end of each
BLOCK = 65536
MODALITY = "image"
SHOWN = 20  # names in a finding
LONGEST_CELL = 4096  # characters of a cell that names a file or a class: the longest path of Linux
SHOWN_CELL = 80  # characters of a cell that is longer


@dataclass(frozen=True, slots=True)
class Item:
    """A file that is an image by its name, before its header is read."""

    file: str  # absolute
    name: str  # relative to DATA, "/" as separator
    key: str  # relative to the folder that was listed: what --group is searched in
    label: str
    part: int  # index into PARTS, or -1
    group: str | None = None


@dataclass(slots=True)
class Listing:
    """Files of a source: those that are items by their names, and those that are left out."""

    items: list[Item] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


@hookimpl(trylast=True)
def load_dataset(source: str, options: dict[str, str]) -> Dataset | None:
    path = Path(source)
    if path.is_dir():
        listing = walk_folder(path)
    elif path.is_file() and path.suffix.lower() in (".csv", ".tsv"):
        listing = read_csv(path, options.get("label"), options.get("group"))
    elif path.exists():
        raise DatasetError(
            f"{source} is a single file, expected a folder of class folders or a CSV with path and label;"
            " give the folder above its class folder"
        )
    else:
        raise DatasetError(
            f"{source} does not exist; expected a folder of class folders or a CSV; check the path"
        )
    root = path if path.is_dir() else path.parent
    if "test" in options:
        _add_test(listing, root, Path(options["test"]))
    return _dataset(source, listing, options.get("group"), is_csv=path.is_file())


# --------------------------------------------------------------------------- folders


def walk_folder(root: Path, forced_part: int | None = None) -> Listing:
    """List class folders below `root`, or below part folders (train, val, test) below `root`."""
    listing = Listing()
    top = [entry for entry in _entries(root, root, listing) if entry.is_dir()]
    parts = {entry.name: PART_NAMES[entry.name.lower()] for entry in top if entry.name.lower() in PART_NAMES}
    loose = [e for e in _entries(root, root, Listing()) if not e.is_dir()]
    if "train" in {PARTS[code] for code in parts.values()} and forced_part is None:
        for entry in top:
            if entry.name in parts:
                for label in (e for e in _entries(Path(entry.path), root, listing) if e.is_dir()):
                    _class_folder(Path(label.path), label.name, parts[entry.name], root, root, listing)
            else:
                listing.left_out.append(LeftOut(name=entry.name + "/", reason=fact(Kind.BESIDE_PARTS)))
    else:
        for entry in top:
            _class_folder(
                Path(entry.path), entry.name, -1 if forced_part is None else forced_part, root, root, listing
            )
    listing.left_out += [LeftOut(name=e.name, reason=fact(Kind.OUTSIDE_CLASS_FOLDERS)) for e in loose]
    return listing


def _class_folder(folder: Path, label: str, part: int, root: Path, key_root: Path, listing: Listing) -> None:
    open_folders = [iter(_entries(folder, root, listing))]  # folders may nest deeper than Python calls may
    while open_folders:
        entry = next(open_folders[-1], None)
        if entry is None:
            open_folders.pop()
            continue
        if entry.is_dir():
            open_folders.append(iter(_entries(Path(entry.path), root, listing)))
            continue
        name = Path(entry.path).relative_to(root).as_posix()
        if Path(entry.name).suffix.lower() not in modality.get(MODALITY).SUFFIXES:
            listing.left_out.append(LeftOut(name=name, reason=fact(Kind.NOT_AN_IMAGE)))
            continue
        key = Path(entry.path).relative_to(key_root).as_posix()
        listing.items.append(
            Item(file=os.path.abspath(entry.path), name=name, key=key, label=label, part=part)
        )


def _entries(folder: Path, root: Path, listing: Listing) -> list[os.DirEntry[str]]:
    """Return the entries in order of name.

    Hidden ones, links that lead nowhere, links to folders outside `root` or above themselves, and a folder below
    `root` that cannot be listed are left out. Raises `DatasetError` when `root` cannot be listed.
    """
    kept = []
    try:
        listed = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        if folder != root:
            name = folder.relative_to(root).as_posix() + "/"
            reason = fact(Kind.UNREADABLE_FOLDER, error=error.strerror or str(error))
            listing.left_out.append(LeftOut(name=name, reason=reason))
            return []
        raise DatasetError(
            f"{folder} cannot be listed ({error.strerror}); expected a readable folder"
        ) from error
    for entry in listed:
        name = Path(entry.path).relative_to(root).as_posix()
        if entry.is_symlink() and not os.path.exists(entry.path):
            listing.left_out.append(LeftOut(name=name, reason=fact(Kind.BROKEN_LINK)))
        elif entry.name.startswith(".") or entry.name in OVERLOOKED:
            listing.left_out.append(
                LeftOut(name=name + ("/" if entry.is_dir() else ""), reason=fact(Kind.HIDDEN))
            )
        elif entry.is_symlink() and entry.is_dir() and not _inside(Path(entry.path), root):
            listing.left_out.append(LeftOut(name=name + "/", reason=fact(Kind.LINK_OUTSIDE)))
        else:
            kept.append(entry)
    return kept


def _inside(path: Path, root: Path) -> bool:
    """Return whether a link leads below `root`, and not to a folder that it was reached through."""
    real, base = path.resolve(), root.resolve()
    if not real.is_relative_to(base):
        return False
    above = (parent for parent in path.parents if parent.is_relative_to(root))
    return not any(parent.resolve().is_relative_to(real) for parent in above)


def _add_test(listing: Listing, root: Path, folder: Path) -> None:
    if not folder.is_dir():
        raise DatasetError(f"--test {folder} is not a folder; expected a folder of class folders")
    if any(item.part == 2 for item in listing.items):
        raise DatasetError(
            f"there are two test parts, one inside the data and --test {folder}; keep one of them"
        )
    extra = walk_folder(folder, forced_part=2)
    if not extra.items:
        raise DatasetError(f"--test {folder} holds no labelled image; expected a folder of class folders")
    prefix = Path(os.path.relpath(folder.resolve(), root.resolve())).as_posix()
    listing.items += [
        Item(file=i.file, name=f"{prefix}/{i.name}", key=i.key, label=i.label, part=2) for i in extra.items
    ]
    listing.left_out += [LeftOut(name=f"{prefix}/{o.name}", reason=o.reason) for o in extra.left_out]


# --------------------------------------------------------------------------- CSV


def read_csv(path: Path, label: str | None = None, group: str | None = None) -> Listing:
    """List the rows of a CSV (or TSV): path and label, optional split and group; paths are relative to its folder."""
    listing = Listing()
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        reader = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        header = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = header
        columns = {role: _column(path, header, role) for role in COLUMNS if role != "label"}
        columns["label"] = _column(path, header, "label", label)
        if columns["path"] is None:
            raise _missing(path, "path", header)
        if columns["label"] is None:
            raise _missing(path, "label", header)
        if group is not None and group in header:
            columns["group"] = group
        for row in _rows(reader, listing):
            _csv_row(path, row, columns, listing)
    return listing


def _rows(reader: csv.DictReader[str], listing: Listing) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV; one that Python's reader refuses is left out."""
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            limit = csv.field_size_limit()
            reason = fact(Kind.BAD_ROW, problem="long", longest=limit)
            listing.left_out.append(LeftOut(name=f"line {reader.line_num}", reason=reason))
            continue
        yield row


def _bad_cell(text: str) -> Fact | None:
    """Return why a cell can name neither a file nor a class; None where it can."""
    if "\0" in text:
        return fact(Kind.BAD_ROW, problem="NUL")
    if len(text) > LONGEST_CELL:
        return fact(Kind.BAD_ROW, problem="long", longest=LONGEST_CELL)
    return None


def _column(path: Path, header: list[str], role: str, asked: str | None = None) -> str | None:
    if asked is not None:
        if asked in header:
            return asked
        raise _missing(path, asked, header)
    lowered = {name.lower(): name for name in header}
    return next((lowered[alias] for alias in COLUMNS[role] if alias in lowered), None)


def _missing(path: Path, role: str, header: list[str]) -> DatasetError:
    names = ", ".join(COLUMNS.get(role, (role,)))
    return DatasetError(
        f"{path} has no column {role!r}; expected one of: {names}; it has: {', '.join(header) or 'no header'}."
        " Rename a column, or name the label's with --label"
    )


def _csv_row(path: Path, row: dict[str, str], columns: dict[str, str | None], listing: Listing) -> None:
    name = (row.get(columns["path"] or "") or "").strip().replace("\\", "/")
    text = (row.get(columns["label"] or "") or "").strip()
    if not name:
        return
    bad = _bad_cell(name) or _bad_cell(text)
    if bad is not None:
        listing.left_out.append(
            LeftOut(name=name.replace("\0", "\N{REPLACEMENT CHARACTER}")[:SHOWN_CELL], reason=bad)
        )
        return
    target = path.parent / name
    if not target.resolve().is_relative_to(path.parent.resolve()):
        listing.left_out.append(LeftOut(name=name, reason=fact(Kind.OUTSIDE_CSV_FOLDER)))
    elif not text:
        listing.left_out.append(LeftOut(name=name, reason=fact(Kind.NO_LABEL)))
    elif not os.path.isfile(target):  # false for a name that the system refuses, where Path's raises
        listing.left_out.append(LeftOut(name=name, reason=fact(Kind.NO_SUCH_FILE)))
    else:
        given = (row.get(columns["split"] or "") or "").strip().lower()
        if given and given not in PART_NAMES:
            raise DatasetError(
                f"{path} has the split {given!r} for {name}; expected train, val, test or nothing; correct it"
            )
        listing.items.append(
            Item(
                file=os.path.abspath(target),
                name=os.path.normpath(name).replace(os.sep, "/"),
                key=name,
                label=text,
                part=PART_NAMES.get(given, -1),
                group=(row.get(columns["group"]) or None) if columns["group"] else None,
            )
        )


# --------------------------------------------------------------------------- from items to a data set


def _left_out(files: list[LeftOut]) -> list[Finding]:
    """Return a finding for each reason but `Kind.HIDDEN`: hidden files are overlooked on purpose."""
    by_reason: dict[tuple[str, str], list[LeftOut]] = {}
    for file in sorted(files, key=lambda file: file.name):
        if file.reason.kind is not Kind.HIDDEN:
            by_reason.setdefault((file.reason.kind, repr(file.reason.values)), []).append(file)
    return [
        Finding(
            kind=Kind.LEFT_OUT,
            values={"reason": some[0].reason.kind, "values": some[0].reason.values},
            count=len(some),
            where=tuple(file.name for file in some[:SHOWN]),
            action="left_out",
        )
        for _, some in sorted(by_reason.items())
    ]


def _dataset(source: str, listing: Listing, group: str | None, *, is_csv: bool) -> Dataset:
    items, repeated = _unique(listing.items)
    listing.left_out += repeated
    whole = sum(_size(item.file) for item in items) <= FULL_HASH_BYTES
    with ThreadPoolExecutor(4) as pool:
        checked = list(pool.map(lambda item: _checked(item.file, whole), items))
    good = [index for index, (_, problem) in enumerate(checked) if problem is None]
    listing.left_out += [
        LeftOut(name=item.name, reason=problem)
        for item, (_, problem) in zip(items, checked, strict=True)
        if problem is not None
    ]
    kept = [items[index] for index in good]
    digests = [checked[index][0] for index in good]
    classes, labels, findings = _classes(source, kept, listing)
    keys = _groups(kept, group, is_csv)
    given = np.array([item.part for item in kept], np.int8)
    findings += [*_shared_groups(keys, given), *_left_out(listing.left_out)]
    if not whole:
        findings.append(Finding(kind=Kind.LARGE, values={"bytes": FULL_HASH_BYTES}))
    group_numbers = None if keys is None else np.unique(np.array(keys, object), return_inverse=True)[1]
    return Dataset(
        source=source,
        modality="image",
        files=np.array([item.file for item in kept], object),
        names=np.array([item.name for item in kept], object),
        targets=(Target(name="label", kind="multiclass", classes=classes, values=labels),),
        given=given,
        group=None if group_numbers is None else group_numbers.astype(np.int64),
        digests=np.array(digests, object),
        left_out=tuple(sorted(listing.left_out, key=lambda out: out.name)),
        findings=tuple(findings),
        fingerprint=_fingerprint(kept, digests, keys),
    )


def _unique(items: Iterable[Item]) -> tuple[list[Item], list[LeftOut]]:
    seen: dict[str, Item] = {}
    repeated = []
    for item in items:
        if item.name in seen:
            first = seen[item.name].label
            values = {} if first == item.label else {"label": first}
            repeated.append(LeftOut(name=item.name, reason=fact(Kind.NAMED_TWICE, **values)))
        else:
            seen[item.name] = item
    return list(seen.values()), repeated


def _size(file: str) -> int:
    """Return the bytes of a file; 0 where they cannot be asked for, which `_checked` reports."""
    try:
        return os.path.getsize(file)
    except OSError:
        return 0


def _checked(file: str, whole: bool) -> tuple[str, Fact | None]:
    """Return the digest of a file's content, and why it is left out (None if it is not)."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        size = os.path.getsize(file)
        if size == 0:
            return "", fact(Kind.EMPTY_FILE)
        with open(file, "rb") as stream:
            if whole:
                digest.update(stream.read())
            else:
                digest.update(size.to_bytes(8, "little") + stream.read(BLOCK))
                stream.seek(max(0, size - BLOCK))
                digest.update(stream.read(BLOCK))
            stream.seek(0)
            problem = modality.get(MODALITY).check(stream)
    except OSError as error:
        return "", fact(Kind.UNREADABLE, error=type(error).__name__)
    return ("", problem) if problem else (digest.hexdigest(), None)


def _classes(
    source: str, kept: list[Item], listing: Listing
) -> tuple[tuple[str, ...], np.ndarray, list[Finding]]:
    classes = tuple(sorted({item.label for item in kept}))
    if not kept:
        reasons = sorted({out.reason.kind.replace("_", " ") for out in listing.left_out})
        count = len(listing.left_out)
        seen = f" ({count} {'file' if count == 1 else 'files'} left out: {', '.join(reasons[:3])})"
        wanted = (
            "rows with a label and the path of an image that lies in the folder of the CSV or below it"
            if Path(source).is_file()
            else "a folder for each class with images in it"
        )
        raise DatasetError(f"{source} holds no labelled image{seen if reasons else ''}; expected {wanted}")
    if len(classes) < 2:
        raise DatasetError(
            f"{source} holds one class, {classes[0]!r}, with {len(kept)} images; expected at least two class folders"
        )
    index = {label: number for number, label in enumerate(classes)}
    labels = np.array([index[item.label] for item in kept], np.int64)
    given = np.array([item.part for item in kept])
    trained = set(labels[(given == 0) | (given == -1)].tolist())
    for code in (1, 2):
        unknown = sorted(set(labels[given == code].tolist()) - trained)
        if unknown:
            names = ", ".join(repr(classes[label]) for label in unknown[:5])
            raise DatasetError(
                f"the {PARTS[code]} part has classes that train lacks: {names}; expected the classes of train;"
                " add images of them to train, or take them out"
            )
    findings = []
    for code in (1, 2):
        if (given == code).any():
            absent = sorted(trained - set(labels[given == code].tolist()))
            if absent:
                findings.append(
                    Finding(
                        kind=Kind.ONE_SIDED_CLASS,
                        values={"part": PARTS[code]},
                        count=len(absent),
                        where=tuple(classes[label] for label in absent[:SHOWN]),
                    )
                )
    return classes, labels, findings


def _groups(items: list[Item], group: str | None, is_csv: bool) -> list[str] | None:
    if any(item.group is not None for item in items):
        return [item.group if item.group is not None else f"\0{item.name}" for item in items]
    if group is None:
        return None
    try:
        pattern = re.compile(group)
    except re.error as error:
        what = "names no column and is" if is_csv else "is"
        raise DatasetError(f"--group {group!r} {what} no regular expression ({error}); correct it") from error
    keys, matched = [], False
    for item in items:
        match = pattern.search(item.key)
        if match is None:
            keys.append(f"\0{item.name}")
            continue
        matched = matched or item.part in (-1, 0)
        keys.append("\1".join(text or "" for text in match.groups()) if match.groups() else match.group())
    if not matched:
        raise DatasetError(
            f"--group {group!r} matches no path that trains, such as {items[0].key!r}; expected an expression"
            " listing in paths relative to DATA" + (" or a column of the CSV" if is_csv else "")
        )
    return keys


def _shared_groups(keys: list[str] | None, given: np.ndarray) -> list[Finding]:
    if keys is None:
        return []
    parts: dict[str, set[int]] = {}
    for key, part in zip(keys, given.tolist(), strict=True):
        if part >= 0:
            parts.setdefault(key, set()).add(part)
    shared = sorted(key for key, codes in parts.items() if len(codes) > 1)
    if not shared:
        return []
    names = tuple(key.replace("\1", "/") for key in shared[:SHOWN])
    return [Finding(kind=Kind.SHARED_GROUP, count=len(shared), where=names)]


def _fingerprint(items: list[Item], digests: list[str], keys: list[str] | None) -> str:
    lines = sorted(
        f"{digest} {item.label} {item.part} {'' if keys is None else keys[index]}"
        for index, (item, digest) in enumerate(zip(items, digests, strict=True))
    )
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def images_below(folder: Path) -> Iterator[tuple[Path, OSError | None]]:
    """Yield the image files below a folder, judged by their names, sorted, without hidden ones.

    A folder that cannot be listed is yielded with the error. Links to folders are not followed.
    """
    suffixes = modality.get(MODALITY).SUFFIXES
    waiting = [(os.fspath(folder), True)]  # paths, and whether they are folders; the next one last
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield Path(path), None
            continue
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            yield Path(path), error
            continue
        for entry in entries:
            below = entry.is_dir(follow_symlinks=False)
            image = Path(entry.name).suffix.lower() in suffixes and os.path.isfile(entry.path)
            if (below or image) and not entry.name.startswith("."):
                waiting.append((entry.path, below))
