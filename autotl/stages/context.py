"""The tools that every stage of a run uses. What is learned stands in the records that stages return."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from autotl.budget import Budget, Clock, Ledger
from autotl.cache import cache_folder
from autotl.options import Options, settings_of
from autotl.plugins.manager import Plugins
from autotl.protocols import Engine, EngineCall
from autotl.ranking import history
from autotl.records import Dataset, Event
from autotl.run_folder.journal import Journal, claimed
from autotl.run_folder.lock import hold
from autotl.run_folder.resume import Earlier
from autotl.search.time_plan import TimePlan, plan_of
from autotl.weights import hub

__all__ = ["RunContext", "Tools", "open_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The tools that a run is made with; tests replace the clock and the engine."""

    clock: Clock = time.monotonic
    connect: Callable[..., Engine] | None = None  # starts the engine; None: the worker process
    fetch: Callable[..., Path] = hub.fetch  # brings weights to this machine
    observers: Sequence[Callable[[Event], None]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """One run's tools."""

    options: Options
    budget: Budget
    plan: TimePlan
    ledger: Ledger
    plugins: Plugins
    journal: Journal
    engine: Engine
    fetch: Callable[..., Path]
    history: tuple[history.PastRun, ...]  # past runs


@contextmanager
def open_run(
    options: Options,
    tools: Tools,
    budget: Budget,
    ledger: Ledger,
    plugins: Plugins,
    earlier: Earlier | None,
    *,
    data: Dataset,
    begun: bool = False,
) -> Iterator[RunContext]:
    """Make the run folder for some data and start the engine; close the engine when the block ends.

    `begun`: the folder is there, and an earlier run recorded nothing in it. The folder of a new run that ends without
    a result worth keeping is removed. Raises `RunError` for an `--out` that is not empty, and for a history that
    cannot be read.
    """
    past = history.read(options.history) if options.history else ()
    before = earlier.folder if earlier is not None else Path(str(options.out)) if begun else None
    with _held(options, before) as folder:
        engine: Engine | None = None
        journal: Journal | None = None
        try:
            engine = _connected(options, tools, plugins, folder)
            ledger = ledger.metered_by(engine)
            journal = Journal(
                folder=folder,
                budget=budget,
                ledger=ledger,
                plugins=plugins,
                observers=tools.observers,
                earlier=None if earlier is None else earlier.state,
            )
            with _ending(journal):
                yield RunContext(
                    options=options,
                    budget=budget,
                    plan=plan_of(options, data),
                    ledger=ledger,
                    plugins=plugins,
                    journal=journal,
                    engine=engine,
                    fetch=tools.fetch,
                    history=past,
                )
        finally:  # Ctrl-C may come at any line
            if engine is not None:
                engine.close()
            if before is None and (journal is None or not journal.worth_keeping):
                shutil.rmtree(folder, ignore_errors=True)
                with suppress(OSError):  # other runs are in it, or it is not ours
                    Path("runs").rmdir()


@contextmanager
def _ending(journal: Journal) -> Iterator[None]:
    """Write the last event when the block ends: how the run ended."""
    try:
        yield
    except KeyboardInterrupt:
        journal.end("interrupted")
        raise
    except BaseException as error:
        journal.end("failed", f"{type(error).__name__}: {error}")
        raise
    journal.end("finished")


def _connected(options: Options, tools: Tools, plugins: Plugins, folder: Path) -> Engine:
    """Return the engine that the options name, or that of the tools. Raises `EngineError` when it cannot be had."""
    cache = cache_folder()
    if tools.connect is not None:
        return tools.connect(
            folder=folder,
            cache=cache,
            device=options.device,
            precision=options.precision,
            seed=options.seed,
            offline=options.offline,
        )
    return plugins.make_engine(
        EngineCall(
            name=options.engine,
            settings=replace(settings_of(options), offline=options.offline),
            folder=str(folder.absolute()),
            cache=None if cache is None else str(cache),
            precision=options.precision,
            seed=options.seed,
            slots=options.slots,
        )
    )


@contextmanager
def _held(options: Options, before: Path | None) -> Iterator[Path]:
    """Hold the folder of the run against other writers: a new one, or that of the run `before`."""
    if before is None:
        with claimed(options) as folder:
            yield folder
    else:
        with hold(before):
            yield before
