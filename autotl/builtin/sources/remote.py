"""Folders and files elsewhere, by an address that fsspec understands: s3://, gs://, hf:// and others.

What takes part in the run is copied into the cache, and read there like any other source. Of more images than
``--sample``, the same share of each class and part is copied where tables among the files say these, else of each folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from autotl import modality
from autotl.builtin.sources import inside, sampling
from autotl.builtin.sources.archives import BLOCK, SPARE, target
from autotl.builtin.sources.listing import MODALITY, Choices
from autotl.cache import atomic, source_folder
from autotl.errors import DatasetError
from autotl.records import Kind, LeftOut, fact

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
THREADS = 16
# What changes where the content does, by what a file system calls it.
VERSIONS = (
    "ETag",
    "etag",
    "checksum",
    "md5Hash",
    "blob_id",
    "mtime",
    "LastModified",
    "last_modified",
    "created",
)
EXPECTED = "the address of a folder or file that fsspec can read, such as s3://BUCKET/photos"


def is_address(source: str) -> bool:
    """Return whether a source is an address and no path."""
    return ADDRESS.match(source) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """Where an address was copied to, and what of it was not."""

    place: Path
    left_out: list[LeftOut] = field(default_factory=list)
    # Images that a sample leaves out: names by the folder that they would have been copied to.
    away: dict[str, set[str]] = field(default_factory=dict)

    @property
    def not_sampled(self) -> int:
        return sum(map(len, self.away.values()))


def copied(source: str, choices: Choices) -> Copied:
    """Copy what takes part of the files at an address.

    Raises `DatasetError` for an address that cannot be read, and for more than the disk holds.
    """
    system, place = _system(source)
    if isinstance(place, Path):
        return Copied(place=place)
    found = _listed(source, system, place)
    names, left_out = {}, list[LeftOut]()
    for path, about in found.items():
        name = os.path.relpath(path, place) if path != place else os.path.basename(path)
        if target(Path(), name) is None or name.startswith(".."):
            left_out.append(LeftOut(name=name, reason=fact(Kind.ARCHIVE_OUTSIDE)))
        else:
            names[name] = (path, about)
    suffixes = modality.get(MODALITY).SUFFIXES
    images = sorted(name for name in names if os.path.splitext(name)[1].lower() in suffixes)
    others = sorted(names.keys() - set(images))
    folder = source_folder(_digest(source, names)) / "files"
    _copy(source, system, {name: names[name] for name in others}, folder)
    said = {}
    if choices.sample and len(images) > choices.sample:
        said = inside.strata(folder, others, replace(choices, away=_away(folder, images)))
    chosen = _sample(images, [said.get(os.path.abspath(folder / name)) for name in images], choices.sample)
    _copy(source, system, {name: names[name] for name in chosen}, folder)
    away = _away(folder, set(images) - set(chosen))
    is_file = list(found) == [place]
    return Copied(
        place=folder / next(iter(names)) if is_file and names else folder, left_out=left_out, away=away
    )


def _system(source: str) -> tuple[Any, str | Path]:
    """Return the file system of an address and the place in it; the path of one that lies on this machine."""
    try:
        import fsspec
    except ImportError as error:
        raise DatasetError(
            f"{source} needs the package fsspec; expected it to be installed; run: pip install 'autotl[remote]'"
        ) from error
    try:
        system, place = fsspec.core.url_to_fs(source)
    except (ImportError, ValueError) as error:  # a package that is not installed, an unknown protocol
        raise DatasetError(
            f"{source} cannot be read ({str(error).splitlines()[0]}); expected {EXPECTED}; pip install 'autotl[remote]'"
            " reads s3:// and gs://"
        ) from error
    if "file" in np.atleast_1d(system.protocol):
        return system, Path(place)
    return system, str(place).rstrip("/")


def _listed(source: str, system: Any, place: str) -> dict[str, Mapping[str, Any]]:
    """Return the files at a place, each with what is known of it."""
    try:
        found: dict[str, Mapping[str, Any]] = system.find(place, detail=True)
    except (
        Exception
    ) as error:  # each file system raises what it likes, for lack of rights or of a network too
        raise DatasetError(
            f"{source} cannot be listed ({type(error).__name__}: {error}); expected {EXPECTED}; check address, rights and"
            " network"
        ) from error
    if not found:
        raise DatasetError(f"{source} holds no file; expected {EXPECTED}; check the address")
    return {path: about for path, about in found.items() if about.get("type", "file") == "file"}


def _away(folder: Path, names: Collection[str]) -> dict[str, set[str]]:
    """Return names by the folder that they would be copied to."""
    away: dict[str, set[str]] = {}
    for name in names:
        at, _, last = name.rpartition("/")
        away.setdefault(os.path.normpath(folder / at), set()).add(last)
    return away


def _sample(images: Sequence[str], said: Sequence[str | None], most: int) -> list[str]:
    """Return the images that are copied: the same share of what tables say of them, else of each folder.

    Where labels hardly repeat, such as numbers, folders alone count.
    """
    by_table = len(set(said)) * sampling.LEAST <= most
    strata = [
        os.path.dirname(name) if text is None or not by_table else f"\0{text}"
        for name, text in zip(images, said, strict=True)
    ]
    keys = np.array([sampling.key_of(name) for name in images])
    rows = sampling.chosen(np.array(strata, object).astype(str), keys, most)
    return [images[row] for row in rows.tolist()]


def _digest(source: str, names: Mapping[str, tuple[str, Mapping[str, Any]]]) -> str:
    """Return what identifies the files at an address: names, sizes, and what changes where their content does."""
    digest = hashlib.blake2b(source.encode("utf-8", "surrogateescape"), digest_size=20)
    for name, (_, about) in sorted(names.items()):
        version = next((about[key] for key in VERSIONS if key in about), "")
        digest.update(f"\0{name} {about.get('size')} {version}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _copy(source: str, system: Any, names: Mapping[str, tuple[str, Mapping[str, Any]]], folder: Path) -> None:
    """Copy files that are not there yet. Raises `DatasetError`."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = {name: entry for name, entry in names.items() if not (folder / name).is_file()}
    total = sum(int(about.get("size") or 0) for _, about in missing.values())
    if total > shutil.disk_usage(folder).free - SPARE:
        raise DatasetError(
            f"{source} holds {total / 1e9:.1f} GB that would be copied, which {folder} has no room for; expected it to;"
            " point AUTOTL_CACHE to another disk, or use a smaller --sample"
        )

    def one(name: str) -> None:
        path, about = missing[name]
        left = int(about.get("size") or 0)
        with (
            system.open(path, "rb") as stream,
            atomic(folder / name) as temporary,
            temporary.open("wb") as file,
        ):
            while block := stream.read(BLOCK):
                left -= len(block)
                if left < 0:
                    raise DatasetError(
                        f"{source}/{name} holds more than the {about.get('size')} bytes it was listed with; expected"
                        " files that do not change meanwhile; run again"
                    )
                file.write(block)

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(one, missing))
    except DatasetError:
        raise
    except Exception as error:  # of a file system, a network or a disk
        raise DatasetError(
            f"{source} cannot be copied to {folder} ({type(error).__name__}: {error}); expected files that can be read,"
            " and room for them; run again, which goes on where this ended"
        ) from error
