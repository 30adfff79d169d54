"""Zip and tar archives, unpacked into the cache. A member can be hostile: none is trusted to say where it goes."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from autotl.cache import source_folder
from autotl.errors import DatasetError
from autotl.records import Kind, LeftOut, fact

MAGIC = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")  # zip; gzip, bzip2 and xz, which may hold a tar
ZIP_END, ZIP_END_BYTES = b"PK\x05\x06", 22 + 2**16  # the last record, with its comment
TAR, TAR_PLACE = b"ustar", 257
FOREIGN = (b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c")  # of archives that are not read
BLOCK = 2**20
DAMAGED = (  # all that reading a damaged archive raises
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    NotImplementedError,  # raised by zipfile for a compression method that it does not support
    zlib.error,
    lzma.LZMAError,
)
SMALL = 2**30  # bytes that every archive may hold unpacked
MOST_RATIO = 100  # unpacked bytes for one packed; photographs hardly shrink, uncompressed bitmaps tenfold
MOST_MEMBERS = 5_000_000
SPARE = 2**30  # bytes of the disk that stay free
DONE = "left_out.json"  # written last; its place says that the archive was unpacked completely


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    open: Callable[[], IO[bytes] | None]
    problem: Kind | None = None


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip or a tar, compressed or not, by its first bytes: it may be damaged."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(TAR_PLACE + len(TAR))
    return head.startswith(MAGIC) or head[TAR_PLACE:] == TAR


def is_foreign(path: Path) -> bool:
    """Return whether a file is an archive of a kind that is not read: RAR or 7z."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(8).startswith(FOREIGN)


def unused(path: Path) -> Kind:
    """Return why a file in a folder, which is no image, is left out: it is an archive, or something else."""
    try:
        return Kind.ARCHIVE_INSIDE if is_archive(path) or is_foreign(path) else Kind.NOT_AN_IMAGE
    except OSError:
        return Kind.NOT_AN_IMAGE


def unpack(path: Path) -> tuple[Path, list[LeftOut]]:
    """Return the folder with the files of an archive, and members that were not unpacked.

    Links, devices and members that lead outside the folder are not unpacked. The folder is kept in the cache under
    the archive's digest. Raises `DatasetError` for an archive that is damaged, encrypted or grows out of proportion.
    """
    place = source_folder(_digest(path))
    if not (place / DONE).is_file():
        _unpack(path, place)
    left_out = json.loads((place / DONE).read_text(encoding="utf-8"))
    return place / "files", [LeftOut(name=name, reason=fact(Kind(kind))) for name, kind in left_out]


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=20)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _unpack(path: Path, place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be unpacked into {place.parent} ({error.strerror}); expected a folder that can be written;"
            " point AUTOTL_CACHE to one, or unpack it yourself"
        ) from error
    try:
        left_out = _members_to(path, temporary / "files")
        (temporary / DONE).write_text(json.dumps(left_out), encoding="utf-8")
        with suppress(OSError):  # another process unpacked it in the meantime
            os.replace(temporary, place)
    except (OSError, *DAMAGED) as error:
        if (
            isinstance(error, OSError) and error.errno is not None
        ):  # those without a number are of gzip and bz2
            raise DatasetError(
                f"{path} cannot be unpacked ({error.strerror}); expected room for it on the disk; point"
                " AUTOTL_CACHE to another folder"
            ) from error
        raise DatasetError(
            f"{path} is a damaged archive ({type(error).__name__}: {error}); expected a whole one; fetch it again"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _members_to(path: Path, folder: Path) -> list[tuple[str, str]]:
    """Write the files of an archive below a folder; return name and kind of what was not written."""
    folder.mkdir(parents=True)
    room = min(max(SMALL, MOST_RATIO * path.stat().st_size), max(0, shutil.disk_usage(folder).free - SPARE))
    left_out: list[tuple[str, str]] = []
    with ExitStack() as stack:
        for number, member in enumerate(_members(path, stack)):
            if number >= MOST_MEMBERS:
                raise DatasetError(
                    f"{path} holds more than {MOST_MEMBERS:,} members; expected fewer; unpack it"
                )
            place = None if member.problem else target(folder, member.name)
            if place is None:
                left_out.append((_printable(member.name), member.problem or Kind.ARCHIVE_OUTSIDE))
            elif os.path.lexists(place):
                left_out.append((member.name, Kind.NAMED_TWICE))
            else:
                room = _write(path, member, place, room)
    return left_out


def _printable(name: str) -> str:
    return name.replace("\0", "\N{REPLACEMENT CHARACTER}")


def target(folder: Path, name: str) -> Path | None:
    """Return where a member goes; None where it leads outside or is no path."""
    pure = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in pure.parts if part != "."]
    bad = not parts or pure.is_absolute() or ".." in parts or "\0" in name or ":" in parts[0]
    return None if bad else folder.joinpath(*parts)


