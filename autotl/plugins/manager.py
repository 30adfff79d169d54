"""The plugin manager: registers plugins, calls each hook implementation alone, checks what it returns.

pluggy's own call stops at the first exception, so this module calls the implementations one by one. A plugin
that breaks (raises, returns an invalid value, takes too long) is quarantined: its later hooks are not called, the
run names it and goes on. Built-in plugins register first; pluggy calls the latest registration first, so an
installed plugin comes before them and passes by returning None.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, TypeVar

import pluggy

from autotl import hookspecs
from autotl.errors import DatasetError, EngineError, PluginError
from autotl.options import READ_BESIDE
from autotl.plugins import first_import, loading, validation
from autotl.plugins.checked_planner import CheckedPlanner, for_guest
from autotl.plugins.given_options import GivenOptions, require_used
from autotl.plugins.observers import Observers
from autotl.plugins.provenance import READER
from autotl.plugins.sandbox import CLASH, ENGINE_SECONDS, LOAD_SECONDS, Sandbox
from autotl.protocols import Engine, EngineCall, ListingCall, PlannerCall, SourceCall
from autotl.records import BackboneSpec, Dataset, Event, Profile, Score, Settings, Strategy
from autotl.records.result import Guest

GROUP = "autotl"
BUILTIN = (
    "autotl.builtin.sources",
    "autotl.builtin.backbones",
    "autotl.builtin.strategies",
    "autotl.builtin.scores",
    "autotl.builtin.engines",
)
BUILTIN_NAMES = tuple(module.replace(".builtin", "") for module in BUILTIN)
SWITCH = (
    "AUTOTL_PLUGINS"  # 0: built-in plugins only; otherwise modules that are plugins without being installed
)

# Arguments of make_planner by name, as of version 1 of the API: what came later is in `call` alone.
VERSION_1 = ("profile", "ranking", "seconds", "strategies", "facts", "costs")
OWN_PREFIXES = ("autotl:", "timm:", "torchvision:")  # of the names of backbones
NOUNS = {"register_backbones": "backbone", "register_strategies": "strategy", "register_scores": "score"}

Named = TypeVar("Named", BackboneSpec, Strategy, Score)


@dataclass(slots=True)
class Plugins:
    """The registered plugins and the problems with some of them."""

    manager: pluggy.PluginManager
    sandbox: Sandbox
    origins: dict[str, tuple[str, str]] = field(default_factory=dict)  # package and version of each guest
    _observers: Observers | None = None
    _did: dict[str, str] = field(default_factory=dict)  # plugin that read the data, and that planned
    _owners: dict[str, dict[str, str]] = field(default_factory=dict)  # plugin of each name, by hook

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
        call = ListingCall(profile=profile, settings=settings)
        return self._collect(
            "register_backbones", BackboneSpec, call=call, profile=profile, settings=settings
        )

    def strategies(self, profile: Profile | None) -> dict[str, Strategy]:
        """Return every strategy that the plugins register, by name."""
        call = ListingCall(profile=profile, settings=Settings())
        return self._collect("register_strategies", Strategy, call=call, profile=profile)

    def scores(self) -> dict[str, Score]:
        """Return every transferability score that the plugins register, by name."""
        return self._collect("register_scores", Score, call=ListingCall(profile=None, settings=Settings()))

    @property
    def guest_readers(self) -> bool:
        """Return whether a plugin beside autotl's own reads sources."""
        return any(one.plugin_name not in BUILTIN_NAMES for one in self._latest_first("load_dataset"))

    def load_dataset(
        self, source: str, options: dict[str, str], *, guests_only: bool = False
    ) -> Dataset | None:
        """Return the first plugin's dataset for a source; with `guests_only`, autotl's own readers are not asked.

        Raises the `DatasetError` that a plugin raises. Where plugins broke before it, the message begins with them.
        Raises `DatasetError`, too, when the plugin whose source it is never read one of the `options`.
        """
        before = len(self.problems)
        for implementation in self._latest_first("load_dataset"):
            if guests_only and implementation.plugin_name in BUILTIN_NAMES:
                continue
            given = GivenOptions(options)  # for each plugin its own: what another one read has no effect
            call = SourceCall(source=source, options=MappingProxyType(given))
            arguments = {"call": call, "source": source, "options": given}
            try:
                dataset = self._ask("load_dataset", implementation, arguments, LOAD_SECONDS, user_errors=True)
            except DatasetError as error:
                broken = [str(problem) for problem in self.problems[before:]]
                if not broken:
                    raise
                advice = "correct or uninstall the plugin, if the data are not its own"
                raise DatasetError(f"{'; '.join(broken)}; {advice}. Without it: {error}") from error
            if dataset is None:
                continue
            problem = f"{type(dataset).__name__}, expected a Dataset or None"
            if isinstance(dataset, Dataset):
                flaw = validation.flaw(dataset)
                if flaw is None:
                    if implementation.plugin_name not in BUILTIN_NAMES:
                        own = [name for name in options if name not in READ_BESIDE]
                        require_used(implementation.plugin_name, source, own, given.read)
                    self._did[READER] = implementation.plugin_name
                    return dataset
                problem = flaw
            self._report("load_dataset", implementation, f"of what it returned for {source}: {problem}")
        return None

    def make_planner(self, call: PlannerCall) -> CheckedPlanner | None:
        """Return the first planner that a plugin makes, checked at every call; None where none makes one.

        The other plugins are asked as well: each that makes a planner, too, is named, with the one that is used.
        """
        used: CheckedPlanner | None = None
        for implementation in self._latest_first("make_planner"):
            name = implementation.plugin_name
            own, default = for_guest(call, partial(self.sandbox.quarantined, name))
            arguments = {field: getattr(own, field) for field in VERSION_1} | {"call": own}
            planner = self._ask("make_planner", implementation, arguments)
            if planner is None:
                continue
            if not (callable(getattr(planner, "ask", None)) and callable(getattr(planner, "tell", None))):
                self._report("make_planner", implementation, "returned something without ask() and tell()")
            elif used is None:
                self._did["planner"] = name
                used = CheckedPlanner(
                    sandbox=self.sandbox, plugin=name, planner=planner, call=own, default=default
                )
            else:
                text = f"it plans, and plugin {used.plugin!r} plans too and is used; expected one; uninstall the other"
                self.sandbox.name("make_planner", name, text)
        return used

    def make_engine(self, call: EngineCall) -> Engine:
        """Return the engine of a name. Raises `EngineError` when no plugin makes it, or the one that does cannot."""
        before = len(self.problems)
        for implementation in self._latest_first("make_engine"):
            if implementation.plugin_name in BUILTIN_NAMES:  # an error that is not the user's is ours
                engine = loading.run(implementation, {"call": call})
            else:
                engine = self._ask(
                    "make_engine", implementation, {"call": call}, ENGINE_SECONDS, user_errors=True
                )
            if engine is None:
                continue
            lacking = validation.lacking(engine, Engine)
            if lacking:
                self._report(
                    "make_engine", implementation, f"returned an engine without {', '.join(lacking)}"
                )
                continue
            self._did["engine"] = implementation.plugin_name
            return engine  # type: ignore[no-any-return]
        broken = "".join(f"; {problem}" for problem in self.problems[before:])
        raise EngineError(
            f"no engine {call.name!r}; expected local, ray, ray://HOST:PORT or the engine of an installed plugin{broken}"
        )

    def compute(self, score: Score, function: Callable[[], float]) -> float | None:
        """Call a score's function for the plugin that registered the score, and raise what it raises.

        Returns None when the plugin is in quarantine, or when this call takes too long and puts it there.
        """
        plugin = self.owner("register_scores", score.name)
        if plugin is None:  # no hook registered it
            return function()
        return self.sandbox.attempt(f"score {score.name}", plugin, function)  # type: ignore[no-any-return]

    def worth(
        self, strategy: Strategy, profile: Profile, backbone: BackboneSpec, seconds: float | None
    ) -> bool:
        """Return whether a strategy's own function would try it on a backbone; True where it has none.

        Raises `Declined` as the function does. One that raises something else puts its plugin in quarantine, and its
        strategy is not tried.
        """
        if strategy.worth is None:
            return True
        ask = partial(_call, strategy.worth, profile, backbone, seconds)
        plugin = self.owner("register_strategies", strategy.name)
        if plugin is None:  # no hook registered it
            return bool(ask())
        return bool(self.sandbox.call(f"strategy {strategy.name}", plugin, ask, user_errors=True))

    def owner(self, hook: str, name: str) -> str | None:
        """Return the plugin that registered a name through a hook, None when no plugin did."""
        return self._owners.get(hook, {}).get(name)

    def is_guests(self, hook: str, name: str) -> bool:
        """Return whether a name was registered by another plugin than autotl's own."""
        return self.owner(hook, name) not in {None, *BUILTIN_NAMES}

    def blame(self, hook: str, name: str, message: str) -> None:
        """Name the guest that registered what failed in a run, once for each name; a built-in is not named."""
        plugin = self.owner(hook, name)
        if plugin is None or not self.is_guests(hook, name):
            return
        what = f"{NOUNS[hook]} {name}"
        if not any(problem.plugin == plugin and problem.hook == what for problem in self.problems):
            self.sandbox.name(what, plugin, message)

    def notify(self, event: Event) -> None:
        """Pass an event to every observer, aside; one that fails is reported and hears only the end."""
        self._listening.notify(event)

    def close(self, event: Event) -> None:
        """Pass the last event of a run to every observer and wait until it is taken, within limits."""
        self._listening.close(event)

    @property
    def _listening(self) -> Observers:
        if self._observers is None:
            self._observers = Observers(self.sandbox, self.manager.hook.on_event.get_hookimpls())
        return self._observers

    def guests(self, used: Mapping[str, Collection[str]]) -> tuple[Guest, ...]:
        """Return the guests that contributed to a run; `used` are the names that it could choose from, by hook."""
        contributed: dict[str, list[str]] = {}
        for hook, names in used.items():
            for name in names:
                if self.is_guests(hook, name):
                    contributed.setdefault(str(self.owner(hook, name)), []).append(f"{NOUNS[hook]} {name}")
        for what, plugin in self._did.items():
            if plugin not in BUILTIN_NAMES:
                contributed.setdefault(plugin, []).append(what)
        for implementation in self.manager.hook.on_event.get_hookimpls():
            contributed.setdefault(implementation.plugin_name, []).append("observer")
        return tuple(
            Guest(plugin=plugin, package=package, version=version, contributed=tuple(what))
            for plugin, what in sorted(contributed.items())
            for package, version in [self.origins.get(plugin, (plugin, ""))]
        )

    def _collect(self, hook: str, kind: type[Named], **arguments: Any) -> dict[str, Named]:
        """Return the values by name. A guest loses against a built-in of its name; two guests lose both."""
        values: dict[str, tuple[str, Named]] = {}
        refused: set[str] = set()
        # Marks such as tryfirst change the order of a hook's implementations; built-ins come first here.
        implementations = getattr(self.manager.hook, hook).get_hookimpls()
        for implementation in sorted(implementations, key=lambda one: one.plugin_name not in BUILTIN_NAMES):
            for value in self._values(hook, implementation, kind, arguments):
                plugin, earlier = values.setdefault(value.name, (implementation.plugin_name, value))
                if earlier == value:
                    continue
                loser = f"plugin {plugin!r} registers something else as {value.name!r}; neither is used: rename one"
                if plugin in BUILTIN_NAMES:
                    loser = f"autotl itself registers {value.name!r}, which is used; give yours another name"
                else:
                    refused.add(value.name)
                self.sandbox.name(CLASH, implementation.plugin_name, loser)
        kept = {name: pair for name, pair in values.items() if name not in refused}
        self._owners.setdefault(hook, {}).update({name: plugin for name, (plugin, _) in kept.items()})
        return {name: value for name, (_, value) in kept.items()}

    def _values(
        self, hook: str, implementation: Any, kind: type[Named], arguments: dict[str, Any]
    ) -> list[Named]:
        def listed() -> list[Any]:
            answer = loading.run(implementation, arguments)
            return [] if answer is None else list(answer)  # a generator runs here, inside the sandbox

        valid: list[Named] = []
        guest = implementation.plugin_name not in BUILTIN_NAMES
        for value in self.sandbox.call(hook, implementation.plugin_name, listed) or []:
            flaw: str | None = f"expected {kind.__name__} values"
            if isinstance(value, kind):
                flaw = validation.flaw(value)
                if flaw is None and guest and value.name.startswith(OWN_PREFIXES):
                    flaw = f"names that begin with {' or '.join(OWN_PREFIXES)} are autotl's own; use another prefix"
                    self.sandbox.name(CLASH, implementation.plugin_name, f"{value.name!r}: {flaw}")
                    continue
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


