"""Import plugins and check how they present themselves: API version, hook names, marks."""

from __future__ import annotations

import inspect
import sys
from collections import Counter
from collections.abc import Collection, Iterable
from importlib.metadata import EntryPoint
from typing import Any

from autotl import hookspecs
from autotl.errors import PluginError
from autotl.hookspecs import API_VERSION, CHANGES, OLDEST_API
from autotl.plugins import sandbox
from autotl.plugins.sandbox import Overdue, PluginThread, text_of

# What takes seconds to import, and belongs to the engine.
HEAVY = ("torch", "torchvision", "timm", "tensorflow", "jax")
IMPORT_LATE = 'import it inside the function that "module:attr" names'
NOT_FOUND = (  # by its name in AUTOTL_PLUGINS
    "expected a module that Python finds, and the current directory is not searched; add the folder of the module to "
    "PYTHONPATH"
)
VERSION_NAME = "AUTOTL_API_VERSION"  # the attribute in which a plugin states the version it was written for
HOOKS = tuple(name for name, value in vars(hookspecs).items() if getattr(value, "autotl_spec", None))


def import_plugin(name: str, point: EntryPoint, thread: PluginThread) -> object:
    """Import what an entry point names, in the plugin's thread. Raises `PluginError`."""
    before = set(sys.modules)
    try:
        return thread.call(point.load, sandbox.IMPORT_SECONDS)
    except Exception as error:
        heavy = loaded(before) if isinstance(error, Overdue) else ""
        advice = f"; it imports {heavy} at its top: {IMPORT_LATE}" if heavy else ""
        if point.dist is None and isinstance(error, ModuleNotFoundError) and _is_own(error.name, point):
            advice = f"; {NOT_FOUND}"
        text = f"import of {point.value}: {text_of(error)}{advice}"
        raise PluginError(text, plugin=name, hook="import") from error


def _is_own(missing: str | None, point: EntryPoint) -> bool:
    """Return whether the module that was not found is the entry point's own, or a package that it is in."""
    return missing is not None and f"{point.module}.".startswith(f"{missing}.")


def loaded(before: Collection[str]) -> str:
    """Return the names of heavy packages that were imported since `before`, as text."""
    return ", ".join(name for name in HEAVY if name in sys.modules and name not in before)


def named(points: Iterable[EntryPoint], taken: Collection[str]) -> list[tuple[str, EntryPoint]]:
    """Return the entry points with their names as plugins, each value once: a module is one plugin.

    Where several have one name, or it is among those `taken`, the package is part of the name: ``net (my-package)``.
    """
    by_value: dict[str, EntryPoint] = {}
    for point in points:
        by_value.setdefault(point.value, point)
    counts = Counter(point.name for point in by_value.values())
    return [
        (f"{point.name} ({package_of(point)[0]})", point)
        if counts[point.name] > 1 or point.name in taken
        else (point.name, point)
        for point in by_value.values()
    ]


def package_of(point: EntryPoint) -> tuple[str, str]:
    """Return the package of an entry point and its version; the module and no version for one that has none."""
    return (point.value, "") if point.dist is None else (point.dist.name, point.dist.version)


def check_version(plugin: object, name: str) -> None:
    """Raise `PluginError` when a plugin was written for another version of the plugin API than this one.

    Versions from `OLDEST_API` on work; a plugin that states none is accepted.
    """
    stated = getattr(plugin, VERSION_NAME, API_VERSION)
    if isinstance(stated, bool) or not isinstance(stated, int):
        raise PluginError(
            f"{VERSION_NAME} is {stated!r}; expected a whole number, such as {API_VERSION}",
            plugin=name,
            hook="import",
        )
    if OLDEST_API <= stated <= API_VERSION:
        return
    changes = "; ".join(
        f"since version {v}: {CHANGES[v]}" for v in sorted(CHANGES) if stated < v <= API_VERSION
    )
    advice = "install a newer autotl"
    if stated < OLDEST_API:
        advice = f"install a newer version of the plugin, or change it ({changes}) and state {API_VERSION}"
    raise PluginError(
        f"it is written for version {stated} of the plugin API, and this autotl has versions {OLDEST_API} to "
        f"{API_VERSION}; {advice}",
        plugin=name,
        hook="import",
    )


def check_hooks(plugin: object, name: str) -> None:
    """Raise `PluginError` when a hook is misspelt or lacks its mark."""
    attributes = {attribute: getattr(plugin, attribute, None) for attribute in dir(plugin)}
    marks = {attribute: getattr(value, "autotl_impl", None) for attribute, value in attributes.items()}
    marked = [mark["specname"] or attribute for attribute, mark in marks.items() if mark is not None]
    unmarked = [hook for hook in HOOKS if callable(attributes.get(hook)) and marks[hook] is None]
    if unmarked:
        raise PluginError(
            "the function lacks its @hookimpl; expected it above the function; add it",
            plugin=name,
            hook=unmarked[0],
        )
    wrapper = [name for name, mark in marks.items() if mark and (mark["wrapper"] or mark["hookwrapper"])]
    if wrapper:
        raise PluginError(
            "it is marked as a wrapper, and no plugin wraps another's hook; expected a plain @hookimpl",
            plugin=name,
            hook=wrapper[0],
        )
    unknown = [hook for hook in marked if hook not in HOOKS]
    if unknown:
        message = f"there is no hook of that name; hooks are: {', '.join(sorted(HOOKS))}"
        raise PluginError(message, plugin=name, hook=unknown[0])
    if not marked:
        raise PluginError(
            "no function is marked with @hookimpl; expected at least one hook; add the mark",
            plugin=name,
            hook="import",
        )


def check_arguments(plugin: object, name: str) -> None:
    """Raise `PluginError` when a hook takes an argument that it does not get."""
    for attribute in dir(plugin):
        function = getattr(plugin, attribute, None)
        mark = getattr(function, "autotl_impl", None)
        hook = attribute if mark is None else mark["specname"] or attribute
        if mark is None or hook not in HOOKS or not callable(function):
            continue
        given = inspect.signature(getattr(hookspecs, hook)).parameters
        taken = inspect.signature(function).parameters.values()
        unknown = [
            p.name
            for p in taken
            if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}
            and p.default is p.empty
            and p.name not in given
        ]
        if unknown:
            raise PluginError(
                f"it takes an argument {unknown[0]!r}, which the hook does not have; its arguments are "
                f"{', '.join(given)}; rename or remove it",
                plugin=name,
                hook=hook,
            )


def name_of(plugin: object) -> str:
    """Return the name of a plugin that no entry point names."""
    return str(getattr(plugin, "__name__", type(plugin).__name__))


def run(implementation: Any, arguments: dict[str, Any]) -> Any:
    """Call a hook implementation with those of the arguments that it takes."""
    return implementation.function(*(arguments[name] for name in implementation.argnames))


def check_instance(plugin: object) -> object:
    """Return the plugin. Raises `TypeError` for a class, whose functions pluggy could not call."""
    if isinstance(plugin, type):
        raise TypeError("the entry point names a class; name a module or an instance")
    return plugin
