"""The whole plugin surface: six hooks. Built-ins use the same ones.

A plugin is a module (or object) with functions marked ``@hookimpl``, named by an entry point of the
group ``autotl``:

    from autotl.hookspecs import hookimpl
    from autotl.records import BackboneSpec

    @hookimpl
    def register_backbones(profile, settings):
        return [BackboneSpec(name="mine:net", build="my_package.net:build", feature_dim=128)]

Import nothing heavy at the top of a plugin: what needs torch is named by ``"module:attr"`` and
imported by the engine when it is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from autotl.protocols import Planner
    from autotl.records import BackboneSpec, Dataset, Event, Profile, Ranking, Score, Settings, Strategy

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("autotl")
hookimpl = pluggy.HookimplMarker("autotl")


@hookspec
def register_backbones(profile: Profile | None, settings: Settings) -> Iterable[BackboneSpec]:  # type: ignore[empty-body]
    """Backbones to choose from.

    `profile` is None when a command only lists. `settings.wanted` holds the names or globs that the
    user asked for; a plugin may answer with specs that it would not propose by default.
    """


@hookspec
def register_strategies(profile: Profile | None) -> Iterable[Strategy]:  # type: ignore[empty-body]
    """Ways to carry a backbone over to new data. `profile` is None when a command only lists."""


@hookspec
def register_scores() -> Iterable[Score]:  # type: ignore[empty-body]
    """Transferability scores: numbers from features and labels, computed before any training."""


@hookspec(firstresult=True)
def load_dataset(source: str, options: dict[str, str]) -> Dataset | None:
    """Labelled items from a source that this plugin understands, else None.

    `options` holds what the command line said of the source: ``test``, ``group``, ``label``.
    Raises `DatasetError` when the source is this plugin's and cannot be read.
    """


@hookspec(firstresult=True)
def make_planner(profile: Profile, ranking: Ranking, seconds: float) -> Planner | None:
    """The policy that proposes trials, for `seconds` of probing; None leaves it to the default planner."""


@hookspec
def on_event(event: Event) -> None:
    """Called for each event of a run, in order. What it raises is reported once and ignored."""
