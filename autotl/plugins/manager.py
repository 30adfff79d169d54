"""The plugin manager: finds plugins, calls each hook implementation alone, checks what comes back.

pluggy's own call stops at the first exception, so implementations are called one by one here. A plugin
that breaks (raises, answers nonsense, does not answer in time) is quarantined: its later hooks are not
called, it is named, and the run goes on. All calls of one guest happen in one thread of its own, which is
left behind when it hangs. Built-ins register first; pluggy calls the latest registration first, so an
installed plugin wins by answering and yields by returning None.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from autotl import hookspecs
from autotl.errors import AutotlError, PluginError
from autotl.plugins import validation
from autotl.plugins.sandbox import Room
from autotl.protocols import Planner
from autotl.records import (
    BackboneSpec,
    Dataset,
    Event,
    Profile,
    Ranking,
    Score,
    Settings,
    Strategy,
    Trial,
    TrialResult,
)

GROUP = "autotl"
BUILTIN = (
    "autotl.builtin.sources",
    "autotl.builtin.backbones",
    "autotl.builtin.strategies",
    "autotl.builtin.scores",
)
BUILTIN_NAMES = tuple(module.replace(".builtin", "") for module in BUILTIN)
CLASH = "a name taken twice"  # the one problem that does not put a plugin in quarantine
SWITCH = "AUTOTL_PLUGINS"  # 0: no guests; otherwise modules that are plugins without being installed
IMPORT_SECONDS = 10.0  # a guest that takes longer to import is named and left out
CALL_SECONDS = 10.0  # the same for a call of a hook
LOAD_SECONDS = 120.0  # listing the items of a source may mean reading a long index

Named = TypeVar("Named", BackboneSpec, Strategy, Score)


@dataclass(slots=True)
class Plugins:
    """The registered plugins and what went wrong with some of them."""

    manager: pluggy.PluginManager
    problems: list[PluginError] = field(default_factory=list)
    _rooms: dict[str, Room] = field(default_factory=dict)
    _scores: dict[str, Any] = field(default_factory=dict)  # the hook implementation that gave each score

    def names(self) -> list[str]:
        """Names of the registered plugins, built-ins first."""
        return [name for name, _ in self.manager.list_name_plugin()]

    def hooks(self, name: str) -> list[str]:
        """The hooks that a registered plugin answers."""
        callers = self.manager.get_hookcallers(self.manager.get_plugin(name))
        return sorted(caller.name for caller in callers or ())

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
        arguments = {"source": source, "options": options}
        for implementation in reversed(self.manager.hook.load_dataset.get_hookimpls()):
            found = self._ask("load_dataset", implementation, arguments, LOAD_SECONDS, user_errors=True)
            if found is None:
                continue
            wrong = (
                validation.flaw(found)
                if isinstance(found, Dataset)
                else f"{type(found).__name__}, expected a Dataset or None"
            )
            if wrong is None:
                return found  # type: ignore[no-any-return]
            self._report("load_dataset", implementation, f"of what it returned for {source}: {wrong}")
        return None

    def make_planner(
        self,
        profile: Profile,
        ranking: Ranking,
        seconds: float,
        *,
        strategies: Collection[str],
        otherwise: Planner,
    ) -> Planner:
        """The first planner a plugin offers, under guard, or `otherwise`, which also takes over from a broken one."""
        arguments = {"profile": profile, "ranking": ranking, "seconds": seconds}
        for implementation in reversed(self.manager.hook.make_planner.get_hookimpls()):
            planner = self._ask("make_planner", implementation, arguments)
            if planner is None:
                continue
            if callable(getattr(planner, "ask", None)) and callable(getattr(planner, "tell", None)):
                known = {(arm.backbone, arm.input_size) for arm in ranking.ranked}
                return _Guarded(self, implementation, planner, otherwise, known, set(strategies))
            self._report("make_planner", implementation, "returned something without ask() and tell()")
        return otherwise

    def compute(self, score: Score, function: Callable[[], float]) -> float | None:
        """Calls a score's function on behalf of the plugin that has the score; None when that fails."""
        implementation = self._scores.get(score.name)
        if implementation is None:  # not of a hook: whoever made it answers for it
            return function()
        return self._call(f"score {score.name}", implementation, function)  # type: ignore[no-any-return]

    def notify(self, event: Event) -> None:
        """Hands an event to every observer; one that fails is reported once and not called again."""
        for implementation in self.manager.hook.on_event.get_hookimpls():
            self._ask("on_event", implementation, {"event": event})

    def _collect(self, hook: str, kind: type[Named], **arguments: Any) -> dict[str, Named]:
        found: dict[str, tuple[Any, Named]] = {}
        refused: set[str] = set()
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            for value in self._values(hook, implementation, kind, arguments):
                before = found.get(value.name)
                if before is None:
                    found[value.name] = (implementation, value)
                elif before[1] != value:
                    refused.add(value.name)
                    self._report(
                        CLASH,
                        implementation,
                        f"{value.name!r} is already what plugin {before[0].plugin_name!r} calls something else;"
                        " neither is used: rename one of them or uninstall a plugin",
                    )
        if kind is Score:
            self._scores = {name: implementation for name, (implementation, _) in found.items()}
        return {name: value for name, (_, value) in found.items() if name not in refused}

    def _values(
        self, hook: str, implementation: Any, kind: type[Named], arguments: dict[str, Any]
    ) -> list[Named]:
        def listed() -> list[Any]:
            answer = _run(implementation, arguments)
            return [] if answer is None else list(answer)  # a generator runs here, inside the guard

        good: list[Named] = []
        for value in self._call(hook, implementation, listed) or []:
            wrong: str | None = f"expected {kind.__name__} values"
            if isinstance(value, kind):
                wrong = validation.flaw(value)
                if wrong is None:
                    good.append(value)
                    continue
            name = getattr(value, "name", value)
            self._report(hook, implementation, f"returned {name!r:.80}: {wrong}")
        return good

    def _ask(
        self,
        hook: str,
        implementation: Any,
        arguments: dict[str, Any],
        seconds: float | None = None,
        *,
        user_errors: bool = False,
    ) -> Any:
        return self._call(
            hook, implementation, partial(_run, implementation, arguments), seconds, user_errors=user_errors
        )

    def _call(
        self,
        hook: str,
        implementation: Any,
        function: Callable[[], Any],
        seconds: float | None = None,
        *,
        user_errors: bool = False,
    ) -> Any:
        """What `function` returns; None when its plugin is or comes into quarantine. Built-ins are not timed."""
        name = implementation.plugin_name
        if self.quarantined(name):
            return None
        try:
            if name in BUILTIN_NAMES:
                return function()
            return self._room(name).call(function, CALL_SECONDS if seconds is None else seconds)
        except AutotlError as error:
            if user_errors:
                raise
            self._report(hook, implementation, str(error))
        except Exception as error:  # whatever a guest raises must not end the run
            text = str(error) if type(error) is RuntimeError else f"raised {type(error).__name__}: {error}"
            self._report(hook, implementation, text)
        return None

    def quarantined(self, plugin: str) -> bool:
        """Whether a plugin broke its contract, so that it is not called any more."""
        return any(known.plugin == plugin for known in self.problems if known.hook != CLASH)

    def _room(self, name: str) -> Room:
        if name not in self._rooms:
            self._rooms[name] = Room(name)
        return self._rooms[name]

    def _report(self, hook: str, implementation: Any, message: str) -> None:
        problem = PluginError(message, plugin=implementation.plugin_name, hook=hook)
        if str(problem) not in map(str, self.problems):  # a clash is found at each listing
            self.problems.append(problem)


