"""The hooks: seven functions that a plugin may implement. autotl's own parts come through the same ones.

A plugin is a module (or an object) with functions marked ``@hookimpl``, named by an entry point of the
group ``autotl``:

    from autotl.plugin import BackboneSpec, hookimpl

    @hookimpl
    def register_backbones(profile, settings):
        return [BackboneSpec(name="mine:net", build="my_package.net:build", feature_dim=128)]

An implementation takes any of the arguments below, by name; those that it does not need it leaves out. `call` is a
frozen record of all of them: fields may be added to it, and arguments may not. The others are as of version 1.
Import nothing heavy at the top of a plugin: what needs torch is named by ``"module:attr"``, and the engine imports
it when it is used.

All calls of one plugin come from one thread of its own, one at a time, so that its state needs no lock. An
implementation that raises, returns an invalid value or takes longer than its limit (10 s, `load_dataset` 120 s)
is not called again: the plugin is quarantined, the run names it and the reason, and goes on. `make_engine` is the
exception: a run without its engine cannot go on, and ends with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from autotl.protocols import (
        CostModel,
        Engine,
        EngineCall,
        ListingCall,
        Planner,
        PlannerCall,
        PlannerFacts,
        SourceCall,
    )
    from autotl.records import BackboneSpec, Dataset, Event, Profile, Ranking, Score, Settings, Strategy

__all__ = ["API_VERSION", "CHANGES", "OLDEST_API", "hookimpl", "hookspec"]

# The version of hooks, records and protocols in `autotl.plugin`. It rises when a plugin that works with the version
# before would not work with the next: a hook, an argument, a field or a name is removed or changes its meaning.
# An addition that a plugin can do without does not raise it. Plugins of OLDEST_API and later are loaded; what one of
# them does in the way of an earlier version is named where it is used.
API_VERSION = 4
OLDEST_API = 1
# What a plugin of the version before has to look at.
CHANGES = {
    2: "each hook may take one record, `call`; on_event is called aside, its last event has the stage 'end', and an "
    "event's `score` is the score_val of a trial that ended alone",
    3: "the function of a head takes one record, `HeadCall`",
    4: "the function of a score takes one record, `ScoreCall`",
}

hookspec = pluggy.HookspecMarker("autotl")
hookimpl = pluggy.HookimplMarker("autotl")


@hookspec
def register_backbones(  # type: ignore[empty-body]
    call: ListingCall, profile: Profile | None, settings: Settings
) -> Iterable[BackboneSpec]:
    """Return backbones to choose from.

    Called by every command that lists backbones, and once or twice at the start of a run.

    Args:
        call: All arguments as one record.
        profile: The data, as measured before any training; None when a command only lists.
        settings: The user's options. `settings.wanted` holds the names or globs that the user asked for; a
            plugin may then return specs that it does not propose by default. With `settings.offline` it opens
            no connection. `settings.seconds` is the budget in seconds; None when a command only lists.
    """


@hookspec
def register_strategies(call: ListingCall, profile: Profile | None) -> Iterable[Strategy]:  # type: ignore[empty-body]
    """Return strategies: ways to transfer a backbone to new data.

    Called by every command that lists strategies, and once at the start of a run.

    Args:
        call: All arguments as one record.
        profile: The data, as measured before any training; None when a command only lists.
    """


@hookspec
def register_scores(call: ListingCall) -> Iterable[Score]:  # type: ignore[empty-body]
    """Return transferability scores: numbers from features and labels, computed before any training.

    Called by every command that lists scores, and once at the start of a run.

    Args:
        call: The data and the user's options as one record.
    """


@hookspec(firstresult=True)
def load_dataset(call: SourceCall, source: str, options: dict[str, str]) -> Dataset | None:
    """Return the labelled items of a source that this plugin can read, else None.

    Called once at the start of a run, of ``autotl profile`` and of ``autotl evaluate``. ``autotl predict`` calls it
    for a path that is neither a folder nor a table, nor named like an image; it uses names and files, and no label.
    The first plugin that does not return None decides; autotl's own readers come last. Limit: 120 s.

    `files` are absolute paths. `fingerprint` is a digest of contents, labels, parts and groups that does not depend on
    a path. It may be left out; ``autotl diff`` then takes the data of two runs for the same. `digests`, which may be
    left out too, name the contents of each file: exact duplicates are found by them. `names`
    stay the same, because a run that is continued finds its images by them. The plugin owns the files that it writes:
    autotl reads them while a run decodes, tests and is continued, and never removes them.

    Args:
        call: All arguments as one record.
        source: The data as the user named them: a path, a URL, a name.
        options: The user's options on the data, of those that are set (`SourceCall.options`). One that is set and
            that the plugin never looks up, by name or in an iteration, is refused with a `DatasetError` that
            names plugin and option.

    Raises:
        DatasetError: The source is this plugin's and cannot be read. The user sees the message, and the plugin is
            not quarantined.
    """


@hookspec(firstresult=True)
def make_planner(
    call: PlannerCall,
    profile: Profile,
    ranking: Ranking,
    seconds: float,
    strategies: Sequence[Strategy],
    facts: PlannerFacts,
    costs: CostModel,
) -> Planner | None:
    """Return the search policy of this run; None leaves the search to the default planner.

    Called once, before the first probe. Where several plugins return one, that of the plugin which was registered last
    is used, and the others are named. The planner's `ask` and `tell` are called with the same limit of 10 s
    a call. Each trial is checked; when the planner breaks, the default planner takes over with all results so far.

    Args:
        call: All arguments as one record. Only there are `belief`, the expected scores of all recipes, `reserve`, the
            seconds to keep for the final fit, `goal`, and `default`, the default planner to delegate to.
        profile: The data, as measured before any training.
        ranking: The backbones that may be tried, each at an input size, in the order of `Ranking.ranked`.
        seconds: The time that is left of the budget, in seconds.
        strategies: The strategies that may be tried.
        facts: The numbers of images, folds and the seed.
        costs: Forecasts of probes and final fits, in seconds.
    """


@hookspec(firstresult=True)
def make_engine(call: EngineCall) -> Engine | None:
    """Return the engine that the user named with ``--engine``, if it is this plugin's, else None.

    Called once at the start of a run, of the plugin which was registered last first. It returns within 60 s and does not
    wait for workers. An `EngineError` (the engine is this plugin's and cannot be had) ends the run with its message.

    Args:
        call: The engine's name, the user's options, run folder, cache, precision, seed and the most slots.
    """


@hookspec
def on_event(event: Event) -> None:
    """Observe a run: called for each of its events, in order, aside. The run does not wait.

    The reference lists stages, kinds and values. `score` is what a leaderboard calls `score_val`: only the event of a
    trial that ended has one (kind ``trial_ended``; a control's in the stage ``control``). Scores of the ranking, and
    of a training on its way, are values under names of their own.

    The last event has the stage ``end`` and the kind ``run_ended``, whatever happens; `values["status"]` is finished,
    interrupted or failed, and `values["error"]` the error. An event may take 10 s, the last one 30 s. An observer
    that raises hears only the end.

    Args:
        event: What happened: the stage, a message, and where there is one the candidate and its score (a
            fraction), the best score so far, the seconds left.
    """
