"""Find the plugins that a name, a module or a path means, and import them."""

from __future__ import annotations

import importlib.util
import os
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from autotl.errors import PluginError, UnknownNameError
from autotl.plugins import first_import
from autotl.plugins.manager import BUILTIN, BUILTIN_NAMES, GROUP, Plugins, load_plugins
from autotl.plugins.sandbox import PluginThread, text_of

IMPORT_SECONDS = 30.0  # longer than in a run: the check of the listing reports what was slow


@dataclass(slots=True, kw_only=True)
class Plugin:
    """A plugin to check: its name, its import path, and the result of the import."""

    name: str
    value: str = ""  # "module" or "module:attr"; empty for an object without import path
    object: Any = None
    problem: str = ""  # why it cannot be imported
    _registered: Plugins | None = None

    def plugins(self) -> Plugins:
        """Return the built-in plugins and this one, registered once: a hook that broke is not called again."""
        if self._registered is None:
            guests = {} if self.value in BUILTIN else {self.name: self.object}
            self._registered = load_plugins(guests, installed=False)
        return self._registered

    def broken(self) -> bool:
        """Return whether one of its hooks broke, which is the failure of one check and not of the others."""
        return self.plugins().quarantined(self.name)


def find(target: str) -> list[Plugin]:
    """Import the plugins that `target` means.

    `target` is the name of an entry point of the group ``autotl``, a module, a Python file, a package's folder, or
    a project's folder with a pyproject.toml that names entry points. For a path, its folder is added to
    ``sys.path``. Raises `UnknownNameError` when there is no such plugin, `PluginError` for a folder without plugin.
    """
    installed = {point.name: point.value for point in entry_points(group=GROUP)}
    installed |= dict(zip(BUILTIN_NAMES, BUILTIN, strict=True))
    if target in installed:
        return [load(target, installed[target])]
    if Path(target).exists():
        return [load(name, value) for name, value in _at_path(Path(target).resolve()).items()]
    if os.sep in target or not _importable(target.partition(":")[0]):
        raise UnknownNameError("plugin", target, installed, "(or name a module, a file or a folder)")
    return [load(target, target)]


def _at_path(path: Path) -> dict[str, str]:
    """Return the entry points, by name, of a file, a package or a project."""
    if path.name == "__init__.py":
        path = path.parent
    if path.is_file():
        _add_to_path(path.parent)
        return {path.stem: path.stem}
    if (path / "__init__.py").is_file():
        _add_to_path(path.parent)
        return {path.name: path.name}
    project = path / "pyproject.toml"
    if not project.is_file():
        raise PluginError(
            "the folder holds neither __init__.py nor pyproject.toml; expected a package or a project",
            plugin=str(path),
            hook="import",
        )
    with project.open("rb") as file:
        points = tomllib.load(file).get("project", {}).get("entry-points", {}).get(GROUP, {})
    if not points:
        raise PluginError(
            f'pyproject.toml names no plugin; expected [project.entry-points.{GROUP}] with name = "module"',
            plugin=str(path),
            hook="import",
        )
    _add_to_path(path)
    _add_to_path(path / "src")
    return dict(points)


def _add_to_path(folder: Path) -> None:
    if folder.is_dir() and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def load(name: str, value: str) -> Plugin:
    """Import a plugin; an exception becomes its `problem`."""
    point = EntryPoint(name=name, value=value, group=GROUP)
    if (reason := first_import.deadly([point]).get(value)) is not None:
        return Plugin(name=name, value=value, problem=f"import of {value}: {reason}")
    try:
        plugin = PluginThread(name).call(point.load, IMPORT_SECONDS)
    except Exception as error:
        return Plugin(name=name, value=value, problem=f"import of {value}: {text_of(error)}")
    return Plugin(name=name, value=value, object=plugin)
