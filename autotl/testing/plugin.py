"""Checks of a whole plugin: its import, its hooks, its names, the cost of listing it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from unittest import SkipTest

from autotl import modality
from autotl.budget import Allowance
from autotl.plugins import validation
from autotl.plugins.loading import HEAVY, run
from autotl.plugins.manager import BUILTIN, BUILTIN_NAMES, GROUP, OWN_PREFIXES, Plugins, load_plugins
from autotl.plugins.sandbox import CLASH, Overdue
from autotl.protocols import Engine, EngineCall, ListingCall, PlannerCall, Slot, SourceCall
from autotl.records import (
    Candidate,
    Dataset,
    Event,
    Goal,
    Kind,
    Phase,
    Ranked,
    Ranking,
    Settings,
    Status,
    Strategy,
    Trial,
    TrialResult,
)
from autotl.search.planner import DefaultPlanner, Facts
from autotl.testing.contract import HANG_SECONDS, LISTING_SECONDS, ContractError, require
from autotl.testing.discovery import Plugin
from autotl.testing.strategy import PROFILE


def imports(plugin: Plugin) -> None:
    """It can be imported."""
    require(not plugin.problem, plugin.problem)


def hooks(plugin: Plugin) -> None:
    """Its hooks are spelt right, return in time without an exception, and return valid values."""
    plugins = plugin.plugins()
    first = contributions(plugin, plugins)
    problems = [problem for problem in plugins.problems if problem.hook != CLASH]
    require(not problems, "; ".join(map(str, problems)))
    if plugin.value not in BUILTIN:
        require(plugin.name in plugins.names(), "it is not registered")
    second = contributions(plugin, plugins)
    require(first == second, "two calls returned different values; expected the same each time")


def names(plugin: Plugin) -> None:
    """No name is used for something else, and each backbone has a prefix of the plugin's own."""
    plugins = plugin.plugins()
    registered = contributions(plugin, plugins)
    if plugin.broken():
        raise SkipTest("a hook is broken, see the check of the hooks")
    clashes = [problem for problem in plugins.problems if problem.hook == CLASH]
    require(not clashes, "; ".join(map(str, clashes)))
    if plugin.value in BUILTIN:
        return
    for name in registered["register_backbones"]:
        own = ":" in name and not name.startswith(OWN_PREFIXES)
        require(
            own, f"the backbone is called {name!r}; expected a prefix of the plugin's own, as in 'mine:net'"
        )


def listing(plugin: Plugin) -> None:
    """Importing it and listing what it registers is quick, loads no torch, prints nothing, opens no connection."""
    if not plugin.value:
        raise SkipTest("it is an object, not a module that can be imported once more")
    if plugin.broken():
        raise SkipTest("a hook is broken, see the check of the hooks")
    facts = _listed(plugin.value)
    if facts["seconds"] > LISTING_SECONDS:  # the machine may have been busy
        facts = min(facts, _listed(plugin.value), key=lambda listing: listing["seconds"])
    require(
        not facts["heavy"],
        f"importing or listing it loads {', '.join(facts['heavy'])}; expected this only when a "
        'backbone is built: import it inside the function that "module:attr" names',
    )
    require(not facts["connected"], "it opens a connection although settings.offline is set; expected none")
    require(
        not facts["printed"],
        f"it prints {facts['printed'][:80]!r}; expected nothing",
    )
    require(
        facts["seconds"] <= LISTING_SECONDS,
        f"importing and listing it took {facts['seconds']:.1f} s; expected at most {LISTING_SECONDS:g} s, as each "
        "command that lists waits for it: import what is slow inside the function that uses it",
    )


