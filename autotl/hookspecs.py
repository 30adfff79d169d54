"""The hooks: six functions that a plugin may implement. autotl's own parts come through the same ones.

A plugin is a module (or an object) with functions marked ``@hookimpl``, named by an entry point of the
group ``autotl``:

    from autotl.plugin import BackboneSpec, hookimpl

    @hookimpl
    def register_backbones(profile, settings):
        return [BackboneSpec(name="mine:net", build="my_package.net:build", feature_dim=128)]

An implementation takes any of the arguments below, by name; those that it does not need it leaves out. Import
nothing heavy at the top of a plugin: what needs torch is named by ``"module:attr"``, and the engine imports
it when it is used.

All calls of one plugin come from one thread of its own, one at a time, so that its state needs no lock. An
implementation that raises, returns an invalid value or takes longer than its limit (10 s, `load_dataset` 120 s)
is not called again: the plugin is quarantined, the run names it and the reason, and goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from autotl.protocols import CostModel, Planner, PlannerFacts
    from autotl.records import BackboneSpec, Dataset, Event, Profile, Ranking, Score, Settings, Strategy

__all__ = ["API_VERSION", "hookimpl", "hookspec"]

# The version of hooks, records and protocols in `autotl.plugin`. It rises when a plugin that works with the version
# before would not work with the next: a hook, an argument, a field or a name is removed or changes its meaning.
# An addition does not raise it.
API_VERSION = 1

hookspec = pluggy.HookspecMarker("autotl")
hookimpl = pluggy.HookimplMarker("autotl")


@hookspec
def register_backbones(profile: Profile | None, settings: Settings) -> Iterable[BackboneSpec]:  # type: ignore[empty-body]
    """Return backbones to choose from.

    Called by every command that lists backbones, and once or twice at the start of a run.

    Args:
        profile: The data, as measured before any training; None when a command only lists.
        settings: The user's options. `settings.wanted` holds the names or globs that the user asked for; a
            plugin may then return specs that it does not propose by default. With `settings.offline` it opens
            no connection. `settings.seconds` is the budget in seconds; None when a command only lists.
    """


@hookspec
def register_strategies(profile: Profile | None) -> Iterable[Strategy]:  # type: ignore[empty-body]
    """Return strategies: ways to transfer a backbone to new data.

    Called by every command that lists strategies, and once at the start of a run.

    Args:
        profile: The data, as measured before any training; None when a command only lists.
    """


@hookspec
def register_scores() -> Iterable[Score]:  # type: ignore[empty-body]
    """Return transferability scores: numbers from features and labels, computed before any training.

    Called by every command that lists scores, and once at the start of a run.
    """


@hookspec(firstresult=True)
def load_dataset(source: str, options: dict[str, str]) -> Dataset | None:
    """Return the labelled items of a source that this plugin can read, else None.

    Called once at the start of a run and of ``autotl profile``. The first plugin that does not return None
    decides; autotl's own readers come last. Limit: 120 s.

    Args:
        source: The data as the user named them: a path, a URL, a name.
        options: The user's options on the data, of those that are set: ``test``, ``group``, ``label``.

    Raises:
        DatasetError: The source is this plugin's and cannot be read. The user sees the message, and the plugin is
            not quarantined.
    """


@hookspec(firstresult=True)
def make_planner(
    profile: Profile,
    ranking: Ranking,
    seconds: float,
    strategies: Sequence[Strategy],
    facts: PlannerFacts,
    costs: CostModel,
) -> Planner | None:
    """Return the search policy of this run; None leaves the search to the default planner.

    Called once, before the first probe. The planner's `ask` and `tell` are called with the same limit of 10 s
    a call. Each trial is checked; when the planner breaks, the default planner takes over with all results so far.

    Args:
        profile: The data, as measured before any training.
        ranking: The backbones that may be tried, each at an input size, best expected first.
        seconds: The time that is left of the budget, in seconds.
        strategies: The strategies that may be tried.
        facts: The numbers of images, folds and the seed.
        costs: Forecasts of probes and final fits, in seconds.
    """


@hookspec
def on_event(event: Event) -> None:
    """Observe a run: called for each of its events, in order, while the run waits.

    Args:
        event: What happened: the stage, a message, and where there is one the candidate and its score (a
            fraction), the best score so far, the seconds left.
    """
