"""Imports form no circle, those for type checkers included; one function writes percentages."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "autotl"


def test_no_module_imports_itself_through_others() -> None:
    graph = grimp.build_graph("autotl", exclude_type_checking_imports=False)
    imports = {
        module: {
            imported
            for imported in graph.find_modules_directly_imported_by(module)
            if imported.startswith("autotl.")  # `autotl` itself lists its public names for type checkers
        }
        for module in graph.modules
        if module != "autotl"
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        raise AssertionError(f"circle of imports: {' → '.join(error.args[1])}") from None


@pytest.mark.parametrize("package", ["report", "cli", "progress"])
def test_percentages_are_written_by_one_function(package: str) -> None:
    """``percent`` alone: with another beside it one page has two forms, or a score that is rounded to 100%."""
    for path in (PACKAGE / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.unparse(node) if isinstance(node, (ast.FormattedValue, ast.JoinedStr)) else ""
            assert path.name == "format.py" or not re.search(r":\.?\d*%\}|\}\s?%", text), f"{path}: {text}"
