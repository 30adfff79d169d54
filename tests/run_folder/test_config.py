"""config.toml gives the same options again, and refuses what is no option by name."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from autotl.cli import main
from autotl.errors import AutotlError
from autotl.options import DEFAULTS, DEFINITIONS, Options, options_from
from autotl.run_folder import config

ODD = 'a "b"\\c\n\t\x7f é 漢 #'


def filled(folder: Path) -> Options:
    """Options none of which is at its default."""
    (folder / "weights").mkdir()
    (folder / "weights, too").mkdir()
    (folder / ODD.replace("/", "")).mkdir()
    given: dict[str, Any] = {
        "budget": 90.5, "out": "runs/x", "test": str(folder / "weights"), "test_size": 0.25,
        "weights": (str(folder / "weights"), str(folder / "weights, too")), "backbones": ("timm:*", "a"),
        "strategies": ("knn",), "scores": ("logme",), "group": r"/(s\d+)_", "no_auto_group": True, "path": ODD,
        "label": ("y", "z, too"), "split": "part", "root": str(folder / ODD), "encoding": "cp1252", "layout": "class",
        "include": ("masks",), "ignore_case": True, "target": "multiclass", "metric": "macro_f1", "prefer": "speed",
        "max_params": 5_000_000, "max_latency": 0.01, "max_memory": 10**9, "licence": ("permissive", "MIT"),
        "device": "cpu", "precision": "fp32", "seed": 7, "offline": True, "refit": True, "history": "past.jsonl",
    }  # fmt: skip
    given |= {"unlabelled": str(folder / "weights"), "related": str(folder / "weights"), "weight": "trust"}
    given |= {"distil_into": "b", "sample": 9, "domain": "site"}
    given |= {"engine": "ray", "slots": 2}
    for name, definition in DEFINITIONS.items():  # options that are newer than this list
        other = [choice for choice in definition.choices if choice != DEFAULTS[name]] or [True]
        given.setdefault(name, other[0])
    options = Options(source=str(folder / ODD), **given)
    same = [name for name in DEFINITIONS if getattr(options, name) == DEFAULTS[name]]
    assert same == []
    return options


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """What the command line asks `autotl.recommend` for."""
    calls: list[Options] = []

    def recommend(
        source: str, budget: float, *, observers: Any, command: str, started: float, **given: Any
    ) -> None:
        calls.append(options_from(source, budget, given))
        raise AutotlError("enough")

    monkeypatch.setattr("autotl.run.recommend", recommend)
    return calls


def call(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["run", *arguments])


def test_a_file_gives_the_options_that_it_was_written_from(tmp_path: Path, asked: list[Options]) -> None:
    for options in (filled(tmp_path), Options(source="photos")):
        config.write(options, tmp_path)
        call("--config", str(tmp_path / config.FILE))
        assert asked[-1] == replace(options, out=None)


def test_the_command_line_replaces_what_the_file_says(tmp_path: Path, asked: list[Options]) -> None:
    config.write(filled(tmp_path), tmp_path)
    file = str(tmp_path / config.FILE)
    call("other", "--config", file, "--budget", "5m", "--backbones", "b", "--out", "here")
    assert asked[-1].source == "other" and asked[-1].budget == 300
    assert asked[-1].backbones == ("b",) and asked[-1].out == "here"
    assert asked[-1].seed == 7
    call("--config", file, "third")
    assert asked[-1].source == "third"


def test_a_file_by_hand_has_units_hyphens_and_single_texts(tmp_path: Path, asked: list[Options]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'data = "photos"\nbudget = "10m"\ntest-size = 0\nmax_params = "5M"\nmax-latency = "10ms"\n'
        'backbones = "timm:a,timm:b"\n'
    )
    call("--config", str(file))
    (options,) = asked
    assert (options.budget, options.test_size, options.max_params) == (600.0, 0.0, 5_000_000)
    assert options.max_latency == pytest.approx(0.01)
    assert options.backbones == ("timm:a", "timm:b")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('budgets = "10m"', "'budgets' in FILE is not an option; did you mean 'budget'?"),
        ("test-sizes = 0.1", "did you mean 'test_size'?"),
        ('command = "x"', "is not an option"),
        ("[budget]\na = 1", "expected a number, or a text with a unit"),
        ('offline = "yes"', "'offline' in FILE is 'yes'; expected true or false"),
        ("seed = true", "expected a whole number"),
        ("backbones = [1, 2]", "expected a list of texts"),
        ("test-size = 0.1\ntest_size = 0.2", "stands twice"),
        ("budget = ", "is no TOML"),
    ],
)
def test_what_is_no_option_is_refused_by_name(
    tmp_path: Path, asked: list[Options], line: str, words: str
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'data = "photos"\n{line}\n')
    found = call("--config", str(file))
    assert found.exit_code == 2 and not asked
    assert words.replace("FILE", str(file)) in " ".join(found.output.split())


def test_a_value_out_of_range_is_refused_as_on_the_command_line(tmp_path: Path, asked: list[Options]) -> None:
    file = tmp_path / "c.toml"
    file.write_text('data = "photos"\ntest_size = 1.5\n')
    found = call("--config", str(file))
    assert found.exit_code == 2 and "--test-size" in found.output and not asked


def test_a_config_is_of_a_new_run(tmp_path: Path, asked: list[Options]) -> None:
    config.write(Options(source="photos"), tmp_path)
    found = call("--config", str(tmp_path / config.FILE), "--continue", str(tmp_path))
    assert found.exit_code == 2 and "cannot be combined with --continue" in found.output


def test_every_option_stands_in_the_file_given_or_as_a_comment() -> None:
    written = config.text(Options(source="photos"))
    assert tomllib.loads(written)["data"] == "photos"
    names = {item.name for item in fields(Options)} - {"source", "out", "more", "command"}
    for name in names:
        assert any(line.startswith((f"{name} = ", f"# {name}: ")) for line in written.splitlines()), name


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux alone")
def test_a_path_that_is_no_text_comes_back(tmp_path: Path) -> None:
    name = b"\xff photos".decode("utf-8", "surrogateescape")
    config.write(Options(source=name), tmp_path)
    assert config.read(tmp_path / config.FILE)["source"] == name
