"""recommend(): the stages of a run, in their order.

A stage is one module of ``stages/`` with one public function. It takes the run's tools and the records of the
stages before it, works with files, clock and engine, and returns a record; what it decides is computed by the pure
package named beside it.

=================  ==========================================================  =====================================
stage              returns                                                     pure package
=================  ==========================================================  =====================================
load               the labelled items of the source                            data (readers: builtin/sources/)
split              which item trains, selects and tests; decoded items         data, modality (decoding)
profile            size, balance and quality of the data; the metric           data, stats (metrics)
candidates         backbones and strategies within the limits                  candidates, weights (downloads)
doctor             copies, undeclared groups, odd test images, shortcuts;      data (doctor, groups, duplicates, shift,
                   the parts again, with what belongs together on one side     shortcuts)
geometry           whether long images are cropped, squashed or padded        ranking
similarity         how near the images are to ImageNet                         ranking
subsample          a sample, where all items do not fit into the budget        search (time_plan.py)
rank               the order of backbones before training, by scores           ranking (scores: builtin/scores.py)
depth_profiles     how good frozen features are after each layer group         ranking
search             short trainings (probes) of what the planner asks for       search (planner, belief, costs)
rescore            the order again, with the scores of linear probes on all       ranking (screening.py)
                   train images whose features are stored by now
decide             winner, ties and leaderboard, from all trials so far        decision
controls           trainings that never compete: from scratch, pixels,         decision (controls.py)
                   shuffled labels
recheck            labels that are probably wrong, and what a random split     data (labels, naive)
                   would have shown, from stored features
deliver            the winner trained, on images outside the sample too,       search (final_fit.py), data (unsampled.py),
                   tested once, calibrated                                     decision, stats
label_columns      heads for further label columns, each beside a training on     decision (label_columns.py)
                   it alone, if there are some
distil             a smaller backbone that learns from the winner, if asked    decision (distilled.py), search
report             HTML, Markdown, leaderboard, model card                     report (sections/; all sentences:
                                                                               report/wording/)
=================  ==========================================================  =====================================

Backbones, strategies, heads and scores that come with autotl are values in ``builtin/``, registered through the
same hooks (``hookspecs.py``) as those of plugins (``plugin.py`` is what a plugin imports, ``plugins/`` loads and
checks it). ``engine/`` is the only place with torch: a worker process behind the protocol in ``protocols.py``.
``embedded/`` holds weights of the small backbones that are part of the package. ``search/time_plan.py`` divides
the budget.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from autotl.budget import Budget, Ledger
from autotl.cache import disk_full
from autotl.options import Options
from autotl.plugins.manager import load_plugins
from autotl.records import Dataset, Kind, Trial, fact
from autotl.records.trials import Charge
from autotl.run_folder import config
from autotl.run_folder.resume import Earlier
from autotl.stages.candidates import candidates
from autotl.stages.conclude import conclude_interrupted
from autotl.stages.context import RunContext, Tools, open_run
from autotl.stages.controls import controls
from autotl.stages.decide import decide
from autotl.stages.deliver import deliver
from autotl.stages.depth_profiles import depth_profiles
from autotl.stages.distil import distil
from autotl.stages.doctor import doctor
from autotl.stages.geometry import geometry
from autotl.stages.label_columns import label_columns
from autotl.stages.load import load
from autotl.stages.profile import profile
from autotl.stages.rank import rank
from autotl.stages.recheck import recheck
from autotl.stages.report import report
from autotl.stages.rescore import rescore
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
    begun: bool = False,
    recipe: Trial | None = None,
) -> Path:
    """Run all stages and return the run folder.

    `earlier` is a run to continue: its trials are taken over and its folder is written on, for
    `options.budget` seconds. `begun`: the folder `options.out` is that of a run that recorded nothing, which begins
    again. With a `recipe` that is trained instead of ranking and searching. `started` is when
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
    with open_run(options, tools, budget, ledger, plugins, earlier, data=data, begun=begun) as context:
        if earlier is None and recipe is None:
            config.write(options, context.journal.folder)
        if begun:
            context.journal.note(fact(Kind.BEGUN_AGAIN))
        try:
            _run(context, data, earlier, recipe)
        except BaseException as error:
            budget.cancelled.set()
            context.engine.close()
            if context.journal.recorded and (
                isinstance(error, KeyboardInterrupt) or context.journal.has_score
            ):
                conclude_interrupted(context, full=disk_full(error))
            raise
    return context.journal.folder


def _run(context: RunContext, data: Dataset, earlier: Earlier | None, recipe: Trial | None) -> None:
    parts = split(context, data, earlier)
    setup = doctor(context, candidates(context, parts, profile(context, parts)))
    setup = geometry(context, setup)
    if recipe is None:
        setup = replace(setup, similarity=similarity(context, setup))
        setup = replace(setup, parts=subsample(context, setup))
        ranked = depth_profiles(context, setup, rank(context, setup))
        setup = replace(setup, backbones=ranked.backbones, depth_profiles=ranked.depth_profiles)
        searched = rescore(context, setup, search(context, setup, ranked))
    else:
        searched = repeat(context, setup, recipe)
    verdict = decide(context, setup, searched)
    controlled = controls(context, setup, searched, verdict)
    verdict = decide(context, setup, searched, controlled)  # the controls say what pretraining is worth
    recheck(context, setup, searched)
    delivered = deliver(context, setup, searched, verdict)
    label_columns(context, setup, searched, delivered)
    distil(context, setup, searched, delivered)
    report(context, "finished")
