"""Run folders and model folders that someone else may have made: nothing in them leads out of them.

Names in result.json are checked by `inside`; what lies in the folder by `require_plain`, before anything of it is
read, so that neither a name nor a link can make autotl read, write or remove anything elsewhere.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath

from autotl.cache import atomic
from autotl.errors import RunError

__all__ = ["below", "inside", "own", "require_plain"]

DEEPEST = 32  # folders in one another below a run folder; autotl itself makes three


def inside(name: str, top: str) -> bool:
    """Return whether a recorded path is a plain relative path below the folder `top`.

    >>> [inside(name, "trials") for name in ("trials/t1/model", "trials/../model", "/etc", "trials", "trials//x")]
    [True, False, False, False, False]
    """
    path = PurePosixPath(name)
    plain = path.as_posix() == name and "\\" not in name and "\0" not in name
    return plain and len(path.parts) > 1 and path.parts[0] == top and ".." not in path.parts


def below(root: Path, name: str) -> Path | None:
    """Return the file that a recorded name stands for below the folder of the data; None for one that leads out of it.

    Links in that folder are the user's own, and are followed.

    >>> [below(Path("photos"), name) is not None for name in ("ants/1.jpg", "ants/../../1.jpg", "/etc/passwd")]
    [True, False, False]
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if (
        not parts
        or ".." in parts
        or os.path.isabs(name)
        or parts[0] == "/"
        or "\0" in name
        or Path(name).drive
    ):
        return None
    return root / name


def require_plain(folder: Path) -> None:
    """Raise `RunError` when a folder holds what autotl never writes: a link, a pipe or device, or deeper folders."""
    waiting = [(os.fspath(folder), 0)]
    while waiting:
        path, depth = waiting.pop()
        try:
            entries = list(os.scandir(path))
        except FileNotFoundError:  # removed since: the run is still going on
            continue
        except OSError as error:
            if not depth:  # what is read from it says what is wrong
                return
            raise RunError(
                f"{path} cannot be listed ({error.strerror}); expected a run folder that can be read; change its"
                " permissions"
            ) from error
        for entry in entries:
            if entry.is_symlink():
                raise RunError(
                    f"{entry.path} is a link; expected files and folders alone in a run folder, so that nothing outside"
                    " it is read or written; put a copy in its place, or remove it"
                )
            if entry.is_dir(follow_symlinks=False):
                if depth == DEEPEST:
                    raise RunError(
                        f"{entry.path} lies more than {DEEPEST} folders deep; expected a folder as autotl writes it;"
                        " remove it"
                    )
                waiting.append((entry.path, depth + 1))
            elif not entry.is_file(follow_symlinks=False):
                raise RunError(
                    f"{entry.path} is neither a file nor a folder; expected a folder as autotl writes it; remove it"
                )


def own(path: Path) -> None:
    """Make a file that is appended to the folder's own: one of several hard links becomes a copy."""
    if path.is_file() and path.stat().st_nlink > 1:
        with atomic(path) as copy:
            shutil.copy2(path, copy)