def _run(implementation: Any, arguments: dict[str, Any]) -> Any:
    return implementation.function(*(arguments[name] for name in implementation.argnames))


@dataclass(slots=True)
class _Guarded:
    """A guest's planner: what it asks for is checked, and once it breaks the default one takes over."""

    plugins: Plugins
    implementation: Any
    planner: Any
    otherwise: Planner
    arms: set[tuple[str, int]]
    strategies: set[str]
    asked: set[str] = field(default_factory=set)

    def ask(self, seconds: float) -> Trial | None:
        """The guest's next probe, or the default planner's when the guest is in quarantine."""
        if not self._trusted():
            return self.otherwise.ask(seconds)
        if seconds <= 0:
            return None
        trial = self.plugins._call("ask", self.implementation, partial(self.planner.ask, seconds))
        if trial is not None and (wrong := self._flaw(trial)):
            self.plugins._report("ask", self.implementation, wrong)
        if not self._trusted():
            return self.otherwise.ask(seconds)
        if trial is not None:
            self.asked.add(trial.id)
        return trial  # type: ignore[no-any-return]

    def tell(self, result: TrialResult) -> None:
        """Both are told, so that the default planner knows what there is when it must take over."""
        self.otherwise.tell(result)
        self.plugins._call("tell", self.implementation, partial(self.planner.tell, result))

    def _trusted(self) -> bool:
        return not self.plugins.quarantined(self.implementation.plugin_name)

    def _flaw(self, trial: Any) -> str | None:
        if not isinstance(trial, Trial):
            return f"returned {trial!r:.80}, expected a Trial or None"
        candidate = trial.candidate
        if (candidate.backbone, candidate.input_size) not in self.arms:
            return f"asked for {candidate.id}, whose backbone and size are not in the ranking it was given"
        if candidate.strategy not in self.strategies:
            return f"asked for {candidate.id}; strategies are: {', '.join(sorted(self.strategies))}"
        if trial.id in self.asked or not trial.id.isidentifier():
            return (
                f"gave a trial the id {trial.id!r}; expected letters and digits, and another for each trial"
            )
        if not 0 <= trial.epochs < 10_000:
            return f"asked for {trial.epochs} epochs"
        if trial.fit_on != ("train",) or trial.evaluate_on != ("select",):
            return (
                f"asked for fit_on {trial.fit_on}, evaluate_on {trial.evaluate_on}; expected train and select"
            )
        return None


