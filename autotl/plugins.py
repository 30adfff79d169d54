"""The plugin manager: finds plugins, calls each hook implementation alone, checks what comes back.

pluggy's own call stops at the first exception, so implementations are called one by one here: a
plugin that breaks is quarantined (its later hooks are not called), named, and the run goes on.
Built-ins register first; pluggy calls the latest registration first, so an installed plugin wins by
answering and yields by returning None.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from autotl import hookspecs
from autotl.errors import AutotlError, PluginError
from autotl.records import BackboneSpec, Dataset, Event, Profile, Ranking, Score, Settings, Strategy

GROUP = "autotl"
BUILTIN = (
    "autotl.builtin.data",
    "autotl.builtin.backbones",
    "autotl.builtin.strategies",
    "autotl.builtin.scores",
)
BUILTIN_NAMES = tuple(module.replace(".builtin", "") for module in BUILTIN)
CLASH = "a name taken twice"  # the one problem that does not put a plugin in quarantine
IMPORT_SECONDS = 10.0  # a guest that takes longer to import is named and left out

Named = TypeVar("Named", BackboneSpec, Strategy, Score)


@dataclass(slots=True)
class Plugins:
    """The registered plugins and what went wrong with some of them."""

    manager: pluggy.PluginManager
    problems: list[PluginError] = field(default_factory=list)

    def names(self) -> list[str]:
        """Names of the registered plugins, built-ins first."""
        return [name for name, _ in self.manager.list_name_plugin()]

    def backbones(self, profile: Profile | None, settings: Settings) -> dict[str, BackboneSpec]:
        """Every backbone the plugins contribute, by name."""
        return self._collect("register_backbones", BackboneSpec, profile=profile, settings=settings)

    def strategies(self, profile: Profile | None) -> dict[str, Strategy]:
        """Every strategy the plugins contribute, by name."""
        return self._collect("register_strategies", Strategy, profile=profile)

    def scores(self) -> dict[str, Score]:
        """Every transferability score the plugins contribute, by name."""
        return self._collect("register_scores", Score)

    def load_dataset(self, source: str, options: dict[str, str]) -> Dataset | None:
        """The first plugin's answer to a source. A `DatasetError` of a plugin is the user's to read."""
        for implementation in reversed(self.manager.hook.load_dataset.get_hookimpls()):
            arguments = {"source": source, "options": options}
            found = self._call("load_dataset", implementation, arguments, user_errors=True)
            if isinstance(found, Dataset):
                return found
            if found is not None:
                self._report(
                    "load_dataset",
                    implementation,
                    f"returned {type(found).__name__}, expected a Dataset or None",
                )
        return None

    def make_planner(self, profile: Profile, ranking: Ranking, seconds: float) -> Any:
        """The first planner a plugin offers, or None."""
        arguments = {"profile": profile, "ranking": ranking, "seconds": seconds}
        for implementation in reversed(self.manager.hook.make_planner.get_hookimpls()):
            planner = self._call("make_planner", implementation, arguments)
            if planner is None:
                continue
            if callable(getattr(planner, "ask", None)) and callable(getattr(planner, "tell", None)):
                return planner
            self._report("make_planner", implementation, "returned something without ask() and tell()")
        return None

    def notify(self, event: Event) -> None:
        """Hands an event to every observer; one that fails is reported once and not called again."""
        for implementation in self.manager.hook.on_event.get_hookimpls():
            self._call("on_event", implementation, {"event": event})

    def _collect(self, hook: str, kind: type[Named], **arguments: Any) -> dict[str, Named]:
        found: dict[str, tuple[str, Named]] = {}
        refused: set[str] = set()
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            for value in self._values(hook, implementation, kind, arguments):
                before = found.get(value.name)
                if before is None:
                    found[value.name] = (implementation.plugin_name, value)
                elif before[1] != value:
                    refused.add(value.name)
                    self._report(
                        CLASH,
                        implementation,
                        f"{value.name!r} is already what plugin {before[0]!r} calls something else;"
                        " neither is used: rename one of them or uninstall a plugin",
                    )
        return {name: value for name, (_, value) in found.items() if name not in refused}

    def _values(
        self, hook: str, implementation: Any, kind: type[Named], arguments: dict[str, Any]
    ) -> list[Named]:
        def listed(**given: Any) -> list[Any]:
            answer = implementation.function(*(given[name] for name in implementation.argnames))
            return [] if answer is None else list(answer)  # a generator runs here, inside the guard

        values = self._call(hook, implementation, arguments, function=listed) or []
        wrong = [value for value in values if not isinstance(value, kind)]
        if wrong:
            self._report(hook, implementation, f"returned {wrong[0]!r:.80}, expected {kind.__name__} values")
        return [value for value in values if isinstance(value, kind)]

    def _call(
        self,
        hook: str,
        implementation: Any,
        arguments: dict[str, Any],
        function: Callable[..., Any] | None = None,
        user_errors: bool = False,
    ) -> Any:
        if any(known.plugin == implementation.plugin_name for known in self.problems if known.hook != CLASH):
            return None  # in quarantine
        try:
            if function is not None:
                return function(**arguments)
            return implementation.function(*(arguments[name] for name in implementation.argnames))
        except AutotlError as error:
            if user_errors:
                raise
            self._report(hook, implementation, str(error))
        except Exception as error:  # whatever a guest raises must not end the run
            self._report(hook, implementation, f"raised {type(error).__name__}: {error}")
        return None

    def _report(self, hook: str, implementation: Any, message: str) -> None:
        self.problems.append(PluginError(message, plugin=implementation.plugin_name, hook=hook))


def load_plugins(extra: Sequence[object] = ()) -> Plugins:
    """Built-ins, then what the entry-point group ``autotl`` names, then `extra` objects.

    ``AUTOTL_PLUGINS=0`` leaves the entry points out. A plugin that cannot be imported, misspells a hook
    or hangs at import is reported in `Plugins.problems`.
    """
    manager = pluggy.PluginManager("autotl")
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager=manager)
    for module, name in zip(BUILTIN, BUILTIN_NAMES, strict=True):
        manager.register(importlib.import_module(module), name=name)
    if os.environ.get("AUTOTL_PLUGINS") != "0":
        for point in _unique(entry_points(group=GROUP)):
            _register(plugins, point.name, partial(_import, point))
    for guest in extra:
        _register(plugins, getattr(guest, "__name__", type(guest).__name__), partial(_itself, guest))
    return plugins


def _itself(guest: object) -> object:
    return guest


def _unique(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    return list({(point.name, point.value): point for point in points}.values())


def _register(plugins: Plugins, name: str, find: Callable[[], object]) -> None:
    if plugins.manager.has_plugin(name):
        plugins.problems.append(PluginError("another plugin has that name", plugin=name, hook="import"))
        return
    try:
        guest = find()
        if isinstance(guest, type):
            raise TypeError("the entry point names a class; name a module or an instance")
        plugins.manager.register(guest, name=name)
        _check_hooks(plugins.manager, guest, name)
    except Exception as error:  # import errors of every kind, pluggy's validation
        if not isinstance(error, PluginError):
            error = PluginError(f"{type(error).__name__}: {error}", plugin=name, hook="import")
        plugins.problems.append(error)
        if plugins.manager.has_plugin(name):
            plugins.manager.unregister(name=name)


def _check_hooks(manager: pluggy.PluginManager, guest: object, name: str) -> None:
    known = {hook for hook in vars(hookspecs) if getattr(getattr(hookspecs, hook), "autotl_spec", None)}
    marked = [
        attr for attr in dir(guest) if getattr(getattr(guest, attr, None), "autotl_impl", None) is not None
    ]
    unknown = [attr for attr in marked if attr not in known]
    if unknown:
        raise PluginError(
            f"there is no hook of that name; hooks are: {', '.join(sorted(known))}",
            plugin=name,
            hook=unknown[0],
        )
    if not marked:
        raise PluginError("no function is marked with @hookimpl", plugin=name, hook="import")


def _import(point: EntryPoint) -> object:
    """Imports an entry point under a watchdog: a thread that hangs is left behind, and named."""
    box: list[object] = []
    failure: list[BaseException] = []

    def load() -> None:
        try:
            box.append(point.load())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=load, daemon=True, name=f"import {point.value}")
    thread.start()
    thread.join(IMPORT_SECONDS)
    if thread.is_alive():
        raise PluginError(
            f"import of {point.value} took over {IMPORT_SECONDS:g} s", plugin=point.name, hook="import"
        )
    if failure:
        raise PluginError(f"{type(failure[0]).__name__}: {failure[0]}", plugin=point.name, hook="import")
    return box[0]
