"""Checks as values: collect the checks of a plugin or of one value, and run them."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal
from unittest import SkipTest

from autotl.errors import AutotlError
from autotl.plugins.loading import HOOKS, name_of
from autotl.plugins.manager import BUILTIN
from autotl.plugins.sandbox import Escaped, Overdue, PluginThread, is_plugins
from autotl.records import BackboneSpec, Score, Strategy
from autotl.testing.backbone import BACKBONE
from autotl.testing.contract import CHECK_SECONDS, ContractError, HungError
from autotl.testing.discovery import Plugin, find
from autotl.testing.head import HEAD
from autotl.testing.plugin import AROUND, NEEDS, PLUGIN, contributions, imports
from autotl.testing.score import SCORE
from autotl.testing.strategy import STRATEGY

HUNG = "a check before this one hung"
FIRST = (
    "builds",
    "resolves",
    "takes_arguments",
    "can_be_computed",
)  # checks that all later ones of a subject need


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """A check of one thing, ready to be called. Its text is its name: ``backbone mine:net / deterministic``."""

    subject: str
    function: Callable[[Any], None]
    value: Any = field(repr=False)

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def requirement(self) -> str:
        """Return what the check requires, as one sentence."""
        return " ".join((self.function.__doc__ or "").partition("\n\n")[0].split())

    def __call__(self, seconds: float | None = None) -> None:
        """Make the check. Raises `ContractError` when it fails or takes over `seconds`, `SkipTest` as the check does."""
        limit = CHECK_SECONDS if seconds is None else seconds
        try:
            with AROUND.get(self.name, nullcontext)():
                PluginThread("check").call(partial(self.function, self.value), limit)
        except (ContractError, SkipTest):
            raise
        except Overdue as error:
            raise HungError(f"{error}; expected it to return") from error
        except (AutotlError, Escaped) as error:
            raise ContractError(str(error)) from error
        except Exception as error:
            raise ContractError(f"raised {type(error).__name__}: {error}{_where(error)}") from error

    def __str__(self) -> str:
        return f"{self.subject} / {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of a check."""

    subject: str
    check: str
    requirement: str
    status: Literal["passed", "failed", "skipped"]
    message: str = ""
    seconds: float = 0.0


def checks(plugin: str | object) -> list[Check]:
    """Return every check for a plugin and for all that it registers, to parametrize a test with.

    `plugin` is what `find` understands, or a plugin object. A plugin that cannot be imported has one check,
    which fails. Raises `UnknownNameError` when there is no such plugin.
    """
    plugins = find(plugin) if isinstance(plugin, str) else [Plugin(name=name_of(plugin), object=plugin)]
    return [check for one in plugins for check in _checks_of_plugin(one)]


def checks_of(value: BackboneSpec | Strategy | Score) -> list[Check]:
    """Return the checks of one value, such as a backbone that is not registered yet."""
    if isinstance(value, BackboneSpec):
        return [Check(f"backbone {value.name}", function, value) for function in BACKBONE]
    if isinstance(value, Score):
        return [Check(f"score {value.name}", function, value) for function in SCORE]
    result = [Check(f"strategy {value.name}", function, value) for function in STRATEGY]
    if isinstance(value.head, str):
        result += [Check(f"head {value.head}", function, value) for function in HEAD]
    return result


def outcomes(plugin: str | object, seconds: float = CHECK_SECONDS) -> Iterator[Outcome]:
    """Make the checks of a plugin one by one in this process; one that takes over `seconds` has failed.

    The later checks of the same subject are skipped then, as they are where it cannot be built, imported or called.
    """
    stopped: dict[str, str] = {}
    for check in checks(plugin):
        yield outcome_of(check, stopped, seconds)


def outcome_of(check: Check, stopped: dict[str, str], seconds: float = CHECK_SECONDS) -> Outcome:
    """Make a check and return its outcome.

    `stopped` are subjects that are not checked further, each with the reason: a check hung, or one of `FIRST` failed.
    """
    status: Literal["passed", "failed", "skipped"] = "passed"
    message, begun = "", time.monotonic()
    try:
        if check.subject in stopped:
            raise SkipTest(stopped[check.subject])
        check(seconds)
    except SkipTest as reason:
        status, message = "skipped", str(reason)
    except ContractError as error:
        status, message = "failed", str(error)
        if isinstance(error, HungError):
            stopped[check.subject] = HUNG
        elif check.name in FIRST:
            stopped[check.subject] = f"the check {check.name!r} failed, and this one needs it"
    return Outcome(
        subject=check.subject,
        check=check.name,
        requirement=check.requirement,
        status=status,
        message=message,
        seconds=round(time.monotonic() - begun, 3),
    )


def _where(error: Exception) -> str:
    """Return the line of the plugin that raised, as the end of a sentence."""
    lines = [line for line in traceback.extract_tb(error.__traceback__) if is_plugins(line.filename)]
    return (
        f", in {lines[-1].name} ({Path(lines[-1].filename).name}, line {lines[-1].lineno})" if lines else ""
    )


def _checks_of_plugin(plugin: Plugin) -> list[Check]:
    subject = f"plugin {plugin.name}"
    if plugin.problem:
        return [Check(subject, imports, plugin)]
    implemented = {hook for hook in HOOKS if getattr(plugin.object, hook, None) is not None}
    if plugin.value not in BUILTIN and plugin.name not in plugin.plugins().names():  # left out, with a reason
        implemented = set()
    result = [
        Check(subject, function, plugin)
        for function in PLUGIN
        if NEEDS.get(function.__name__, function.__name__) in {*implemented, function.__name__}
    ]
    for values in contributions(plugin, plugin.plugins()).values():
        for value in values.values():
            result += checks_of(value)
    return list({str(check): check for check in result}.values())  # two strategies may share a head
