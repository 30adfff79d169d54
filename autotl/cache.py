"""A content-addressed store on disk, and atomic writes.

An entry's name is a digest of everything it depends on, so nothing is ever invalidated: a changed input has
another name. An entry begins with a digest of its name and content; one that differs from it in any byte is a miss,
never an error. Without a writable disk a run is slower, and works.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import errno
import functools
import hashlib
import io
import json
import os
import secrets
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

__all__ = [
    "Cache",
    "append",
    "atomic",
    "atomic_folder",
    "atomic_write",
    "cache_folder",
    "copy_folder",
    "disk_full",
    "key",
    "source_folder",
]

_DIGEST = 32  # bytes
_TEMPORARY = ".tmp"
_SOURCES = "sources"
_ABANDONED = 3600.0  # seconds after which a temporary file has no writer any more


def cache_folder() -> Path:
    """Return the folder of what autotl can compute again: ``$AUTOTL_CACHE``, else the platform's cache folder.

    On Linux this is ``$XDG_CACHE_HOME/autotl``, by default ``~/.cache/autotl``. A user without a home folder, as
    in some containers, has a temporary one that goes when the process ends.
    """
    chosen = os.environ.get("AUTOTL_CACHE")
    if chosen:
        return Path(os.path.expanduser(chosen))
    if os.path.expanduser("~") == "~" and not os.environ.get("XDG_CACHE_HOME"):
        return _temporary_folder()
    return Path(platformdirs.user_cache_dir("autotl", appauthor=False, opinion=False))


def source_folder(digest: str) -> Path:
    """Return the folder in the cache for what was unpacked or written from a source with that digest, there or not.

    Asking counts as a use, which `Cache.prune` goes by.
    """
    folder = cache_folder() / _SOURCES / digest
    with contextlib.suppress(OSError):  # not there yet
        os.utime(folder)
    return folder


@functools.cache
def _temporary_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="autotl-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def disk_full(error: BaseException) -> bool:
    """Return whether an error says that there is no space, or no more of what the user is granted."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def append(path: Path, line: bytes) -> None:
    """Append a whole line to a file, or nothing of it. Raises `OSError`."""
    with open(path, "ab", buffering=0) as file:
        end = file.tell()
        try:
            while line:
                line = line[file.write(line) :]  # a nearly full disk takes a part
        except BaseException:
            file.truncate(end)
            raise


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder to a new one. Raises the first `OSError` as it is; `shutil.copytree` raises texts."""
    target.mkdir(parents=True)
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            copy_folder(entry, target / entry.name)
        else:
            shutil.copyfile(entry, target / entry.name)


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes the place of `path` when the block ends without an error.

    Readers see the old file or the new one, never a part; a block that raises leaves nothing behind.
    The folder is made. Raises `OSError` as the file system does.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # in the same folder, because a rename across file systems is a copy
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a path beside `folder` to make a folder at; it takes the place of `folder` when the block ends well.

    A block that raises leaves nothing behind. Between two renames what was there before is ``.NAME.old``.
    """
    fresh, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        yield fresh
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.replace(folder, old)
        os.replace(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def atomic_write(path: str | Path, content: bytes | str) -> None:
    """Write a whole file or nothing; text as UTF-8. Raises `OSError`."""
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogateescape")  # file names need not be text
    with atomic(path) as temporary, open(temporary, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # else a power cut may leave the new name with no content


def key(*parts: Any) -> str:
    """Return the digest of `parts`, 40 hexadecimal digits: the same in every process and on every machine.

    Parts are what JSON holds, bytes, numpy arrays and scalars, paths and dataclasses, nested as one
    likes; lists equal tuples, and the order of a dictionary does not matter. Raises `TypeError` for
    anything else, because a default ``repr`` may hold an address.
    """
    digest = hashlib.blake2b(digest_size=20)
    for part in parts:
        encoded = part if isinstance(part, bytes) else _canonical(part)
        # kind and length first, so that no two lists of parts run together
        digest.update(b"%s%d:" % (b"b" if isinstance(part, bytes) else b"j", len(encoded)))
        digest.update(encoded)
    return digest.hexdigest()


def _canonical(part: Any) -> bytes:
    return json.dumps(part, sort_keys=True, separators=(",", ":"), default=_plain).encode()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype != object:
        content = hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=20).hexdigest()
        return ["array", value.dtype.str, list(value.shape), content]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} has no canonical form to make a cache key of")


