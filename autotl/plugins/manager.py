"""The plugin manager: registers plugins, calls each hook implementation alone, checks what it returns.

pluggy's own call stops at the first exception, so this module calls the implementations one by one. A plugin
that breaks (raises, returns an invalid value, takes too long) is quarantined: its later hooks are not called, the
run names it and goes on. Built-in plugins register first; pluggy calls the latest registration first, so an
installed plugin comes before them and passes by returning None.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from autotl import hookspecs
from autotl.errors import PluginError
from autotl.plugins import loading, validation
from autotl.plugins.checked_planner import CheckedPlanner
from autotl.plugins.sandbox import CLASH, LOAD_SECONDS, Sandbox
from autotl.protocols import CostModel, Planner, PlannerFacts
from autotl.records import BackboneSpec, Dataset, Event, Profile, Ranking, Score, Settings, Strategy

GROUP = "autotl"
BUILTIN = (
    "autotl.builtin.sources",
    "autotl.builtin.backbones",
    "autotl.builtin.strategies",
    "autotl.builtin.scores",
)
BUILTIN_NAMES = tuple(module.replace(".builtin", "") for module in BUILTIN)
SWITCH = (
    "AUTOTL_PLUGINS"  # 0: built-in plugins only; otherwise modules that are plugins without being installed
)

Named = TypeVar("Named", BackboneSpec, Strategy, Score)


@dataclass(slots=True)
class Plugins:
    """The registered plugins and the problems with some of them."""

    manager: pluggy.PluginManager
    sandbox: Sandbox
    _scores: dict[str, str] = field(default_factory=dict)  # the plugin that registered each score

    @property
    def problems(self) -> list[PluginError]:
        """Return the problems so far, in the order in which they occurred."""
        return self.sandbox.problems

    def names(self) -> list[str]:
        """Return the names of the registered plugins, built-in ones first."""
        return [name for name, _ in self.manager.list_name_plugin()]

    def hooks(self, name: str) -> list[str]:
        """Return the hooks that a registered plugin implements."""
        callers = self.manager.get_hookcallers(self.manager.get_plugin(name))
        return sorted(caller.name for caller in callers or ())

    def quarantined(self, name: str) -> bool:
        """Return whether a plugin broke its contract, so that it is not called any more."""
        return self.sandbox.quarantined(name)

    def backbones(self, profile: Profile | None, settings: Settings) -> dict[str, BackboneSpec]:
        """Return every backbone that the plugins register, by name."""
        return self._collect("register_backbones", BackboneSpec, profile=profile, settings=settings)

    def strategies(self, profile: Profile | None) -> dict[str, Strategy]:
        """Return every strategy that the plugins register, by name."""
        return self._collect("register_strategies", Strategy, profile=profile)

    def scores(self) -> dict[str, Score]:
        """Return every transferability score that the plugins register, by name."""
        return self._collect("register_scores", Score)

    def load_dataset(self, source: str, options: dict[str, str]) -> Dataset | None:
        """Return the first plugin's dataset for a source. Raises the `DatasetError` that a plugin raises."""
        arguments = {"source": source, "options": options}
        for implementation in self._latest_first("load_dataset"):
            dataset = self._ask("load_dataset", implementation, arguments, LOAD_SECONDS, user_errors=True)
            if dataset is None:
                continue
            problem = f"{type(dataset).__name__}, expected a Dataset or None"
            if isinstance(dataset, Dataset):
                flaw = validation.flaw(dataset)
                if flaw is None:
                    return dataset
                problem = flaw
            self._report("load_dataset", implementation, f"of what it returned for {source}: {problem}")
        return None

    def make_planner(
        self,
        profile: Profile,
        ranking: Ranking,
        seconds: float,
        *,
        strategies: Mapping[str, Strategy],
        facts: PlannerFacts,
        costs: CostModel,
        default: Planner,
    ) -> Planner:
        """Return the first planner that a plugin makes, checked at every call, or `default`."""
        arguments = {
            "profile": profile,
            "ranking": ranking,
            "seconds": seconds,
            "strategies": tuple(strategies.values()),
            "facts": facts,
            "costs": costs,
        }
        for implementation in self._latest_first("make_planner"):
            planner = self._ask("make_planner", implementation, arguments)
            if planner is None:
                continue
            if callable(getattr(planner, "ask", None)) and callable(getattr(planner, "tell", None)):
                return CheckedPlanner(
                    sandbox=self.sandbox,
                    plugin=implementation.plugin_name,
                    planner=planner,
                    default=default,
                    ranked={(entry.backbone, entry.input_size) for entry in ranking.ranked},
                    strategies=set(strategies),
                )
            self._report("make_planner", implementation, "returned something without ask() and tell()")
        return default

    def compute(self, score: Score, function: Callable[[], float]) -> float | None:
        """Call a score's function for the plugin that registered the score; return None when that fails."""
        plugin = self._scores.get(score.name)
        if plugin is None:  # no hook registered it: an exception is its caller's
            return function()
        return self.sandbox.call(f"score {score.name}", plugin, function)  # type: ignore[no-any-return]

    def notify(self, event: Event) -> None:
        """Pass an event to every observer; one that fails is reported once and not called again."""
        for implementation in self.manager.hook.on_event.get_hookimpls():
            self._ask("on_event", implementation, {"event": event})

    def _collect(self, hook: str, kind: type[Named], **arguments: Any) -> dict[str, Named]:
        values: dict[str, tuple[str, Named]] = {}
        refused: set[str] = set()
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            for value in self._values(hook, implementation, kind, arguments):
                plugin, earlier = values.setdefault(value.name, (implementation.plugin_name, value))
                if earlier != value:
                    refused.add(value.name)
                    self._report(
                        CLASH,
                        implementation,
                        f"plugin {plugin!r} registers something else as {value.name!r};"
                        " neither is used: rename one of them or uninstall a plugin",
                    )
        if kind is Score:
            self._scores = {name: plugin for name, (plugin, _) in values.items()}
        return {name: value for name, (_, value) in values.items() if name not in refused}

    def _values(
        self, hook: str, implementation: Any, kind: type[Named], arguments: dict[str, Any]
    ) -> list[Named]:
        def listed() -> list[Any]:
            answer = loading.run(implementation, arguments)
            return [] if answer is None else list(answer)  # a generator runs here, inside the sandbox

        valid: list[Named] = []
        for value in self.sandbox.call(hook, implementation.plugin_name, listed) or []:
            flaw: str | None = f"expected {kind.__name__} values"
            if isinstance(value, kind):
                flaw = validation.flaw(value)
                if flaw is None:
                    valid.append(value)
                    continue
            name = getattr(value, "name", value)
            self._report(hook, implementation, f"returned {name!r:.80}: {flaw}")
        return valid

    def _ask(
        self,
        hook: str,
        implementation: Any,
        arguments: dict[str, Any],
        seconds: float | None = None,
        *,
        user_errors: bool = False,
    ) -> Any:
        function = partial(loading.run, implementation, arguments)
        return self.sandbox.call(hook, implementation.plugin_name, function, seconds, user_errors=user_errors)

    def _latest_first(self, hook: str) -> list[Any]:
        return getattr(self.manager.hook, hook).get_hookimpls()[::-1]  # type: ignore[no-any-return]

    def _report(self, hook: str, implementation: Any, message: str) -> None:
        self.sandbox.report(hook, implementation.plugin_name, message)