def _listed(value: str) -> dict[str, Any]:
    try:
        process = subprocess.run(
            [sys.executable, "-c", "from autotl.testing.plugin import list_alone; list_alone()", value],
            capture_output=True,
            text=True,
            check=False,
            timeout=HANG_SECONDS,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired as late:
        raise ContractError(
            f"importing and listing it took over {HANG_SECONDS:g} s; expected at most {LISTING_SECONDS:g} s"
        ) from late
    error = next(reversed(process.stderr.strip().splitlines()), "")
    require(process.returncode == 0, f"it cannot be imported or listed in a new Python process: {error}")
    facts: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return facts


_OFFLINE = Settings(offline=True)
_CALL = ListingCall(profile=None, settings=_OFFLINE)
_LISTINGS: dict[str, dict[str, Any]] = {
    "register_backbones": {"call": _CALL, "profile": None, "settings": _OFFLINE},
    "register_strategies": {"call": _CALL, "profile": None},
    "register_scores": {"call": _CALL},
}


def list_alone() -> None:
    """Import and list the plugin that the last command-line argument names; print seconds and side effects as JSON."""
    connected: list[str] = []

    def note(_self: socket.socket, address: object) -> None:
        connected.append(str(address))
        raise OSError("no connections while listing")

    value = sys.argv[-1]
    socket.socket.connect = note  # type: ignore[method-assign, assignment]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        before, begun = set(sys.modules), time.perf_counter()
        plugin = Plugin(
            name=value, value=value, object=EntryPoint(name=value, value=value, group=GROUP).load()
        )
        imported = time.perf_counter() - begun
        plugins = plugin.plugins()  # may import what the built-in plugins need: not counted
        begun = time.perf_counter()
        for hook, arguments in _LISTINGS.items():
            for implementation in getattr(plugins.manager.hook, hook).get_hookimpls():
                if implementation.plugin_name == plugin.name:
                    list(run(implementation, arguments) or ())
        seconds = imported + time.perf_counter() - begun
    facts = {
        "seconds": seconds,
        "heavy": sorted((set(sys.modules) - before).intersection(HEAVY)),
        "printed": printed.getvalue(),
        "connected": connected,
    }
    print(json.dumps(facts))  # noqa: T201


def other_sources(plugin: Plugin) -> None:
    """load_dataset returns None for sources that are not its own."""
    if plugin.value in BUILTIN:
        raise SkipTest("it comes last, so it raises an error that states what was expected")
    for source in ("no-such-folder-anywhere/", "no-such-table.csv", "unknown://nothing"):
        call = SourceCall(source=source, options={})
        value = _implementation(plugin, "load_dataset")(call=call, source=source, options={})
        require(value is None, f"load_dataset returned {value!r:.60} for {source!r}; expected None")


def reads(plugin: Plugin) -> None:
    """Its sample is a valid data set, the same when loaded again, and the first image of it can be decoded."""
    sample = getattr(plugin.object, SAMPLE, None)
    if sample is None:
        raise SkipTest(
            f"it has no sample; define {SAMPLE}(folder) in the plugin's module: it writes a small source into the "
            "folder and returns what a user would name as DATA"
        )
    with tempfile.TemporaryDirectory() as folder:
        source = str(sample(Path(folder)))
        first, second = (_loaded(plugin, source) for _ in range(2))
        require(
            first.fingerprint == second.fingerprint and first.names.tolist() == second.names.tolist(),
            f"{source} gave another fingerprint or other names when loaded again; expected the same for equal contents",
        )
        file = str(first.files[0])
        require(
            os.path.isfile(file), f"the first item is {file}, which is no file; expected the path of an image"
        )
        decoded = modality.get(first.modality).decode(
            [file], Path(folder) / "decoded", allowance=Allowance(deadline=time.monotonic() + HANG_SECONDS)
        )
        require(
            bool(decoded.present[0]),
            f"the first item, {file}, cannot be decoded ({decoded.errors.get(0, 'it took too long')}); expected an image",
        )


def _loaded(plugin: Plugin, source: str) -> Dataset:
    call = SourceCall(source=source, options={})
    value = _implementation(plugin, "load_dataset")(call=call, source=source, options={})
    require(
        isinstance(value, Dataset),
        f"load_dataset returned {value!r:.60} for the sample {source}; expected a Dataset",
    )
    flaw = validation.flaw(value)
    require(flaw is None, f"of what load_dataset returned for the sample {source}: {flaw}")
    require(len(value.files) > 0, f"the sample {source} has no item; expected two or more, of two classes")
    return value  # type: ignore[no-any-return]


def observes(plugin: Plugin) -> None:
    """on_event takes the events of a run, with and without a candidate, and its end."""
    observe = _implementation(plugin, "on_event")
    for event in _events(os.getcwd()):
        observe(event=event)


def _events(folder: str) -> list[Event]:
    """Return the events of a run that was interrupted: of a kind with and without a candidate, and the end."""
    return [
        Event(time=0.0, stage="load", message="12 images in 2 classes", kind=Kind.LOADED, folder=folder),
        Event(
            time=1.0, stage="probe", message="accuracy 50.0", kind=Kind.TRIAL_ENDED, candidate="a:b@64/knn",
            score=0.5, best=0.5, left=9, folder=folder,
        ),
        Event(
            time=2.0, stage="end", message="run interrupted", kind=Kind.RUN_ENDED, folder=folder,
            values={"status": "interrupted", "error": ""},
        ),
    ]  # fmt: skip


@contextlib.contextmanager
def nowhere_else() -> Iterator[None]:
    """Work in a folder that is removed, and refuse connections; what asked for one is skipped.

    Both are of the whole process, so they are undone by the thread that waits for the check: the check's own
    thread may never come back.
    """
    before, connect, connected = os.getcwd(), socket.socket.connect, list[str]()

    def refuse(_self: socket.socket, address: object) -> None:
        connected.append(str(address))
        raise OSError("a check opens no connection")

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        socket.socket.connect = refuse  # type: ignore[method-assign, assignment]
        try:
            yield
        except Exception as error:
            if connected and not isinstance(error, Overdue):
                raise SkipTest(
                    f"it connects to {connected[0]}, and a check sends its events nowhere"
                ) from None
            raise
        finally:
            socket.socket.connect = connect  # type: ignore[method-assign]
            os.chdir(before)


def _implementation(plugin: Plugin, hook: str) -> Callable[..., Any]:
    """Return the hook as a function of all its arguments, of which the implementation takes some."""
    for implementation in getattr(plugin.plugins().manager.hook, hook).get_hookimpls():
        if implementation.plugin_name in {plugin.name, *(BUILTIN_NAMES if plugin.value in BUILTIN else ())}:
            return lambda **arguments: run(implementation, arguments)
    raise ContractError(f"{hook} is not marked with @hookimpl")


def makes_engine(plugin: Plugin) -> None:
    """make_engine returns None for names that are not its own, and for its own a whole engine that can be closed."""
    make = _implementation(plugin, "make_engine")
    with tempfile.TemporaryDirectory() as folder:
        other = make(call=_engine_call("no-such-engine-anywhere", folder))
        require(
            other is None, f"make_engine returned {other!r:.60} for an engine of another name; expected None"
        )
        name = getattr(plugin.object, ENGINE, None)
        if name is None:
            raise SkipTest(
                f"it does not say what its engine is called; define {ENGINE} in the plugin's module: the name after "
                "--engine, of an engine that can be had without connections"
            )
        engine = make(call=_engine_call(str(name), folder))
        missing = validation.lacking(engine, Engine)
        require(not missing, f"the engine {name} lacks {', '.join(missing)}; expected autotl.plugin.Engine")
        try:
            require(len(engine.slots) > 0, f"the engine {name} has no slot; expected one or more")
            lost = [missing for slot in engine.slots for missing in validation.lacking(slot, Slot)]
            require(
                not lost, f"a slot of the engine {name} lacks {', '.join(lost)}; expected autotl.plugin.Slot"
            )
        finally:
            engine.close()
        engine.close()  # a run may close it twice


def _engine_call(name: str, folder: str) -> EngineCall:
    settings = Settings(offline=True, device="cpu")
    return EngineCall(
        name=name, settings=settings, folder=folder, cache=None, precision="fp32", seed=0, slots=1
    )


ENGINE = "autotl_check_engine"  # in a plugin's module: the name of its engine, for the check
SAMPLE = "autotl_check_source"  # function of a plugin's module that writes a small source for the check
_STRATEGIES = (
    Strategy(name="probe", summary="a head", head="autotl.builtin.heads:linear"),
    Strategy(name="tune", summary="a fine-tuning", phases=(Phase(),), depths=True),
)
_RANKING = Ranking(
    ranked=tuple(
        Ranked(backbone=f"toy:{n}", input_size=64, expected=0.5, rows=80, seconds_per_image=1e-3)
        for n in range(3)
    )
)
_EARLIER = tuple(
    TrialResult(
        trial=Trial(
            id=f"t{n:03d}", candidate=Candidate(backbone=f"toy:{n}", input_size=64, strategy="probe")
        ),
        status="finished",
        score_val=0.5,
    )
    for n in range(2)
)
_SECONDS = 60.0  # of the made-up search


def plans(plugin: Plugin) -> None:
    """make_planner returns None or a planner that takes earlier results, such as t000, and proposes valid trials."""
    _search(plugin.plugins(), _EARLIER[:1], 0, "finished")
    _search(plugin.plugins(), _EARLIER, len(_EARLIER), "failed")


def _search(plugins: Plugins, before: Sequence[TrialResult], continued: int, status: Status) -> None:
    """Let the plugin plan a search whose trials all end with a status.

    `before` are the results that there are already: those of a run that is `continued`, and in a new run the
    ranking's own probe.
    """
    _drive(plugins, before, continued, status)
    own = [problem for problem in plugins.problems if problem.hook in {"make_planner", "ask", "tell"}]
    require(not own, "; ".join(map(str, own)))


def _drive(plugins: Plugins, before: Sequence[TrialResult], continued: int, status: Status) -> None:
    facts = Facts(rows=80, rows_final=100, rows_select=20, rows_test=0, trials=continued)
    default = DefaultPlanner(ranked=_RANKING.ranked, strategies=_STRATEGIES, facts=facts)
    guest = plugins.make_planner(
        PlannerCall(
            profile=PROFILE, ranking=_RANKING, seconds=_SECONDS, strategies=_STRATEGIES, facts=facts,
            costs=default.costs, belief=default.belief, reserve=default.reserve, goal=Goal(), default=default,
        )
    )  # fmt: skip
    if guest is None:
        return

    def tell(result: TrialResult) -> None:
        default.tell(result)
        guest.tell(result)

    for result in before:
        tell(result)
    left = _SECONDS
    while not guest.broken() and (trial := guest.ask(left)) is not None:
        left -= 1.0 + default.costs.probe(trial.candidate, trial.epochs, trial.resumed_epochs)
        score = 0.5 if status == "finished" else None
        tell(TrialResult(trial=trial, status=status, score_val=score, epochs_done=trial.epochs))


PLUGIN: tuple[Callable[[Plugin], None], ...] = (
    imports,
    hooks,
    names,
    listing,
    other_sources,
    reads,
    plans,
    makes_engine,
    observes,
)
# The checks that are made only where there is such a hook.
NEEDS = {
    "other_sources": "load_dataset",
    "reads": "load_dataset",
    "plans": "make_planner",
    "makes_engine": "make_engine",
    "observes": "on_event",
}
# What is around a check while it is made, in the thread that waits for it.
AROUND: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {"observes": nowhere_else}


def contributions(plugin: Plugin, plugins: Plugins) -> dict[str, dict[str, Any]]:
    """Return what the plugin registers, by hook and name."""
    listings: dict[str, Callable[[Plugins], Mapping[str, Any]]] = {
        "register_backbones": lambda p: p.backbones(None, Settings(offline=True)),
        "register_strategies": lambda p: p.strategies(None),
        "register_scores": lambda p: p.scores(),
    }
    if plugin.value in BUILTIN:
        return {
            hook: dict(list_all(plugins))
            for hook, list_all in listings.items()
            if hasattr(plugin.object, hook)
        }
    builtin = load_plugins(installed=False)
    return {hook: _without(list_all(plugins), list_all(builtin)) for hook, list_all in listings.items()}


def _without(values: Mapping[str, Any], builtin: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in builtin}
