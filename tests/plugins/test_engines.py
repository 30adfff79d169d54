"""The hook make_engine: which plugin makes the engine of a name, and what is said where none does."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import pytest

from autotl import testing
from autotl.errors import EngineError
from autotl.hookspecs import hookimpl
from autotl.plugins.manager import Plugins, load_plugins
from autotl.protocols import EngineCall
from autotl.records import Settings
from autotl.testing.discovery import Plugin
from autotl.testing.simulated_engine import TableClock, TableEngine


def call_of(name: str) -> EngineCall:
    return EngineCall(
        name=name, settings=Settings(), folder="/nowhere", cache=None, precision="auto", seed=0, slots=2
    )


def making(make: Any, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(__name__="farm", make_engine=hookimpl(make), **more)


def loaded(make: Any) -> Plugins:
    return load_plugins([making(make)], installed=False)


def table(call: EngineCall) -> TableEngine | None:
    if call.name != "farm":
        return None
    return TableEngine(call.folder, {}, TableClock(), slots=[1.0] * (call.slots or 1))


def test_a_plugin_makes_the_engine_of_its_name() -> None:
    plugins = loaded(table)
    assert len(plugins.make_engine(call_of("farm")).slots) == 2
    assert [(guest.plugin, guest.contributed) for guest in plugins.guests({})] == [("farm", ("engine",))]


def test_a_name_that_no_plugin_knows_is_one_line() -> None:
    with pytest.raises(EngineError, match=r"no engine 'frm'; expected local, ray, ray://HOST:PORT or"):
        loaded(table).make_engine(call_of("frm"))


def test_an_engine_that_lacks_something_is_refused_with_what_it_lacks() -> None:
    def broken(call: EngineCall) -> Any:
        return SimpleNamespace(slots=(), open=print)

    with pytest.raises(EngineError, match="without close, embed, embedding"):
        loaded(broken).make_engine(call_of("farm"))


def test_an_error_of_the_plugin_is_what_the_user_reads() -> None:
    def away(call: EngineCall) -> Any:
        raise EngineError("the farm does not answer; expected it at farm:80; start it")

    with pytest.raises(EngineError, match=r"^the farm does not answer"):
        loaded(away).make_engine(call_of("farm"))


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "ray" else find(name, *a)
    )
    with pytest.raises(
        EngineError, match=r"^the engine 'ray://far:1' needs Ray.*pip install 'autotl\[ray\]'$"
    ):
        load_plugins(installed=False).make_engine(call_of("ray://far:1"))


def test_the_contract_check_makes_and_closes_the_engine() -> None:
    def plugin(make: Any, **more: Any) -> Plugin:
        return Plugin(name="farm", value="farm", object=making(make, **more))

    testing.makes_engine(plugin(table, autotl_check_engine="farm"))
    with pytest.raises(testing.ContractError, match="expected None"):
        testing.makes_engine(plugin(lambda call: "an engine"))
    with pytest.raises(testing.ContractError, match="lacks close"):
        testing.makes_engine(
            plugin(lambda call: object() if call.name == "farm" else None, autotl_check_engine="farm")
        )
