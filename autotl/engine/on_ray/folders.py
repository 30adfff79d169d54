"""What was sent to a machine of a cluster lies in one folder for each run, which goes with the processes that hold it."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from pathlib import Path

from filelock import FileLock, Timeout

FOLDERS = "autotl-ray-"  # in the temporary folder of a machine, followed by the run's token


def held_folder(token: str) -> tuple[Path, FileLock]:
    """Return the folder of a run on this machine, and the lock that holds it for this process as long as it lives.

    Folders that no process holds are removed: those of runs whose machine or slots were lost.
    """
    with _lock():
        _remove_unheld()
        root = Path(tempfile.gettempdir()) / f"{FOLDERS}{token}"
        root.mkdir(parents=True, exist_ok=True)
        # Another thread releases it: Ray calls the end of an actor in one of its own.
        held = FileLock(root / f"{os.getpid()}-{uuid.uuid4().hex}.held", thread_local=False)
        held.acquire()
    return root, held


def remove_unheld() -> None:
    """Remove the folders of runs that no process holds."""
    with _lock():
        _remove_unheld()


def _lock() -> FileLock:
    """Return the lock on which folders of runs there are, of this user."""
    return FileLock(Path(tempfile.gettempdir()) / f"{FOLDERS}{os.getuid()}.lock")


def _remove_unheld() -> None:
    """Remove this user's folders of runs that no process holds: its locks go with a process, however it ends."""
    for root in Path(tempfile.gettempdir()).glob(f"{FOLDERS}*"):
        if (
            root.is_dir()
            and root.stat().st_uid == os.getuid()
            and not any(map(_is_held, root.glob("*.held")))
        ):
            shutil.rmtree(root, ignore_errors=True)


def _is_held(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def mark(run: Path, token: str) -> None:
    """Write into a run's folder what shows a machine that it sees the folder."""
    work = run / ".engine"
    work.mkdir(parents=True, exist_ok=True)
    (work / "token").write_text(token)


def is_seen(run: Path, token: str) -> bool:
    """Return whether this machine sees the folder of a run, and not another one of the same name."""
    try:
        return (run / ".engine" / "token").read_text() == token
    except OSError:
        return False
