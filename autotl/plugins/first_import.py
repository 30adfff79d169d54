"""Import plugins for the first time in a child process: one that ends its process is named, not followed.

An exception at import is caught where plugins are imported; ``os._exit`` or a crash of a library cannot be. So each
version of a plugin is imported in a child once, and the result is kept in the cache.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path
from signal import Signals

import msgspec

from autotl import __version__
from autotl.cache import atomic_write, cache_folder
from autotl.plugins import sandbox

__all__ = ["deadly"]

_FILE = "plugin-imports.json"
_PROGRAM = """
import os, sys
from importlib.metadata import EntryPoint
lines = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for value in sys.argv[1:]:
    print("begin", value, file=lines, flush=True)
    try:
        EntryPoint(name="guest", value=value, group="autotl").load()
    except BaseException:
        pass
    print("end", value, file=lines, flush=True)
"""


def deadly(points: Sequence[EntryPoint]) -> dict[str, str]:
    """Return why entry points may not be imported in this process, by value: their import ends the process."""
    file = cache_folder() / _FILE
    earlier = _read(file)
    keys = {point.value: _key(point) for point in points}
    fresh = [value for value, key in keys.items() if key not in earlier]
    if fresh:
        earlier |= {keys[value]: reason for value, reason in _imported(fresh).items()}
        with suppress(OSError):  # a cache that cannot be written costs the next command a second
            atomic_write(file, msgspec.json.encode(earlier))
    return {value: earlier[key] for value, key in keys.items() if earlier.get(key)}


def _read(file: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return {}


def _key(point: EntryPoint) -> str:
    """Return a text that changes with the plugin's version, its file and what imports it."""
    version = "" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    return "|".join((point.value, version, _file_state(point.module), __version__, sys.version.split()[0]))


def _file_state(module: str) -> str:
    """Return place, time and size of a module's file, found without importing anything."""
    top, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return ""
    if spec is None or spec.origin is None:
        return ""
    path = Path(spec.origin)
    if inner:
        below = path.parent.joinpath(*inner)
        path = below / "__init__.py" if below.is_dir() else below.with_suffix(".py")
    try:
        state = path.stat()
    except OSError:
        return str(path)
    return f"{path}|{state.st_mtime_ns}|{state.st_size}"


def _imported(values: Sequence[str]) -> dict[str, str]:
    """Import each in a child process. Return why it ended the child, or an empty text, by value.

    One that takes too long is not in the result: the import in this process has a limit, too, and names it.
    """
    waiting, results = list(values), dict.fromkeys(values, "")
    while waiting:
        lines, code = _child(waiting)
        last = lines[-1].split(" ", 1) if lines else ["", ""]
        if last[0] != "begin":  # all are imported, or the child could not be started
            break
        value = last[1]
        if code is None:
            del results[value]
        else:
            results[value] = _ended(code)
        waiting = waiting[waiting.index(value) + 1 :]
    return results


def _child(values: Sequence[str]) -> tuple[list[str], int | None]:
    """Return the lines of a child that imports the values, and its exit code; None when it took too long."""
    try:
        process = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *values],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=sandbox.IMPORT_SECONDS * len(values),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode().splitlines(), None
    return process.stdout.decode().splitlines(), process.returncode


def _ended(code: int) -> str:
    how = f"with exit code {code}" if code >= 0 else f"by {Signals(-code).name}"
    return f"its import ends the process {how}; expected a module that can be imported; correct or uninstall the plugin"