def load_plugins(extra: Sequence[object] | Mapping[str, object] = (), *, installed: bool = True) -> Plugins:
    """Register the built-in plugins, then those of the entry-point group ``autotl``, then `extra`.

    `extra` holds plugin objects, or objects by name. The environment variable ``AUTOTL_PLUGINS`` names further
    modules (with commas between them) that are plugins without being installed; ``0``, as `installed=False`,
    leaves all but the built-in plugins and `extra` out. A plugin that cannot be imported in time, misspells a hook or
    is written for another version of the plugin API is reported in `Plugins.problems`.
    """
    manager = pluggy.PluginManager("autotl")
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager, Sandbox(trusted=BUILTIN_NAMES))
    for module, name in zip(BUILTIN, BUILTIN_NAMES, strict=True):
        manager.register(importlib.import_module(module), name=name)
    switch = os.environ.get(SWITCH, "")
    if installed and switch != "0":
        modules = [name for name in map(str.strip, switch.split(",")) if name]
        named = [EntryPoint(name=module, value=module, group=GROUP) for module in modules]
        for point in loading.unique([*entry_points(group=GROUP), *named]):
            thread = plugins.sandbox.thread(point.name)
            _register(plugins, point.name, partial(loading.import_plugin, point, thread))
    objects = extra.items() if isinstance(extra, Mapping) else [(loading.name_of(p), p) for p in extra]
    for name, plugin in objects:
        _register(plugins, name, partial(loading.check_instance, plugin))
    return plugins


def _register(plugins: Plugins, name: str, find: Callable[[], object]) -> None:
    manager = plugins.manager
    if manager.has_plugin(name):
        plugins.sandbox.report(CLASH, name, "another plugin has this name and is used")
        return
    try:
        plugin = loading.check_instance(find())
        loading.check_version(plugin, name)
        manager.register(plugin, name=name)
        loading.check_hooks(plugin, name)
    except Exception as error:  # import errors of every kind, pluggy's validation
        if not isinstance(error, PluginError):
            error = PluginError(f"{type(error).__name__}: {error}", plugin=name, hook="import")
        plugins.problems.append(error)
        if manager.has_plugin(name):
            manager.unregister(name=name)
