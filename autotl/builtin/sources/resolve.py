"""From the text of a path column to a file: under which folder, with which extension, in which spelling."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autotl import modality
from autotl.builtin.sources.listing import MODALITY
from autotl.builtin.sources.names import folded
from autotl.builtin.sources.table_files import bad_cell
from autotl.errors import DatasetError
from autotl.records import Kind

MOST_FOLDERS = 200  # beside a table, in which its images are looked for


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
    added: str = ""  # extension that was added


@dataclass(slots=True)
class Resolver:
    """Finds files by the paths of a table. No file outside `root` is read."""

    root: Path
    starts: Sequence[Path] = ()  # folders that paths may be relative to; `root` where empty
    encoding: str = "utf-8"  # of the table
    prefix: str = ""  # of paths of another machine, which is taken off
    _listed: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # folder → name → files
    _real: str = ""

    def __post_init__(self) -> None:
        self._real = os.path.realpath(self.root)
        self.starts = self.starts or (self.root,)

    def find(self, text: str) -> Found:
        """Return the file that a path stands for."""
        if bad_cell(text):
            return Found(shown(text), problem=Kind.BAD_ROW)
        path = _plain(text).removeprefix(self.prefix)
        if "://" in path:
            return Found(path, problem=Kind.REMOTE)
        found = {}
        for start in self.starts:
            for file, added in self._below(start, path):
                found[os.path.realpath(file)] = (file, added)
        if not found:
            outside = not self._is_inside(os.path.join(self.root, path))
            return Found(path, problem=Kind.OUTSIDE_CSV_FOLDER if outside else Kind.NO_SUCH_FILE)
        if len(found) > 1:
            return Found(path, problem=Kind.SEVERAL_FILES)
        (real, (file, added)), *_ = found.items()
        if not os.path.join(real, "").startswith(os.path.join(self._real, "")):
            return Found(path, problem=Kind.OUTSIDE_CSV_FOLDER)
        name = os.path.relpath(os.path.abspath(file), os.path.abspath(self.root))
        return Found(name.replace(os.sep, "/"), os.path.abspath(file), None, added)

    def _is_inside(self, path: str) -> bool:
        return os.path.join(os.path.realpath(path), "").startswith(os.path.join(self._real, ""))

    def _below(self, start: Path, path: str) -> list[tuple[str, str]]:
        """Return the files that a path may mean below a folder, each with the extension that was added."""
        exact = os.path.join(start, path)
        if os.path.isfile(exact):
            return [(exact, "")]
        if self.encoding not in (
            "utf-8",
            "utf-8-sig",
        ):  # names of files are bytes, and so are those in the table
            raw = os.path.join(start, os.fsdecode(path.encode(self.encoding, "replace")))
            if os.path.isfile(raw):
                return [(raw, "")]
        first, _, rest = path.removeprefix("./").partition("/")
        if rest and first == self.root.absolute().name and os.path.isfile(os.path.join(start, rest)):
            return [(os.path.join(start, rest), "")]  # written from the folder above
        folder, name = os.path.split(exact)
        listed = self._names(folder)
        if folded(name) in listed:  # another case, or accents encoded in another way
            return [(os.path.join(folder, file), "") for file in listed[folded(name)]]
        suffixes = modality.get(MODALITY).SUFFIXES
        return [
            (os.path.join(folder, file), suffix)
            for suffix in suffixes
            for file in listed.get(folded(name) + suffix, ())
        ]

    def _names(self, folder: str) -> dict[str, list[str]]:
        """Return the files of a folder by their folded names; nothing for a folder outside the root."""
        if folder not in self._listed:
            names: dict[str, list[str]] = {}
            if self._is_inside(folder) and os.path.isdir(folder):
                for entry in os.scandir(folder):
                    if entry.is_file():
                        names.setdefault(folded(entry.name), []).append(entry.name)
            self._listed[folder] = names
        return self._listed[folder]


def _plain(text: str) -> str:
    return text.strip().replace("\\", "/")


def foreign_prefix(resolver: Resolver, texts: Iterable[str]) -> str:
    """Return the folders at the beginning of all paths without which some are files here; "" if there are none.

    A table that was made on another machine has its paths from the top: ``C:/data/img/0.png``.
    """
    paths = [_plain(text) for text in texts if text and not bad_cell(text)]
    if not paths or any("://" in path or resolver.find(path).file for path in paths):
        return ""
    folders = paths[0].split("/")[:-1]
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
        inner = Resolver(resolver.root, (folder,), resolver.encoding)
        for path in paths:
            if inner.find(path).file:
                hits[folder] += 1
                homes.setdefault(path, []).append(folder)
    for path, several in homes.items():
        if len(several) > 1:
            names = " and ".join(f"{folder.name}/" for folder in several[:3])
            raise DatasetError(
                f"{path!r} of {what} lies in {names}; expected one file for each row; name the folder that paths"
                f" start from with --root {several[0]}"
            )
    return tuple(folder for folder in folders if hits[folder]) or (resolver.root,)
