"""Resolve a name such as ``"package.module:attr"`` to its callable, without letting data choose code.

A spec that a plugin made in this process is code's own choice. One that was *read* (a run's model.json, a
user's index.json) is data: `require_installed` lets it name only what comes with autotl or what an installed
plugin has named. In both cases keyword arguments that would load or download are refused.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection
from typing import Any

from autotl.builtin.builds import BUILTIN_BUILDS, require_plain_arguments
from autotl.builtin.strategies import BUILTIN_PREPARES
from autotl.errors import EngineError
from autotl.plugins.manager import load_plugins
from autotl.records import BackboneSpec, Settings

__all__ = ["require_installed", "require_known", "require_predict", "require_preparation", "resolve"]


def resolve(name: str) -> Callable[..., Any]:
    """Return the callable of ``"module:attr"``. Raises `EngineError` when there is none."""
    module_name, _, attribute = name.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise EngineError(
            f'{name!r} cannot be imported ({error}); expected "module:attr" of an installed package; '
            "install or repair the package that names it"
        ) from error
    if not attribute or not callable(value):
        raise EngineError(
            f'{name!r} is no callable; expected "module:attr"; correct it in the plugin that names it'
        )
    return value  # type: ignore[no-any-return]


def require_installed(spec: BackboneSpec, package: str = "") -> None:
    """Refuse a spec that was read from a file unless its build comes with autotl or an installed plugin.

    Call it before `build` for every spec out of a model folder or a run folder. Plugins are asked only when
    the build is not autotl's own. `package` is what the build was part of. Raises `EngineError`.
    """
    named: frozenset[str] = frozenset()
    if spec.build not in BUILTIN_BUILDS:
        offered = load_plugins().backbones(None, Settings(offline=True, wanted=(spec.name,)))
        named = frozenset(spec.build for spec in offered.values())
    require_known(spec, named, package)


def require_predict(name: str | None, package: str = "") -> Callable[..., Any]:
    """Return the function of a head of arrays that was read from a file, if a strategy that is installed names it.

    `package` is what the function was part of. Raises `EngineError`.
    """
    named = {strategy.predict for strategy in load_plugins().strategies(None).values()}
    if name is None or name not in named:
        raise EngineError(
            f"the head is computed by {name!r}, which no installed strategy names as its `predict`; files may not "
            f"choose code; install {package or 'the plugin that the model was trained with'}"
        )
    return resolve(name)


def require_known(spec: BackboneSpec, named_by_plugins: Collection[str] = (), package: str = "") -> None:
    """Refuse a spec whose build is neither autotl's nor among `named_by_plugins`. Raises `EngineError`."""
    if spec.build not in BUILTIN_BUILDS and spec.build not in named_by_plugins:
        raise EngineError(
            f"backbone {spec.name!r} is built by {spec.build!r}, which no installed plugin names; files "
            f"may not choose code; install {package or 'the plugin that the model was trained with'}"
        )
    if spec.build in BUILTIN_BUILDS:
        require_plain_arguments(spec.arguments)


def require_preparation(prepare: str, package: str = "") -> None:
    """Refuse a function that was read from a file unless a strategy of autotl or of an installed plugin names it.

    `package` is what it was part of. Raises `EngineError`.
    """
    if prepare in BUILTIN_PREPARES:
        return
    if prepare not in {strategy.prepare for strategy in load_plugins().strategies(None).values()}:
        raise EngineError(
            f"the network is prepared by {prepare!r}, which no strategy of an installed plugin names; files may not "
            f"choose code; install {package or 'the plugin that the model was trained with'}"
        )