def _write(path: Path, member: _Member, target: Path, room: int) -> int:
    """Write a member block by block, and return how many bytes may follow: sizes in an archive may be wrong."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    if source is None:
        return room
    with source, target.open("xb") as file:
        while block := source.read(BLOCK):
            room -= len(block)
            if room < 0:
                raise DatasetError(
                    f"{path} grows out of proportion when it is unpacked (more than {MOST_RATIO} times its size, or"
                    " more than the disk holds); expected an archive of images; unpack it yourself if you trust it"
                )
            file.write(block)
    return room


def _members(path: Path, stack: ExitStack) -> Iterator[_Member]:
    if zipfile.is_zipfile(path):
        yield from _of_zip(path, stack.enter_context(zipfile.ZipFile(path)))
    else:
        archive = stack.enter_context(tarfile.open(path))  # noqa: SIM115 (the stack closes it)
        for info in archive:
            if info.isdir():
                continue
            problem = None if info.isfile() else Kind.ARCHIVE_LINK
            yield _Member(info.name, partial(archive.extractfile, info), problem)
        _require_end(archive)


def _require_end(archive: tarfile.TarFile) -> None:
    """Raise `tarfile.ReadError` if members may follow: tarfile takes a damaged header for the end.

    What is compressed is checked by its sum when it is read to its end.
    """
    stream: Any = archive.fileobj
    stream.seek(archive.offset)
    while block := stream.read(BLOCK):
        if block.strip(b"\0"):
            raise tarfile.ReadError("a damaged header")


def _of_zip(path: Path, archive: zipfile.ZipFile) -> Iterator[_Member]:
    _require_all(path, len(archive.infolist()))
    for info in archive.infolist():
        if info.is_dir():
            continue
        if info.flag_bits & 1:
            raise DatasetError(
                f"{path} is encrypted; expected an archive without a password; unpack it yourself"
            )
        mode = info.external_attr >> 16
        problem = Kind.ARCHIVE_LINK if mode and not _is_file(mode) else None
        yield _Member(_name(info), partial(archive.open, info), problem)


def _require_all(path: Path, listed: int) -> None:
    """Raise `zipfile.BadZipFile` if the directory lists other than all members, which zipfile does not check."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - ZIP_END_BYTES))
        end = file.read()
    at = end.rfind(ZIP_END)
    count = int.from_bytes(end[at + 10 : at + 12], "little")
    if at >= 0 and count not in {listed, 0xFFFF}:  # the latter: more members, in a record of their own
        raise zipfile.BadZipFile(f"the directory lists {listed:,} of {count:,} members")


def _is_file(mode: int) -> bool:
    return stat.S_IFMT(mode) in (0, stat.S_IFREG)


def _name(info: Any) -> str:
    """Return the name of a zip's member. Without the flag for UTF-8, many programs write UTF-8 all the same."""
    if info.flag_bits & 0x800:
        return str(info.filename)
    with suppress(UnicodeError):
        return str(info.filename).encode("cp437").decode("utf-8")
    return str(info.filename)
