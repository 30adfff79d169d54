"""recommend(): the stages in order.

load → profile → split → candidates → rank → search → decide → train → report. What is here is only their
order, the clock and what happens when one of them fails; each stage is a module of `autotl.stages`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from autotl.budget import Budget, Clock, Ledger
from autotl.cache import cache_folder
from autotl.data import load
from autotl.options import Options, refuse_hopeless, source_options
from autotl.plugins.manager import load_plugins
from autotl.protocols import Engine
from autotl.ranking import history
from autotl.records import Charge, Event, Trial
from autotl.run_folder import resume
from autotl.run_folder.journal import Journal, run_folder
from autotl.stages.context import Job
from autotl.stages.controls import control
from autotl.stages.deliver import finish
from autotl.stages.depth_profiles import measure_depths
from autotl.stages.load import prepare
from autotl.stages.rank import screen
from autotl.stages.search import probe, repeat
from autotl.stages.similarity import look
from autotl.stages.subsample import thin
from autotl.weights import hub

__all__ = ["Options", "recommend"]


def recommend(
    options: Options,
    *,
    observers: Sequence[Callable[[Event], None]] = (),
    started: float | None = None,
    clock: Clock = time.monotonic,
    connect: Callable[..., Engine] | None = None,
    fetch: Callable[..., Path] = hub.fetch,
    earlier: resume.Earlier | None = None,
    recipe: Trial | None = None,
) -> Path:
    """Runs the whole job and returns the run folder. With a `recipe` that is trained, and nothing is searched.

    `earlier` is a run to go on from: its trials are taken over and its folder is written on, for as long
    as `options.budget` says. `started` is when the command began, on `clock`; imports before this call
    then count in the budget.
    `connect` makes the engine (default: a worker process, `autotl.engine.client.connect`), `fetch` brings
    weights to this machine.
    Raises `DatasetError`, `BudgetError`, `UnknownNameError`, `RunError`, `EngineError`; on Ctrl-C writes
    what there is, with status "interrupted", and raises `KeyboardInterrupt` again.
    """
    budget = Budget(seconds=options.budget, start=clock() if started is None else started, clock=clock)
    ledger = Ledger(clock=clock)
    ledger.charges.append(Charge(stage="imports", seconds=budget.spent))
    past = history.read(options.history) if options.history else ()
    plugins = load_plugins()
    with ledger.charge("load"):
        data = load.load(options.source, source_options(options), plugins)
    refuse_hopeless(options.budget, len(data.files))
    if connect is None:
        from autotl.engine import client

        connect = client.connect
    folder = run_folder(options) if earlier is None else earlier.folder
    engine: Engine | None = None
    try:
        engine = connect(
            folder=folder,
            cache=cache_folder(),
            device=options.device,
            precision=options.precision,
            seed=options.seed,
            offline=options.offline,
        )
        ledger.meter = lambda: engine.spent
        journal = Journal(folder=folder, budget=budget, plugins=plugins, observers=observers)
        if earlier is not None:
            journal.before = earlier.state.seconds.get("total", 0.0)
        job = Job(
            options=options,
            budget=budget,
            ledger=ledger,
            plugins=plugins,
            journal=journal,
            engine=engine,
            fetch=fetch,
            earlier=earlier,
            past=past,
        )
    except BaseException:  # Ctrl-C may come at any line
        if engine is not None:
            engine.close()
        if earlier is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        prepare(job, data)
        if recipe is None:
            look(job)
            thin(job)
            screen(job)
            measure_depths(job)
            probe(job)
            control(job)
        else:
            repeat(job, recipe)
        finish(job, "finished")
    except BaseException as error:
        budget.cancelled.set()
        engine.close()
        if isinstance(error, KeyboardInterrupt) or any(done.score_val is not None for done in job.results):
            finish(job, "interrupted")  # with what was learnt
        elif earlier is None:
            shutil.rmtree(folder, ignore_errors=True)  # nothing was: leave no half-written folder
        raise
    finally:
        engine.close()
    return folder
