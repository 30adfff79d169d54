"""recommend(): the stages in the order of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from autotl.budget import Budget, Ledger
from autotl.options import Options
from autotl.plugins.manager import load_plugins
from autotl.records import Dataset, Ranking, Trial
from autotl.records.trials import Charge
from autotl.run_folder.resume import Earlier
from autotl.stages.candidates import candidates
from autotl.stages.context import RunContext, Tools, open_run
from autotl.stages.controls import controls
from autotl.stages.decide import decide
from autotl.stages.deliver import deliver
from autotl.stages.depth_profiles import depth_profiles
from autotl.stages.interrupted import interrupted
from autotl.stages.load import load
from autotl.stages.profile import profile
from autotl.stages.rank import RankResult, rank
from autotl.stages.report import report
from autotl.stages.search import repeat, search
from autotl.stages.similarity import similarity
from autotl.stages.split import split
from autotl.stages.subsample import subsample

__all__ = ["Options", "Tools", "recommend"]

_TOOLS = Tools()


def recommend(
    options: Options,
    *,
    tools: Tools = _TOOLS,
    started: float | None = None,
    earlier: Earlier | None = None,
    recipe: Trial | None = None,
) -> Path:
    """Run load → split → profile → candidates → similarity → subsample → rank → depth profiles → search → decide →
    controls → decide → deliver → report, and return the run folder.

    `earlier` is a run to continue: its trials are taken over and its folder is written on, for as long as
    `options.budget` says. With a `recipe` that is trained instead of ranking and searching. `started` is when
    the command began, on the tools' clock; imports before this call then count in the budget.

    Raises `DatasetError`, `BudgetError`, `UnknownNameError`, `RunError`, `EngineError`. On Ctrl-C, and when a
    stage fails after a trial has a score, the run is concluded with what there is, and the exception goes on.
    """
    clock = tools.clock
    budget = Budget(seconds=options.budget, start=clock() if started is None else started, clock=clock)
    ledger = Ledger(clock=clock, charges=[Charge(stage="imports", seconds=budget.spent)])
    plugins = load_plugins()
    with ledger.charge("load"):
        data = load(options, plugins)
    with open_run(options, tools, budget, ledger, plugins, earlier) as context:
        try:
            _run(context, data, earlier, recipe)
        except BaseException as error:
            budget.cancelled.set()
            context.engine.close()
            if context.journal.recorded and (
                isinstance(error, KeyboardInterrupt) or context.journal.has_score
            ):
                interrupted(context)
            raise
    return context.journal.folder


def _run(context: RunContext, data: Dataset, earlier: Earlier | None, recipe: Trial | None) -> None:
    parts = split(context, data, earlier)
    setup = candidates(context, parts, profile(context, parts))
    if recipe is None:
        setup = replace(setup, similarity=similarity(context, setup))
        setup = replace(setup, parts=subsample(context, setup))
        ranked = depth_profiles(context, setup, rank(context, setup))
        setup = replace(setup, backbones=ranked.backbones, depth_profiles=ranked.depth_profiles)
        searched = search(context, setup, ranked)
    else:
        ranked = RankResult(ranking=Ranking(ranked=()), backbones=setup.backbones)
        searched = repeat(context, setup, recipe)
    verdict = decide(context, setup, searched.ranking, searched.probes, skipped=searched.skipped)
    controlled = controls(context, setup, ranked, searched, verdict)
    verdict = decide(
        context,
        setup,
        searched.ranking,
        searched.probes,
        controls=controlled.controls,
        skipped=searched.skipped,
    )
    deliver(context, setup, searched, verdict)
    report(context, "finished")
