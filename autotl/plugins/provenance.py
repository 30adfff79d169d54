"""Compare the plugins that contributed to a run with those that are installed now."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from autotl.errors import RunError
from autotl.records import Fact, Kind, fact
from autotl.records.result import Guest

__all__ = ["absent_reader", "differences", "missing", "package_of", "require_reader"]

READER = "data"  # what the plugin that read the data contributed to a run


@cache  # the answer takes half a second, and each model folder asks
def package_of(build: str) -> str:
    """Return the installed package of a ``"module:attr"`` with its version, or an empty text."""
    top = build.partition(":")[0].partition(".")[0]
    packages = packages_distributions().get(top, [])
    return f"{packages[0]} {version(packages[0])}" if packages else ""


def differences(guests: Iterable[Guest], loaded: Collection[str] = ()) -> list[Fact]:
    """Return a fact for each guest of a run that is missing here, or has another version.

    One that is `loaded` by name in this process without being installed has no version to compare.
    """
    found = (_difference(guest) for guest in guests)
    return [
        one
        for one in found
        if one is not None and not (one.kind is Kind.PLUGIN_MISSING and one.values["plugin"] in loaded)
    ]


def missing(guests: Iterable[Guest], loaded: Collection[str] = ()) -> list[Guest]:
    """Return the guests of a run that are neither installed here nor `loaded` by name in this process."""
    return [guest for guest in guests if guest.plugin not in loaded and _installed(guest.package) is None]


def absent_reader(guests: Iterable[Guest]) -> str:
    """Return which plugin read a run's data and is not installed here, and what to install, as text; else empty."""
    for guest in missing(guests):
        if READER in guest.contributed:
            package = f"{guest.package} {guest.version}".strip()
            advice = "install it" if guest.version else "install it, or name it in AUTOTL_PLUGINS"
            return f"plugin {guest.plugin!r} read the data of the run and is not installed; expected {package}; {advice}"
    return ""


def require_reader(guests: Iterable[Guest]) -> None:
    """Raise `RunError` when the data of a run were read by a plugin that is not installed here."""
    if absent := absent_reader(guests):
        raise RunError(absent)


def _difference(guest: Guest) -> Fact | None:
    installed = _installed(guest.package)
    if installed is None:
        return fact(Kind.PLUGIN_MISSING, plugin=guest.plugin, package=guest.package, version=guest.version)
    if installed == guest.version:
        return None
    return fact(
        Kind.PLUGIN_DIFFERS,
        plugin=guest.plugin,
        package=guest.package,
        version=guest.version,
        installed=installed,
    )


def _installed(package: str) -> str | None:
    """Return the version of a package, empty for a module that is no package, None where there is neither."""
    try:
        return version(package)
    except PackageNotFoundError:
        pass
    except ValueError:
        return None
    try:
        return "" if importlib.util.find_spec(package.partition(":")[0]) is not None else None
    except (ImportError, ValueError):
        return None
