"""Tests read public names only: of autotl, of its plugins, and of each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted([*ROOT.glob("tests/**/*.py"), *ROOT.glob("plugins/*/tests/**/*.py")])
# A private name that a test reads, and why no public one would do.
REASONS = {
    "_repr_html_": "IPython's protocol: the name is its public one",
    "_hub_dir": "torch has no public way to undo torch.hub.set_dir",
    "_forward_hooks": "torch has no public list of a module's hooks",
    "_forward_pre_hooks": "as _forward_hooks",
    "_exit": "os has no public name for an end without what its parent registered for its own",
}


def _is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__")) and name != "_"


def private_names(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of each private name that is imported, read from or patched into something else."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names if node.module != "__future__"]
        elif isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
            names = [] if own else [node.attr]
        elif isinstance(node, ast.Call) and _called(node) in {"setattr", "getattr", "delattr", "patch"}:
            texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            names = [text.rpartition(".")[2] for text in texts[:1]]
        else:
            continue
        yield from ((node.lineno, name) for name in names if _is_private(name))


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from autotl.engine.groups import _partition", ["_partition"]),
        ("engine._train()", ["_train"]),
        ("patch.setattr(trial, '_collapsed', None)", ["_collapsed"]),
        ("patch.setattr('autotl.engine.trial._collapsed', None)", ["_collapsed"]),
        ("self._rest = model.__class__", []),
        ("from __future__ import annotations", []),
    ],
)
def test_private_names_are_found(source: str, names: list[str]) -> None:
    assert [name for _, name in private_names(source)] == names


def test_tests_read_public_names_only() -> None:
    used = [
        (f"{path.relative_to(ROOT)}:{line}", name)
        for path in FILES
        for line, name in private_names(path.read_text(encoding="utf-8"))
    ]
    assert not [f"{where} {name}" for where, name in used if name not in REASONS]
    assert {name for _, name in used} == set(REASONS), "a reason that no test needs is deleted"
