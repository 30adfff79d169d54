"""One writer for a run folder at a time, whichever process it is in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from autotl.errors import RunError

__all__ = ["FILE", "hold"]

FILE = ".lock"


@contextlib.contextmanager
def hold(folder: str | Path) -> Iterator[None]:
    """Hold a run folder for writing in the block; in one process as often as one likes.

    The lock ends with the process, however that ends. Raises `RunError` where another process holds the folder.
    A file system without locks is written to without one.
    """
    from filelock import FileLock, Timeout

    path = Path(folder).resolve() / FILE
    lock = FileLock(path, timeout=0, is_singleton=True)
    held = False
    try:
        lock.acquire()
        held = True
    except Timeout as error:
        raise RunError(
            f"{folder} is being written by another autotl; expected a folder that no other run uses; wait for it, or"
            " choose another --out"
        ) from error
    except (NotImplementedError, OSError):
        # filelock raises NotImplementedError where the file system has no locks: the folder is then used without one.
        # An OSError of the folder itself is raised again, with its name, by the first write to it.
        pass
    try:
        yield
    finally:
        if held:
            if lock.lock_counter == 1:
                path.unlink(missing_ok=True)  # while it is held: nobody waits for it
            lock.release()
