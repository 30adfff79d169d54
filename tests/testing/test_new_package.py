"""A package that `autotl new` writes passes its own tests as it is."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from unittest import SkipTest

import pytest
from click.testing import CliRunner

from autotl import testing
from autotl.cli import main, new
from autotl.errors import DatasetError
from autotl.plugins.manager import load_plugins
from autotl.testing import new_package

KINDS = sorted(new_package.KINDS)


def test_the_command_offers_every_kind() -> None:
    assert set(new.KINDS) == set(new_package.KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_passes_its_contract(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["new", kind, f"my-{kind}"])
    assert done.exit_code == 0, done.output
    folder = tmp_path / f"autotl-my-{kind}"
    assert done.stdout.splitlines()[0] == f"Wrote autotl-my-{kind}"
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"pyproject.toml", "README.md", "LICENSE", "tests/test_contract.py"} < written
    made = testing.checks(str(folder))
    nouns = {"source": "plugin", "planner": "plugin", "tracker": "plugin"}
    assert any(check.subject.startswith(nouns.get(kind, kind)) for check in made)
    hook = {"source": "other_sources", "planner": "plans", "tracker": "observes"}.get(kind, "described")
    assert hook in {check.name for check in made}
    for check in made:
        try:
            check()
        except SkipTest:
            assert kind == "strategy" or check.name == "source_classifier"  # a strategy need not declare all


def test_a_new_source_keeps_declared_groups_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_package.write("source", "lines", tmp_path / "package")
    monkeypatch.syspath_prepend(str(folder))
    lines = tmp_path / "photos.lines.jsonl"
    rows = [{"path": f"{n}.jpg", "label": "ab"[n % 2], "person": f"p{n // 2}"} for n in range(4)]
    lines.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    reader = load_plugins([importlib.import_module("autotl_lines")], installed=False)
    data, plain = (reader.load_dataset(str(lines), given) for given in ({"group": "person"}, {}))
    assert data is not None and plain is not None and plain.group is None
    assert data.group is not None and data.group.tolist() == [0, 0, 1, 1]
    assert data.fingerprint != plain.fingerprint
    with pytest.raises(DatasetError, match=r"plugin 'autotl_lines' .* does not use --layout"):
        reader.load_dataset(str(lines), {"layout": "class"})


def test_its_own_tests_are_those_checks(tmp_path: Path) -> None:
    folder = new_package.write("score", "mine", tmp_path / "package")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": ":".join([str(folder), *filter(None, sys.path)])}
    done = subprocess.run(
        [*command, str(folder / "tests")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["autotl"] == {"mine": "autotl_mine"}


@pytest.mark.parametrize("name", ["My-Score", "-x", "a b", "a--b", "", "x_y"])
def test_a_name_that_cannot_be_one_is_refused(name: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["new", "score", "--out", str(tmp_path / "new"), "--", name])
    assert done.exit_code == 1 and "expected small letters" in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = CliRunner().invoke(main, ["new", "score", "mine", "--out", str(tmp_path)])
    assert done.exit_code == 1 and "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
