"""A folder and all below it, as a tree. What cannot be used is left out with its reason."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from autotl import modality
from autotl.builtin.sources.listing import MODALITY, Choices, Listing
from autotl.errors import DatasetError
from autotl.records import Finding, Kind

# What systems and programs write beside the user's files; never data.
OVERLOOKED = frozenset(
    {"__MACOSX", "Thumbs.db", "desktop.ini", ".DS_Store", ".git", ".svn", ".ipynb_checkpoints", "__pycache__"}
)
SHOWN = 20  # names in a finding
HEAD = 132  # bytes that tell an image from another file


@dataclass(slots=True)
class Folder:
    """A folder: its folders, the names of its images, and of what else it holds.

    Folders may nest deeper than Python calls may, so nothing here calls itself.
    """

    name: str
    place: str  # relative to the root of the tree, "" for the root itself
    folders: list[Folder] = field(default_factory=list)
    images: list[str] = field(default_factory=list)  # relative to the root
    others: list[str] = field(default_factory=list)  # relative to the root
    holds_images: bool = False  # here or below

    def all_folders(self) -> Iterator[Folder]:
        """Yield this folder and those below it, each before what it holds."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting += reversed(folder.folders)

    def all_images(self) -> Iterator[str]:
        """Yield the images here and below."""
        for folder in self.all_folders():
            yield from folder.images

    def all_others(self) -> Iterator[str]:
        """Yield what is no image, here and below."""
        for folder in self.all_folders():
            yield from folder.others

    def remove(self, images: Container[str]) -> None:
        """Take images out, here and below."""
        for folder in self.all_folders():
            folder.images = [image for image in folder.images if image not in images]
        self.count()

    def count(self) -> None:
        """Set `holds_images`, here and below."""
        for folder in reversed(list(self.all_folders())):
            folder.holds_images = bool(folder.images) or any(inner.holds_images for inner in folder.folders)

    @property
    def with_images(self) -> list[Folder]:
        """Return the folders directly below that hold images."""
        return [folder for folder in self.folders if folder.holds_images]


def walk(root: Path, choices: Choices, listing: Listing) -> Folder:
    """Return the tree of a folder; hidden files and links that lead elsewhere are left out. Raises `DatasetError`."""
    walker = _Walker(root, choices, listing)
    tree = walker.walk(root)
    if walker.hidden_images:
        names, count = walker.hidden_images[:SHOWN], len(walker.hidden_images)
        listing.findings.append(
            Finding(kind=Kind.HIDDEN_IMAGES, count=count, where=tuple(names), action="left_out")
        )
    return tree


class _Walker:
    def __init__(self, root: Path, choices: Choices, listing: Listing) -> None:
        self.allowed = [Path(os.path.realpath(place)) for place in (root, choices.root) if place is not None]
        self.unlabelled = None if choices.unlabelled is None else os.path.realpath(choices.unlabelled)
        self.hidden = "hidden" in choices.include
        self.listing = listing
        self.hidden_images: list[str] = []  # folders or files that would be images if they were not hidden

    def walk(self, root: Path) -> Folder:
        """Return the tree below a folder."""
        tree = Folder(root.name, "")
        # a folder, its path, and the real paths of itself and all above it
        waiting: list[tuple[Folder, Path, tuple[str, ...]]] = [(tree, root, (os.path.realpath(root),))]
        while waiting:
            folder, path, above = waiting.pop()
            for entry in self._entries(path, folder.place):
                name = f"{folder.place}/{entry.name}" if folder.place else entry.name
                if entry.is_symlink() and not os.path.exists(entry.path):
                    self.listing.leave_out(name, Kind.BROKEN_LINK)
                elif self._overlooked(entry):
                    self._hide(entry, name)
                elif entry.is_dir():
                    real = self._entered(entry, name, above)
                    if real is not None:
                        inner = Folder(entry.name, name)
                        folder.folders.append(inner)
                        waiting.append((inner, Path(entry.path), (*above, real)))
                elif not entry.is_file():  # a pipe must not be opened, it would wait for ever
                    self.listing.leave_out(name, Kind.NOT_AN_IMAGE)
                elif is_image(entry.path):
                    folder.images.append(name)
                else:
                    folder.others.append(name)
        tree.count()
        return tree

    def _entered(self, entry: os.DirEntry[str], name: str, above: tuple[str, ...]) -> str | None:
        """Return the real path of a folder to walk; None for one that is left out, or read for itself."""
        real = self._real(entry, above)
        if real is None:
            self.listing.leave_out(name + "/", Kind.LINK_OUTSIDE)
        elif real == self.unlabelled:
            return None
        elif _is_run(real):
            self.listing.leave_out(name + "/", Kind.RUN_FOLDER)
            return None
        return real

    def _real(self, entry: os.DirEntry[str], above: tuple[str, ...]) -> str | None:
        """Return the real path of a folder; None for a link that leads outside or to a folder above it."""
        if not entry.is_symlink():
            return os.path.join(above[-1], entry.name)
        real = os.path.realpath(entry.path)
        is_above = any(Path(place).is_relative_to(real) for place in above)
        if is_above or not any(Path(real).is_relative_to(allowed) for allowed in self.allowed):
            return None
        return real

    def _entries(self, path: Path, place: str) -> list[os.DirEntry[str]]:
        try:
            return sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError as error:
            if not place:
                raise DatasetError(
                    f"{path} cannot be listed ({error.strerror}); expected a readable folder"
                ) from error
            self.listing.leave_out(place + "/", Kind.UNREADABLE_FOLDER, error=error.strerror or str(error))
            return []

    def _overlooked(self, entry: os.DirEntry[str]) -> bool:
        if entry.name in OVERLOOKED or entry.name.startswith("._"):  # ._ is a Mac's record of a file
            return True
        return entry.name.startswith(".") and not self.hidden

    def _hide(self, entry: os.DirEntry[str], name: str) -> None:
        is_folder = entry.is_dir(follow_symlinks=False)
        self.listing.leave_out(name + ("/" if is_folder else ""), Kind.HIDDEN)
        if entry.name in OVERLOOKED or entry.name.startswith("._"):
            return
        try:
            inside = [e.path for e in os.scandir(entry.path)] if is_folder else [entry.path]
        except OSError:
            return
        if any(os.path.isfile(path) and is_image(path) for path in inside):
            self.hidden_images.append(name + ("/" if is_folder else ""))


def _is_run(folder: str) -> bool:
    """Return whether a folder is that of a run: whoever works in the folder of the data gets runs/ in it."""
    holds = [
        os.path.isfile(os.path.join(folder, name)) for name in ("events.jsonl", "result.json", "config.toml")
    ]
    return holds[0] and any(holds[1:])


def is_image(path: str) -> bool:
    """Return whether a file is an image by the end of its name, or else by its first bytes."""
    kind = modality.get(MODALITY)
    if os.path.splitext(path)[1].lower() in kind.SUFFIXES:
        return True
    try:
        with open(path, "rb") as file:
            return kind.recognised(file.read(HEAD))
    except OSError:
        return False


def images_below(folder: Path) -> Iterator[tuple[Path, OSError | None]]:
    """Yield the image files below a folder, sorted, without hidden ones.

    A folder that cannot be listed is yielded with the error. Links to folders are not followed.
    """
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
            if entry.name.startswith(".") or entry.name in OVERLOOKED:
                continue
            below = entry.is_dir(follow_symlinks=False)
            if below or (os.path.isfile(entry.path) and is_image(entry.path)):
                waiting.append((entry.path, below))
