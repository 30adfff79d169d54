"""Packages under plugins/ as if they were installed, without pip and without a network."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

PLUGINS = Path(__file__).resolve().parent.parent / "plugins"


def install(folder: Path, *names: str) -> list[str]:
    """Writes what an editable install leaves (metadata and a path), and returns what goes on the path."""
    path = [str(folder)]
    for name in names:
        project = tomllib.loads((PLUGINS / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        info = folder / f"{name.replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {project['version']}\n"
        )
        points = project["entry-points"]["autotl"]
        lines = ["[autotl]", *(f"{key} = {value}" for key, value in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        path.append(str(PLUGINS / name))
    return path


def environment(path: list[str]) -> dict[str, str]:
    """The environment of a process that finds them."""
    root = str(PLUGINS.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*path, root, os.environ.get("PYTHONPATH", "")])}
