"""The documentation names every hook with its exact arguments; what a plugin needs has a stable path."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from autotl import hookspecs, plugin
from autotl.plugins.loading import HOOKS, VERSION_NAME

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guide" / "plugins.md").read_text(encoding="utf-8")
API = (ROOT / "docs" / "reference" / "plugin-api.md").read_text(encoding="utf-8")
SOURCES = [
    *(ROOT / "plugins").glob("*/autotl_*.py"),
    *(ROOT / "plugins").glob("*/autotl_*/*.py"),
    ROOT / "docs" / "guide" / "plugins.md",
    ROOT / "examples" / "own_backbone.py",
]


def parameters(hook: str) -> list[str]:
    return list(inspect.signature(getattr(hookspecs, hook)).parameters)


def test_the_page_shows_every_hook_with_its_exact_arguments() -> None:
    shown = dict(re.findall(r"^```text\n(\w+)\((.*)\) -> ", API, re.MULTILINE))
    for hook in HOOKS:
        assert re.findall(r"(\w+): ", shown[hook]) == parameters(hook)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_docstring_of_a_hook_documents_each_argument(hook: str) -> None:
    text = inspect.getdoc(getattr(hookspecs, hook)) or ""
    documented = re.findall(r"^    (\w+): ", text.partition("Args:")[2].partition("Raises:")[0], re.MULTILINE)
    assert documented == parameters(hook)


def test_the_page_names_the_version_attribute_with_the_current_version() -> None:
    assert f"{VERSION_NAME} = {plugin.API_VERSION}\n" in PAGE


@pytest.mark.parametrize("page", ["plugin-records", "plugin-functions", "run-records"])
def test_every_field_of_a_record_has_a_meaning(page: str) -> None:
    text = (ROOT / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")
    assert text.count("| field |") >= 8
    assert not re.findall(r"^\| `(\w+)`.*\|  \|$", text, re.MULTILINE)


def test_every_name_of_the_stable_path_is_there() -> None:
    assert plugin.__all__ == sorted(
        plugin.__all__, key=lambda name: (name.upper() != name, name.lower() == name, name)
    )
    for name in plugin.__all__:
        assert getattr(plugin, name) is not None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_examples_import_from_the_stable_path_alone(path: Path) -> None:
    modules = re.findall(r"^(?:from|import) (autotl[\w.]*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(modules) <= {"autotl", "autotl.plugin"}