class Cache:
    """Numpy arrays by key, in a folder that several processes may share; beside them lie unpacked sources.

    A folder that cannot be written to disables writing, with one warning; reading goes on.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = cache_folder() if folder is None else Path(folder)
        self.writable = True

    def path(self, key: str) -> Path:
        """Return the path of an entry, stored or not. `key` is one of `key()`'s; anything else raises `ValueError`."""
        if not key or not all(c in "0123456789abcdef" for c in key):
            raise ValueError(
                f"{key!r} is not a cache key; expected hexadecimal digits, as cache.key() makes them"
            )
        return self.folder / key[:2] / f"{key}.arrays"

    def get(self, key: str) -> dict[str, np.ndarray] | None:
        """Return the arrays put under `key`, or None. A damaged entry is removed."""
        path = self.path(key)
        try:
            stored = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            stored = b""
        content = memoryview(stored)[_DIGEST:]
        if stored[:_DIGEST] != _digest(key, content):
            _remove(path)
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as entry:
            arrays = {name: entry[name] for name in entry.files}
        with contextlib.suppress(OSError):
            os.utime(path)  # the time of last use, which prune() goes by
        return arrays

    def put(self, key: str, arrays: Mapping[str, np.ndarray]) -> bool:
        """Store arrays (no objects) under `key` and return whether it succeeded. The last of several writers wins."""
        path = self.path(key)
        if not self.writable:
            return False
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        try:
            with atomic(path) as temporary, open(temporary, "xb") as file:
                file.write(_digest(key, content.getbuffer()))
                file.write(content.getbuffer())
        except OSError as error:
            self.writable = False
            warnings.warn(
                f"the cache in {self.folder} cannot be written to ({error.strerror or error}), so nothing is kept "
                "there; expected a folder with free space: point AUTOTL_CACHE to one",
                RuntimeWarning,
                stacklevel=2,
            )
            return False
        return True

    def size(self) -> int:
        """Return the bytes of all entries."""
        return sum(size for _, size, _ in self._entries())

    def prune(self, *, max_bytes: int | None = None, older_than: float | None = None) -> int:
        """Remove least recently used entries and return the bytes freed.

        `older_than` (seconds since last use) removes what is older; `max_bytes` then removes the oldest
        until the rest fits. What crashed writers left behind goes in any case.
        """
        now, freed = time.time(), self._remove_abandoned()
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for used, size, path in entries:
            too_old = older_than is not None and now - used > older_than
            too_much = max_bytes is not None and total > max_bytes
            if (too_old or too_much) and _remove(path):
                freed, total = freed + size, total - size
        return freed

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        for path in self.folder.glob("??/*"):
            if path.suffix != _TEMPORARY:
                with contextlib.suppress(OSError):  # another process may prune at the same time
                    status = path.stat()
                    yield status.st_mtime, status.st_size, path
        for path in self.folder.glob(f"{_SOURCES}/[!.]*"):
            with contextlib.suppress(OSError):
                yield path.stat().st_mtime, _bytes(path), path

    def _remove_abandoned(self) -> int:
        freed = 0
        for path in self.folder.glob(f"??/.*{_TEMPORARY}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                if time.time() - status.st_mtime > _ABANDONED and _remove(path):
                    freed += status.st_size
        for path in self.folder.glob(f"{_SOURCES}/.*"):
            with contextlib.suppress(OSError):
                abandoned, size = time.time() - path.stat().st_mtime > _ABANDONED, _bytes(path)
                if abandoned and _remove(path):
                    freed += size
        return freed


def _digest(key: str, content: memoryview) -> bytes:
    digest = hashlib.sha256(key.encode())
    digest.update(content)
    return digest.digest()


def _bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    if path.is_dir() and not path.is_symlink():
        return sum(_bytes(inner) for inner in path.iterdir())
    return path.lstat().st_size


def _remove(path: Path) -> bool:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        return False
    return True
