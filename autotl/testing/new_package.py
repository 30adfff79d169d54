"""Write the package of a new plugin: it can be installed, and passes its own tests as it is."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from string import Template

from autotl.errors import PluginError

__all__ = ["KINDS", "write"]

# What each kind adds, for README and pyproject.toml.
KINDS = {
    "backbone": "A backbone",
    "strategy": "A transfer strategy",
    "score": "A transferability score",
    "source": "A data source",
    "planner": "A search policy",
    "tracker": "A tracker of runs",
}
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write(kind: str, name: str, folder: Path | None = None) -> Path:
    """Write the package ``autotl-NAME`` into a new folder and return it.

    Raises `PluginError` for a name that cannot be one, and for a folder that holds something.
    """
    if not _NAME.fullmatch(name):
        raise PluginError(
            f"{name!r} cannot be its name; expected small letters, digits and single hyphens, such as my-{kind}",
            plugin=name,
            hook="new",
        )
    package, identifier = f"autotl-{name}", name.replace("-", "_")
    module = f"autotl_{identifier}"
    folder = Path(package) if folder is None else folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PluginError(
            f"{folder} is not empty; expected a new or empty folder; choose another --out",
            plugin=name,
            hook="new",
        )
    contents = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "LICENSE": "LICENSE",
        "tests/test_contract.py": "test_contract.py",
        f"{module}/__init__.py": f"{kind}.py",
    }
    if kind == "backbone":
        contents[f"{module}/net.py"] = "net.py"
    values = {
        "package": package, "name": name, "identifier": identifier, "module": module, "summary": KINDS[kind],
    }  # fmt: skip
    for path, template in contents.items():
        text = (files("autotl.testing") / "templates" / f"{template}.in").read_text(encoding="utf-8")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(text).substitute(values), encoding="utf-8")
    return folder
