"""Plugins: built-ins and guests through the same hooks, and what happens when a guest is broken."""

from __future__ import annotations

import sys
import textwrap
import time
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from autotl import plugins as plugins_module
from autotl.errors import DatasetError
from autotl.hookspecs import hookimpl
from autotl.plugins import load_plugins
from autotl.records import BackboneSpec, Event, Settings, Strategy

SPEC = BackboneSpec(name="mine:net", build="mine:build")


def guest(**functions: object) -> SimpleNamespace:
    marked = {
        name: hookimpl(function) if callable(function) else function for name, function in functions.items()
    }
    return SimpleNamespace(__name__="guest", **marked)


def test_builtins_answer_every_listing_hook() -> None:
    loaded = load_plugins()
    assert not loaded.problems
    assert {"linear_probe", "knn", "fine_tune", "lp_ft"} <= set(loaded.strategies(None))
    assert {"linear", "knn", "logme"} <= set(loaded.scores())


def test_a_guest_adds_a_backbone() -> None:
    loaded = load_plugins([guest(register_backbones=lambda profile, settings: [SPEC])])
    assert loaded.backbones(None, Settings())["mine:net"] == SPEC


def test_a_guest_that_raises_is_named_and_the_others_go_on() -> None:
    def broken(profile: object) -> list[Strategy]:
        raise RuntimeError("boom")

    loaded = load_plugins([guest(register_strategies=broken)])
    assert "linear_probe" in loaded.strategies(None)
    (problem,) = loaded.problems
    assert problem.plugin == "guest" and problem.hook == "register_strategies" and "boom" in str(problem)


def test_a_broken_guest_is_not_called_again() -> None:
    calls = []

    def broken(event: Event) -> None:
        calls.append(event)
        raise ValueError("no")

    loaded = load_plugins([guest(on_event=broken)])
    for _ in range(3):
        loaded.notify(Event(time=0.0, stage="x", message="y"))
    assert len(calls) == 1


def test_nonsense_is_refused_at_the_border() -> None:
    loaded = load_plugins([guest(register_backbones=lambda profile, settings: [SPEC, "resnet18"])])
    assert "mine:net" in loaded.backbones(None, Settings())
    assert "expected BackboneSpec" in str(loaded.problems[0])


def test_one_name_for_two_things_is_used_by_neither() -> None:
    other = guest(register_strategies=lambda profile: [Strategy(name="linear_probe", summary="another")])
    loaded = load_plugins([other])
    assert "linear_probe" not in loaded.strategies(None)
    assert "linear_probe" in str(loaded.problems[0])


def test_a_misspelt_hook_is_named() -> None:
    loaded = load_plugins([guest(register_backbone=lambda profile, settings: [SPEC])])
    (problem,) = loaded.problems
    assert problem.hook == "register_backbone" and "register_backbones" in str(problem)
    assert "mine:net" not in loaded.backbones(None, Settings())


def test_a_dataset_error_of_a_guest_reaches_the_user() -> None:
    def reads(source: str, options: dict[str, str]) -> None:
        raise DatasetError("mine, and unreadable")

    with pytest.raises(DatasetError, match="mine, and unreadable"):
        load_plugins([guest(load_dataset=reads)]).load_dataset("x", {})


def test_a_guest_wins_by_answering_and_yields_by_returning_none(tmp_path: Path) -> None:
    loaded = load_plugins([guest(make_planner=lambda profile, ranking, seconds: None)])
    assert loaded.make_planner(None, None, 1.0) is None  # type: ignore[arg-type]
    planner = SimpleNamespace(ask=lambda seconds: None, tell=lambda result: None)
    loaded = load_plugins([guest(make_planner=lambda profile, ranking, seconds: planner)])
    assert loaded.make_planner(None, None, 1.0) is planner  # type: ignore[arg-type]


@pytest.fixture
def entry_point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(source: str, name: str = "guest_module") -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        point = EntryPoint(name=name, value=name, group="autotl")
        monkeypatch.setattr(plugins_module, "entry_points", lambda group: [point])
        sys.modules.pop(name, None)

    return install


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("import no_such_module_here", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("def f(: pass", "SyntaxError"),
        ("x = 1", "hookimpl"),
    ],
)
def test_a_guest_that_cannot_be_imported_is_named(entry_point, source: str, word: str) -> None:  # type: ignore[no-untyped-def]
    entry_point(source)
    loaded = load_plugins()
    assert "linear_probe" in loaded.strategies(None)
    (problem,) = loaded.problems
    assert problem.plugin == "guest_module" and word in str(problem)


def test_a_guest_that_hangs_at_import_is_named(entry_point, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(plugins_module, "IMPORT_SECONDS", 0.2)
    entry_point("import time\ntime.sleep(3)")
    start = time.monotonic()
    loaded = load_plugins()
    assert time.monotonic() - start < 2.0
    assert "took over" in str(loaded.problems[0])


def test_guests_can_be_switched_off(entry_point, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    entry_point("raise RuntimeError('never imported')")
    monkeypatch.setenv("AUTOTL_PLUGINS", "0")
    assert not load_plugins().problems


def test_a_class_as_plugin_is_explained() -> None:
    class Guest(ModuleType):
        pass

    (problem,) = load_plugins([Guest]).problems
    assert "names a class" in str(problem)
