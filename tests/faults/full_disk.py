"""A disk that fills up while a run writes to it, without a mount: writes below a folder fail as the system's do."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

__all__ = ["FullDisk"]


class FullDisk:
    """Counts the files and folders that are made below some folders; the n-th does not fit any more, nor what follows.

    Of an even n not even the name fits, of an odd n half of the content does.
    """

    def __init__(self, *below: Path, full_at: int | None = None) -> None:
        self.below, self.full_at = tuple(map(str, below)), full_at
        self.made = 0
        self.refused = 0

    @contextmanager
    def mounted(self) -> Iterator[Self]:
        """Watch what is written in the block."""
        with pytest.MonkeyPatch.context() as patch:
            original, mkdir = io.open, os.mkdir

            def opened(file: Any, mode: str = "r", *arguments: Any, **how: Any) -> Any:
                if not set(mode) & set("wxa+") or not self._holds(file):
                    return original(file, mode, *arguments, **how)
                half = self._count(file, name=True)
                stream = original(file, mode, *arguments, **how)
                return _File(stream, self, half, str(file))

            def made(path: Any, *arguments: Any, **how: Any) -> None:
                if self._holds(path) and "dir_fd" not in how:
                    self._count(path, name=False)
                mkdir(path, *arguments, **how)

            def no_sendfile(*_: Any) -> int:  # it copies without a write
                raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))

            for module in (builtins, io):
                patch.setattr(module, "open", opened)
            patch.setattr(os, "mkdir", made)
            patch.setattr(os, "sendfile", no_sendfile, raising=False)
            yield self

    def _holds(self, path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and os.path.abspath(path).startswith(self.below)

    def _count(self, path: Any, *, name: bool) -> bool:
        """Return whether the disk ends in the content of a new file; raise where its name does not fit."""
        number, self.made = self.made, self.made + 1
        if self.full_at is None or number < self.full_at:
            return False
        if number == self.full_at and name and number % 2:
            return True
        self.refuse(str(path))
        return False

    @property
    def is_full(self) -> bool:
        return self.full_at is not None and self.made > self.full_at

    def refuse(self, path: str | None = None) -> None:
        self.refused += 1
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *([path] if path else []))


class _File:
    """A file that is written to; once the disk is full it takes half of what it is given, then nothing."""

    def __init__(self, stream: Any, disk: FullDisk, half: bool, path: str) -> None:
        self._stream, self._disk, self._half, self._path = stream, disk, half, path

    def write(self, data: Any) -> int:
        if self._half:
            self._half = False
            content = data if isinstance(data, str) else memoryview(data).cast("B")
            self._stream.write(content[: len(content) // 2])
            self._disk.refuse()
        if self._disk.is_full:
            self._disk.refuse()
        return int(self._stream.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._stream)
