"""From the text of a path column to a file: under which folder, with which extension, in which spelling."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from autotl import modality
from autotl.builtin.sources.listing import MODALITY
from autotl.builtin.sources.names import folded
from autotl.builtin.sources.table_files import bad_cell
from autotl.errors import DatasetError
from autotl.records import Kind

MOST_FOLDERS = 200  # beside a table, in which its images are looked for
MOST_PREFIXES = 4  # folders of other machines that a table may name
ABSOLUTE = re.compile(r"[A-Za-z]:/|/")

# How a path was completed, and by what: an extension was added, another stands in its place, or zeros before a number.
Changed = tuple[Literal["", "extension", "instead", "zeros"], str]

SHOWN_CELL = 80  # characters of a cell that is longer than a path


def shown(text: str) -> str:
    """Return a cell that is no path as far as it is shown."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:SHOWN_CELL]


@dataclass(frozen=True, slots=True)
class Found:
    """The file of a path, or why there is none."""

    name: str  # relative to the root of the listing, or as it was given
    file: str = ""  # absolute; "" if there is none
    problem: Kind | None = None
    changed: Changed = ("", "")


@dataclass(slots=True)
class Resolver:
    """Finds files by the paths of a table. No file outside `root` is read."""

    root: Path
    starts: Sequence[Path] = ()  # folders that paths may be relative to; `root` where empty
    encoding: str = "utf-8"  # of the table
    prefixes: Sequence[str] = ()  # of paths of other machines, which are taken off
    away: Mapping[str, Collection[str]] = field(default_factory=dict)  # see `Choices.away`
    _listed: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # folder → name → files
    _inside: dict[str, list[str]] = field(default_factory=dict)  # folder → folders in it
    _real: str = ""

    def __post_init__(self) -> None:
        self._real = os.path.realpath(self.root)
        self.starts = self.starts or (self.root,)

    def find(self, text: str) -> Found:
        """Return the file that a path stands for."""
        if bad_cell(text):
            return Found(shown(text), problem=Kind.BAD_ROW)
        path = _plain(text)
        if "://" in path:
            return Found(path, problem=Kind.REMOTE)
        path = path.removeprefix(next((prefix for prefix in self.prefixes if path.startswith(prefix)), ""))
        found: dict[str, tuple[str, Changed]] = {}
        for written in dict.fromkeys((path, unquote(path))):  # %20 is a space in an address
            for start in () if found else self.starts:
                found |= {os.path.realpath(file): (file, how) for file, how in self._below(start, written)}
        if not found:
            outside = not self._is_inside(os.path.join(self.root, path))
            return Found(path, problem=Kind.OUTSIDE_CSV_FOLDER if outside else Kind.NO_SUCH_FILE)
        if len(found) > 1:
            return Found(path, problem=Kind.SEVERAL_FILES)
        (real, (file, changed)), *_ = found.items()
        if not os.path.join(real, "").startswith(os.path.join(self._real, "")):
            return Found(path, problem=Kind.OUTSIDE_CSV_FOLDER)
        name = os.path.relpath(os.path.abspath(file), os.path.abspath(self.root))
        return Found(name.replace(os.sep, "/"), os.path.abspath(file), None, changed)

    def _is_inside(self, path: str) -> bool:
        return os.path.join(os.path.realpath(path), "").startswith(os.path.join(self._real, ""))

    def _below(self, start: Path, path: str) -> list[tuple[str, Changed]]:
        """Return the files that a path may mean below a folder, each with how the path was completed."""
        same: Changed = ("", "")
        exact = os.path.join(start, path)
        if self._is_file(exact):
            return [(exact, same)]
        if self.encoding not in (
            "utf-8",
            "utf-8-sig",
        ):  # names of files are bytes, and so are those in the table
            raw = os.path.join(start, os.fsdecode(path.encode(self.encoding, "replace")))
            if self._is_file(raw):
                return [(raw, same)]
        first, _, rest = path.removeprefix("./").partition("/")
        if rest and first == self.root.absolute().name and self._is_file(os.path.join(start, rest)):
            return [(os.path.join(start, rest), same)]  # written from the folder above
        folder, name = self._folder(start, os.path.dirname(path)), os.path.basename(path)
        listed = self._names(folder)

        def named(
            name: str, how: Literal["", "extension", "instead", "zeros"], by: str
        ) -> list[tuple[str, Changed]]:
            return [(os.path.join(folder, file), (how, by)) for file in listed.get(name, ())]

        written = folded(name)
        if written in listed:  # another case, or accents encoded in another way
            return named(written, "", "")
        suffixes = modality.get(MODALITY).SUFFIXES
        stem, suffix = os.path.splitext(written)
        found = [file for other in suffixes for file in named(written + other, "extension", other)]
        if not found and suffix in suffixes:
            found = [file for other in suffixes for file in named(stem + other, "instead", other)]
        if not found and stem.isdecimal():  # a program for tables wrote 00012 as 12
            alike = [
                other
                for other in listed
                if (s := os.path.splitext(other)[0]).isdecimal() and int(s) == int(stem)
            ]
            fitting = [other for other in alike if other.endswith(suffix)]
            found = [file for other in fitting for file in named(other, "zeros", "")]
        return found

    def _folder(self, start: Path, place: str) -> str:
        """Return a folder below another; its name may be written in another case where only one fits."""
        exact = os.path.join(start, place)
        names = place.split("/")
        if os.path.isdir(exact) or ".." in names or os.path.isabs(place):
            return exact
        here = os.fspath(start)
        for name in names:
            inner = os.path.join(here, name)
            if not os.path.isdir(inner):
                fitting = [other for other in self._folders(here) if folded(other) == folded(name)]
                if len(fitting) != 1:
                    return exact
                inner = os.path.join(here, fitting[0])
            here = inner
        return here

    def _folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder; none outside the root."""
        if folder not in self._inside:
            is_inside = self._is_inside(folder) and os.path.isdir(folder)
            self._inside[folder] = [e.name for e in os.scandir(folder) if e.is_dir()] if is_inside else []
        return self._inside[folder]

    def _is_file(self, path: str) -> bool:
        return os.path.isfile(path) or self.is_away(path)

    def is_away(self, file: str) -> bool:
        """Return whether a file takes no part in the sample and was therefore not copied here."""
        folder, name = os.path.split(os.path.normpath(file))
        return name in self.away.get(folder, ())

    def _names(self, folder: str) -> dict[str, list[str]]:
        """Return the files of a folder by their folded names; nothing for a folder outside the root."""
        if folder not in self._listed:
            names: dict[str, list[str]] = {}
            if self._is_inside(folder) and os.path.isdir(folder):
                for entry in os.scandir(folder):
                    if entry.is_file():
                        names.setdefault(folded(entry.name), []).append(entry.name)
                for name in self.away.get(os.path.normpath(folder), ()):
                    names.setdefault(folded(name), []).append(name)
            self._listed[folder] = names
        return self._listed[folder]


def _plain(text: str) -> str:
    """Return a path with slashes; an address of a file on this machine is its path."""
    path = text.strip().replace("\\", "/")
    if path[:7].casefold() != "file://":
        return path
    path = unquote(path[7:])
    return path[1:] if ABSOLUTE.match(path[1:]) else path  # /C:/data


def foreign_prefixes(resolver: Resolver, texts: Iterable[str]) -> tuple[str, ...]:
    """Return the folders at the beginning of paths without which some are files here, the longest first.

    A table that was made on another machine has its paths from the top: ``C:/data/img/0.png``. Where some paths are
    files as they are, only those from the top are looked at.
    """
    paths = [_plain(text) for text in texts if text and not bad_cell(text)]
    if any("://" in path for path in paths):
        return ()
    missing = [path for path in paths if not resolver.find(path).file]
    if len(missing) < len(paths):
        missing = [path for path in missing if ABSOLUTE.match(path)]
    elif missing and (common := _shortest(resolver, missing, missing[0])):
        return (common,)
    found = {
        prefix for path in missing if ABSOLUTE.match(path) and (prefix := _shortest(resolver, [path], path))
    }
    return (
        tuple(sorted(found, key=lambda prefix: (-len(prefix), prefix))) if len(found) <= MOST_PREFIXES else ()
    )


def _shortest(resolver: Resolver, paths: Sequence[str], of: str) -> str:
    """Return the fewest folders at the beginning of all paths without which one of them is a file; "" for none."""
    folders = of.split("/")[:-1]
    for count in range(1, len(folders) + 1):
        prefix = "/".join(folders[:count]) + "/"
        if not all(path.startswith(prefix) for path in paths):
            return ""
        if any(resolver.find(path.removeprefix(prefix)).file for path in paths):
            return prefix
    return ""


def starts_for(resolver: Resolver, texts: Iterable[str], what: str) -> tuple[Path, ...]:
    """Return the folders that paths are relative to: the root, else those folders in it where they exist.

    Raises `DatasetError` when one path is in several of them.
    """
    paths = list(texts)
    if any(resolver.find(path).file for path in paths):
        return (resolver.root,)
    entries = sorted((e for e in os.scandir(resolver.root) if e.is_dir()), key=lambda entry: entry.name)
    folders = [Path(e.path) for e in entries if not e.name.startswith(".")][:MOST_FOLDERS]
    hits: Counter[Path] = Counter()
    homes: dict[str, list[Path]] = {}
    for folder in folders:
        inner = Resolver(resolver.root, (folder,), resolver.encoding, away=resolver.away)
        for path in paths:
            if inner.find(path).file:
                hits[folder] += 1
                homes.setdefault(path, []).append(folder)
    for path, several in homes.items():
        if len(several) > 1:
            names = " and ".join(f"{folder.name}/" for folder in several[:3])
            raise DatasetError(
                f"{path!r} of {what} lies in {names}; expected one file for each row; name the folder that paths"
                " start from with --root, such as "
                + " or ".join(f"--root {folder}" for folder in several[:3])
            )
    return tuple(folder for folder in folders if hits[folder]) or (resolver.root,)