def load_plugins(extra: Sequence[object] | Mapping[str, object] = (), *, guests: bool = True) -> Plugins:
    """Built-ins, then what the entry-point group ``autotl`` names, then `extra` objects (or objects by name).

    The environment variable ``AUTOTL_PLUGINS`` names further modules (with commas between them) that are
    plugins without being installed; ``0``, as `guests=False`, leaves all but `extra` out. A plugin that cannot be
    imported, misspells a hook or hangs at import is reported in `Plugins.problems`.
    """
    manager = pluggy.PluginManager("autotl")
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager=manager)
    for module, name in zip(BUILTIN, BUILTIN_NAMES, strict=True):
        manager.register(importlib.import_module(module), name=name)
    switch = os.environ.get(SWITCH, "")
    if guests and switch != "0":
        named = [EntryPoint(name=n, value=n, group=GROUP) for n in map(str.strip, switch.split(",")) if n]
        for point in _unique([*entry_points(group=GROUP), *named]):
            _register(plugins, point.name, partial(_import, plugins, point))
    unnamed = () if isinstance(extra, Mapping) else extra
    pairs = [(str(getattr(guest, "__name__", type(guest).__name__)), guest) for guest in unnamed]
    for name, guest in extra.items() if isinstance(extra, Mapping) else pairs:
        _register(plugins, name, partial(_itself, guest))
    return plugins


def _itself(guest: object) -> object:
    return guest


def _unique(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    """One entry point of each name and value; of each value too: a module is one plugin."""
    return list({point.value: point for point in reversed(list(points))}.values())[::-1]


def _register(plugins: Plugins, name: str, find: Callable[[], object]) -> None:
    if plugins.manager.has_plugin(name):
        plugins.problems.append(PluginError("another plugin has it and is used", plugin=name, hook=CLASH))
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
    found = {attr: getattr(guest, attr, None) for attr in dir(guest)}
    marks = {attr: getattr(value, "autotl_impl", None) for attr, value in found.items()}
    marked = [mark["specname"] or attr for attr, mark in marks.items() if mark is not None]
    unknown = [hook for hook in marked if hook not in known]
    forgotten = [attr for attr in found if attr in known and marks[attr] is None and callable(found[attr])]
    if forgotten:
        raise PluginError("the function lacks its @hookimpl", plugin=name, hook=forgotten[0])
    if unknown:
        raise PluginError(
            f"there is no hook of that name; hooks are: {', '.join(sorted(known))}",
            plugin=name,
            hook=unknown[0],
        )
    if not marked:
        raise PluginError("no function is marked with @hookimpl", plugin=name, hook="import")


def _import(plugins: Plugins, point: EntryPoint) -> object:
    try:
        return plugins._room(point.name).call(point.load, IMPORT_SECONDS)
    except Exception as error:
        text = str(error) if type(error) is RuntimeError else f"{type(error).__name__}: {error}"
        raise PluginError(f"import of {point.value}: {text}", plugin=point.name, hook="import") from error