def _call(name: str, *arguments: Any) -> Any:
    """Return what the function of a "module:attr" returns."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)(*arguments)


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
        guests = loading.named([*entry_points(group=GROUP), *named], BUILTIN_NAMES)
        deadly = first_import.deadly([point for _, point in guests]) if guests else {}
        for name, point in guests:
            plugins.origins[name] = loading.package_of(point)
            if point.value in deadly:
                text = f"{point.value}: {deadly[point.value]}"
                plugins.sandbox.leave_out(PluginError(text, plugin=name, hook="import"))
            else:
                _import(plugins, name, point)
    objects = extra.items() if isinstance(extra, Mapping) else [(loading.name_of(p), p) for p in extra]
    for name, plugin in objects:
        _register(plugins, name, partial(loading.check_instance, plugin))
    return plugins


def _import(plugins: Plugins, name: str, point: EntryPoint) -> None:
    before = set(sys.modules)
    _register(plugins, name, partial(loading.import_plugin, name, point, plugins.sandbox.thread(name)))
    heavy = loading.loaded(before)
    if heavy and not plugins.quarantined(name):
        text = f"imports {heavy} at its top, which every command waits for: {loading.IMPORT_LATE}"
        plugins.sandbox.name("import", name, text)


def _register(plugins: Plugins, name: str, find: Callable[[], object]) -> None:
    manager = plugins.manager
    if manager.has_plugin(name):
        plugins.sandbox.name(CLASH, name, "another plugin has this name and is used; rename one of them")
        return
    try:
        plugin = loading.check_instance(find())
        loading.check_version(plugin, name)
        loading.check_arguments(plugin, name)
        manager.register(plugin, name=name)
        loading.check_hooks(plugin, name)
    except Exception as error:  # import errors of every kind, pluggy's validation
        if not isinstance(error, PluginError):
            error = PluginError(f"{type(error).__name__}: {error}", plugin=name, hook="import")
        plugins.sandbox.leave_out(error)
        if manager.has_plugin(name):
            manager.unregister(name=name)
