"""The plugin manager: built-in and installed plugins through the same hooks, and what a broken one does."""

from __future__ import annotations

import gc
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from autotl.errors import DatasetError, EngineError, PluginError
from autotl.hookspecs import API_VERSION, OLDEST_API, hookimpl
from autotl.plugins import loading, manager, sandbox
from autotl.plugins.checked_planner import CheckedPlanner
from autotl.plugins.manager import OWN_PREFIXES, Plugins, load_plugins
from autotl.protocols import EngineCall, PlannerCall, SourceCall
from autotl.records import (
    BackboneSpec,
    Candidate,
    Dataset,
    Event,
    Goal,
    Phase,
    Preprocess,
    Ranked,
    Ranking,
    Settings,
    Strategy,
    Target,
    Trial,
    TrialResult,
)
from autotl.records.candidate_id import OWN_ORIGINS

SPEC = BackboneSpec(name="mine:net", build="mine:build")
PROBE = Strategy(name="linear_probe", summary="as before", head="autotl.builtin.heads:linear")


@pytest.fixture(autouse=True)
def _no_child_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """First imports in a child process have tests of their own, in tests/cli/test_standard_output.py."""
    monkeypatch.setattr(manager.first_import, "deadly", lambda points: {})


def guest(**functions: object) -> SimpleNamespace:
    marked = {
        name: hookimpl(function) if callable(function) else function for name, function in functions.items()
    }
    return SimpleNamespace(__name__="guest", **marked)


def test_autotls_own_prefixes_are_those_that_tables_leave_out() -> None:
    assert tuple(f"{origin}:" for origin in OWN_ORIGINS) == OWN_PREFIXES


def test_builtins_answer_every_listing_hook() -> None:
    loaded = load_plugins()
    assert not loaded.problems
    assert {"linear_probe", "knn", "fine_tune", "lp_ft"} <= set(loaded.strategies(None))
    assert {"linear", "knn", "logme"} <= set(loaded.scores())


def test_a_guest_adds_a_backbone() -> None:
    loaded = load_plugins([guest(register_backbones=lambda profile, settings: [SPEC])])
    assert loaded.backbones(None, Settings())["mine:net"] == SPEC


def test_a_guest_that_raises_is_named_and_the_others_go_on() -> None:
    def broken(profile: object) -> list[Strategy]:
        raise RuntimeError("boom")

    loaded = load_plugins([guest(register_strategies=broken)])
    assert "linear_probe" in loaded.strategies(None)
    (problem,) = loaded.problems
    assert problem.plugin == "guest" and problem.hook == "register_strategies" and "boom" in str(problem)


def test_a_broken_guest_is_not_called_again() -> None:
    calls = []

    def broken(event: Event) -> None:
        calls.append(event)
        raise ValueError("no")

    loaded = load_plugins([guest(on_event=broken)])
    for _ in range(3):
        loaded.notify(Event(time=0.0, stage="x", message="y"))
    loaded.close(Event(time=0.0, stage="end", message="y"))
    assert [event.stage for event in calls] == ["x", "end"]


def test_nonsense_is_refused_at_the_border() -> None:
    loaded = load_plugins([guest(register_backbones=lambda profile, settings: [SPEC, "resnet18"])])
    assert "mine:net" in loaded.backbones(None, Settings())
    assert "expected BackboneSpec" in str(loaded.problems[0])


@pytest.mark.parametrize("mark", [{}, {"tryfirst": True}, {"trylast": True}])
def test_a_guest_that_takes_the_name_of_a_built_in_loses_it(mark: dict[str, bool]) -> None:
    other = SimpleNamespace(__name__="guest")
    hook = hookimpl(lambda profile: [replace(PROBE, summary="another")], **mark)
    other.register_strategies = hook
    loaded = load_plugins([other])
    assert loaded.strategies(None)["linear_probe"].summary != "another"
    assert "autotl itself registers 'linear_probe'" in str(loaded.problems[0])
    assert not loaded.quarantined("guest")


def test_a_name_of_two_guests_is_used_by_neither() -> None:
    guests = {
        n: guest(register_strategies=lambda profile, n=n: [replace(PROBE, name="x", summary=n)]) for n in "ab"
    }
    loaded = load_plugins(guests)
    assert "x" not in loaded.strategies(None) and "linear_probe" in loaded.strategies(None)
    assert "neither is used" in str(loaded.problems[0])


@pytest.mark.parametrize("name", ["timm:resnet18.a1_in1k", "torchvision:resnet18", "autotl:new"])
def test_a_guests_backbone_has_a_prefix_of_its_own(name: str) -> None:
    loaded = load_plugins(
        [guest(register_backbones=lambda profile, settings: [replace(SPEC, name=name), SPEC])]
    )
    offered = loaded.backbones(None, Settings(wanted=(name,)))
    assert offered.get(name) is None or offered[name].build != SPEC.build
    assert "mine:net" in offered and "are autotl's own" in str(loaded.problems[0])


def test_two_packages_with_one_entry_point_name_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module, package in (("named_alike", "first"), ("another_alike", "second")):
        info = tmp_path / f"{package}-2.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.0\n")
        (info / "entry_points.txt").write_text(f"[autotl]\nmine = {module}\n")
        source = "from autotl.hookspecs import hookimpl\n@hookimpl\ndef register_scores():\n    return []\n"
        (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = load_plugins()
    assert not loaded.problems
    assert {"mine (first)", "mine (second)"} <= set(loaded.names())
    assert loaded.origins["mine (second)"] == ("second", "2.0")


@pytest.mark.parametrize("error", [ValueError("no rows"), KeyError("x")])
def test_a_reader_that_raises_is_named_before_the_error_of_the_next_one(
    tmp_path: Path, error: Exception
) -> None:
    def reads(source: str, options: dict[str, str]) -> None:
        raise error

    (tmp_path / "x.sqlite").write_bytes(b"0")
    expected = rf"^plugin 'guest', load_dataset: raised {type(error).__name__}.*Without it: .*single file"
    with pytest.raises(DatasetError, match=expected):
        load_plugins([guest(load_dataset=reads)]).load_dataset(str(tmp_path / "x.sqlite"), {})


def test_a_wrapper_is_refused() -> None:
    wrapper = SimpleNamespace(__name__="guest", register_scores=hookimpl(lambda: (yield), wrapper=True))
    assert "marked as a wrapper" in str(load_plugins([wrapper]).problems[0])


def test_heavy_imports_at_the_top_are_named(
    entry_point, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "jax.py").write_text("")
    entry_point(
        "import jax\nfrom autotl.hookspecs import hookimpl\n@hookimpl\ndef register_scores():\n    return []"
    )
    (problem,) = load_plugins().problems
    sys.modules.pop("jax", None)
    assert "imports jax at its top" in str(problem) and 'inside the function that "module:attr" names' in str(
        problem
    )


def test_a_misspelt_hook_is_named() -> None:
    loaded = load_plugins([guest(register_backbone=lambda profile, settings: [SPEC])])
    (problem,) = loaded.problems
    assert problem.hook == "register_backbone" and "register_backbones" in str(problem)
    assert "mine:net" not in loaded.backbones(None, Settings())


def test_a_dataset_error_of_a_guest_reaches_the_user() -> None:
    def reads(source: str, options: dict[str, str]) -> None:
        raise DatasetError("mine, and unreadable")

    with pytest.raises(DatasetError, match="mine, and unreadable"):
        load_plugins([guest(load_dataset=reads)]).load_dataset("x", {})


RANKING = Ranking(ranked=(Ranked(backbone="mine:net", input_size=64, expected=0.5),))
DEFAULT = SimpleNamespace(ask=lambda seconds: None, tell=lambda result: None)


KNN = Strategy(name="knn", summary="a head", head="autotl.builtin.heads:knn")
TUNE = Strategy(name="tune", summary="a fine-tuning", phases=(Phase(),), depths=True)
FACTS, COSTS = SimpleNamespace(rows=80, folds=0), SimpleNamespace()
BELIEF = SimpleNamespace(means=lambda points: [0.5] * len(points))


def planner_of(loaded: Plugins) -> CheckedPlanner | None:
    call = PlannerCall(
        profile=None, ranking=RANKING, seconds=1.0, strategies=(KNN, TUNE), facts=FACTS, costs=COSTS,
        belief=BELIEF, reserve=lambda: 7.0, goal=Goal(), default=DEFAULT,
    )  # fmt: skip
    return loaded.make_planner(call)


def trial(**changes: object) -> Trial:
    candidate = Candidate(backbone="mine:net", input_size=64, strategy="knn")
    return replace(Trial(id="a", candidate=candidate), **changes)  # type: ignore[arg-type]


def test_a_guest_wins_by_answering_and_yields_by_returning_none() -> None:
    loaded = load_plugins([guest(make_planner=lambda profile, ranking, seconds: None)])
    assert planner_of(loaded) is None
    own = SimpleNamespace(ask=lambda seconds: trial(), tell=lambda result: None)
    planner = planner_of(load_plugins([guest(make_planner=lambda profile, ranking, seconds: own)]))
    assert planner is not None and planner.ask(1.0) == trial()
    assert planner.ask(0.0) is None  # the time is over, whatever the guest says


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ("resnet18", "expected a Trial"),
        (trial(candidate=Candidate(backbone="mine:net", input_size=99, strategy="knn")), "ranking"),
        (trial(candidate=Candidate(backbone="mine:net", input_size=64, strategy="none")), "strategies are"),
        (trial(id="../x"), "id"),
        (trial(epochs=float("inf")), "epochs"),
        (trial(candidate=replace(trial().candidate, hyper=(("dropout", 0.5),))), "'dropout' in hyper"),
        (trial(evaluate_on=("test",)), "expected train and select"),
        (trial(rows=10), "on all images"),
        (trial(control="scratch"), "on all images"),
        (trial(id="final"), "autotl's own"),
        (trial(epochs=3.0), "it has no phases"),
        (trial(candidate=replace(trial().candidate, unfreeze=2)), "expected 0"),
        (trial(candidate=replace(trial().candidate, strategy="tune", unfreeze=1)), "more than 0"),
        (trial(candidate=replace(trial().candidate, strategy="tune"), epochs=3.0), "1, 2, … or 'all'"),
        (trial(resume_from="trials/x/model"), "a result of the same recipe"),
    ],
)
def test_a_planner_that_asks_for_nonsense_is_replaced(asked: object, word: str) -> None:
    own = SimpleNamespace(ask=lambda seconds: asked, tell=lambda result: None)
    loaded = load_plugins([guest(make_planner=lambda profile, ranking, seconds: own)])
    planner = planner_of(loaded)
    assert planner is not None and planner.ask(1.0) is None and planner.broken()
    assert word in str(loaded.problems[0])


@pytest.fixture
def entry_point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(source: str, name: str = "guest_module") -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        point = EntryPoint(name=name, value=name, group="autotl")
        monkeypatch.setattr(manager, "entry_points", lambda group: [point])
        sys.modules.pop(name, None)

    return install


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("import no_such_module_here", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("def f(: pass", "SyntaxError"),
        ("x = 1", "hookimpl"),
    ],
)
def test_a_guest_that_cannot_be_imported_is_named(entry_point, source: str, word: str) -> None:  # type: ignore[no-untyped-def]
    entry_point(source)
    loaded = load_plugins()
    assert "linear_probe" in loaded.strategies(None)
    (problem,) = loaded.problems
    assert problem.plugin == "guest_module" and word in str(problem)


def test_a_guest_that_hangs_at_import_is_named(entry_point, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(sandbox, "IMPORT_SECONDS", 0.2)
    entry_point("import time\ntime.sleep(3)")
    start = time.monotonic()
    loaded = load_plugins()
    assert time.monotonic() - start < 2.0
    assert "took over" in str(loaded.problems[0])


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (replace(SPEC, name=""), "name"),
        (replace(SPEC, name=["a", "list"]), "name"),  # type: ignore[arg-type]
        (replace(SPEC, build="my_package.net.build"), "module:attr"),
        (replace(SPEC, build=len), "build"),  # type: ignore[arg-type]
        (replace(SPEC, arguments={"activation": print}), "arguments"),
        (replace(SPEC, input_size=0), "input_size"),
        (replace(SPEC, input_size=16), "min_size"),
        (replace(SPEC, preprocess=Preprocess(mean=(123.7, 116.3, 103.5))), "divide by 255"),
        (replace(SPEC, preprocess=Preprocess(std=(0.0, 0.2, 0.2))), "std"),
        (replace(SPEC, published=71.3), "not percent"),
        (replace(SPEC, feature_dim=-1), "feature_dim"),
    ],
)
def test_a_backbone_that_makes_no_sense_is_refused_with_the_reason(spec: BackboneSpec, word: str) -> None:
    loaded = load_plugins([guest(register_backbones=lambda profile, settings: [spec])])
    assert spec not in loaded.backbones(None, Settings()).values()
    assert word in str(loaded.problems[0])


@pytest.mark.parametrize(
    ("strategy", "word"),
    [
        (replace(PROBE, head=None), "train nothing"),
        (replace(PROBE, phases=(Phase(trains="body"),)), "trains"),
        (replace(PROBE, phases=(Phase(trains="all"),), depths=True), "every depth"),
        (replace(PROBE, phases=(Phase(lr=float("nan")),)), "lr"),
        (replace(PROBE, phases=(Phase(share=-1.0),)), "share"),
        (replace(PROBE, name="probe:2"), "name"),
    ],
)
def test_a_strategy_that_makes_no_sense_is_refused_with_the_reason(strategy: Strategy, word: str) -> None:
    loaded = load_plugins([guest(register_strategies=lambda profile: [strategy])])
    assert strategy not in loaded.strategies(None).values()
    assert word in str(loaded.problems[0])


def test_a_dataset_that_makes_no_sense_leaves_the_source_to_the_next_reader(tmp_path: Path) -> None:
    target = Target(name="label", kind="multiclass", classes=("a", "b"), values=np.array([0, 7]))
    files = np.array(["/x", "/y"], dtype=object)
    data = Dataset(
        source="x", modality="image", files=files, names=files, targets=(target,), given=np.array([-1, -1])
    )
    loaded = load_plugins([guest(load_dataset=lambda source, options: data)])
    with pytest.raises(DatasetError, match="does not exist"):
        loaded.load_dataset(str(tmp_path / "missing"), {})  # the built-in reader's own answer
    assert "labels do not fit" in str(loaded.problems[0])


def small_set() -> Dataset:
    target = Target(name="label", kind="multiclass", classes=("a", "b"), values=np.array([0, 1]))
    files = np.array(["/x", "/y"], dtype=object)
    return Dataset(
        source="x", modality="image", files=files, names=files, targets=(target,), given=np.array([-1, -1])
    )


@pytest.mark.parametrize(
    ("reads", "used"),
    [
        (lambda call: small_set(), "none"),
        (lambda source: small_set(), "none"),
        (lambda source, options: small_set(), "none"),
        (lambda call: small_set() if call.options.get("label") is None else None, "--label"),
    ],
)
def test_an_option_that_a_reader_never_looks_at_is_refused(reads: object, used: str) -> None:
    loaded = load_plugins([guest(load_dataset=reads)])
    with pytest.raises(DatasetError) as refused:
        loaded.load_dataset("x", {"test": "t", "ignore_case": "True"})
    assert str(refused.value) == (
        "plugin 'guest' reads x and does not use --test, --ignore-case; expected options on the data that it uses "
        f"({used}); leave out --test, --ignore-case"
    )
    assert loaded.load_dataset("x", {}) is not None and not loaded.problems


@pytest.mark.parametrize(
    "look",
    [
        lambda options: options["group"],
        lambda options: options.get("group"),
        lambda options: "group" in options,
        dict,
        lambda options: {**options},
        lambda options: list(options.items()),
        lambda options: list(options.values()),
        lambda options: options.copy(),
    ],
)
@pytest.mark.parametrize("argument", ["call", "options"])
def test_an_option_that_a_reader_looks_at_is_its_own(argument: str, look: Callable[[Any], object]) -> None:
    def by_call(call: SourceCall) -> Dataset:
        look(call.options)
        return small_set()

    def by_options(options: dict[str, str]) -> Dataset:
        look(options)
        return small_set()

    reads = by_call if argument == "call" else by_options
    assert load_plugins([guest(load_dataset=reads)]).load_dataset("x", {"group": "person"}) is not None


def test_what_a_reader_that_passes_has_looked_at_is_not_what_the_next_one_uses() -> None:
    first = guest(load_dataset=lambda call: call.options["group"] and None)
    second = guest(load_dataset=lambda call: small_set())
    loaded = load_plugins({"second": second, "first": first})
    with pytest.raises(DatasetError, match=r"plugin 'second' .* --group"):
        loaded.load_dataset("x", {"group": "person"})


def test_of_two_planners_one_is_used_and_the_other_named() -> None:
    planners = {name: SimpleNamespace(ask=lambda seconds: None, tell=lambda result: None) for name in "ab"}
    guests = {name: guest(make_planner=lambda call, name=name: planners[name]) for name in "ab"}
    passes = guest(make_planner=lambda call: None)
    loaded = load_plugins({"passes": passes, **guests}, installed=False)
    planner = planner_of(loaded)
    assert isinstance(planner, CheckedPlanner) and planner.plugin == "b" and planner.planner is planners["b"]
    (problem,) = loaded.problems
    assert str(problem) == (
        "plugin 'a', make_planner: it plans, and plugin 'b' plans too and is used; expected one; uninstall the other"
    )
    assert not loaded.quarantined("a")


def test_a_module_that_is_only_in_the_current_directory_is_named_with_the_way_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_guest.py").write_text("import no_such_module_of_mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOTL_PLUGINS", "my_guest")
    monkeypatch.setattr(manager, "entry_points", lambda group: [])
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    (problem,) = load_plugins().problems
    assert "the current directory is not searched; add the folder of the module to PYTHONPATH" in str(problem)
    monkeypatch.syspath_prepend(str(tmp_path))
    (problem,) = load_plugins().problems
    assert "no_such_module_of_mine" in str(problem) and "PYTHONPATH" not in str(problem)


def test_a_guest_that_hangs_in_a_hook_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "CALL_SECONDS", 0.1)
    loaded = load_plugins([guest(register_backbones=lambda profile, settings: time.sleep(3))])
    start = time.monotonic()
    for _ in range(3):
        assert loaded.backbones(None, Settings(offline=True))
    assert time.monotonic() - start < 2.0
    assert "took over 0.1 s" in str(loaded.problems[0])


def test_a_guest_cannot_end_the_program() -> None:
    def leaves(profile: object) -> None:
        sys.exit(3)

    loaded = load_plugins([guest(register_strategies=leaves)])
    assert "linear_probe" in loaded.strategies(None)
    assert "SystemExit" in str(loaded.problems[0])


def test_all_calls_of_a_guest_come_from_one_thread() -> None:
    seen = set()
    loaded = load_plugins([guest(on_event=lambda event: seen.add(threading.get_ident()))])
    for _ in range(3):
        loaded.notify(Event(time=0.0, stage="x", message="y"))
    loaded.close(Event(time=0.0, stage="end", message="y"))
    assert len(seen) == 1 and threading.get_ident() not in seen


def test_a_guests_thread_ends_with_its_plugins() -> None:
    before = set(threading.enumerate())
    loaded = load_plugins([guest(on_event=lambda event: None)])
    loaded.notify(Event(time=0.0, stage="x", message="y"))
    (thread,) = [each for each in set(threading.enumerate()) - before if each.name == "plugin guest"]
    del loaded
    gc.collect()
    thread.join(5.0)
    assert not thread.is_alive()


def test_a_hook_without_its_mark_is_named() -> None:
    forgot = SimpleNamespace(
        __name__="guest", register_scores=lambda: (), on_event=hookimpl(lambda event: None)
    )
    (problem,) = load_plugins([forgot]).problems
    assert problem.hook == "register_scores" and "@hookimpl" in str(problem)


def test_a_hook_with_another_argument_is_named() -> None:
    (problem,) = load_plugins([guest(register_scores=lambda images: [])]).problems
    assert "images" in str(problem)


def test_a_guest_with_a_builtins_name_does_not_silence_it() -> None:
    impostor = guest(register_scores=lambda: ())
    impostor.__name__ = "autotl.scores"
    loaded = load_plugins([impostor])
    assert "logme" in loaded.scores()
    assert "taken twice" in str(loaded.problems[0])


def test_a_module_is_a_plugin_without_being_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = """
        from autotl.hookspecs import hookimpl
        from autotl.records import Score
        @hookimpl
        def register_scores():
            yield Score(name="mine", summary="nothing", compute="a_module_here:f")
    """
    (tmp_path / "a_module_here.py").write_text(textwrap.dedent(source))
    monkeypatch.setenv("AUTOTL_PLUGINS", "a_module_here")
    loaded = load_plugins()
    assert "mine" in loaded.scores() and "a_module_here" in loaded.names()
    assert not loaded.problems


def test_guests_can_be_switched_off(entry_point, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    entry_point("raise RuntimeError('never imported')")
    monkeypatch.setenv("AUTOTL_PLUGINS", "0")
    assert not load_plugins().problems


def test_a_class_as_plugin_is_explained() -> None:
    class Guest(ModuleType):
        pass

    (problem,) = load_plugins([Guest]).problems
    assert "names a class" in str(problem)


def test_what_is_wrong_is_one_line() -> None:
    def misnamed(setings: Settings) -> list[BackboneSpec]:
        return [SPEC]

    (problem,) = load_plugins([guest(register_backbones=misnamed)]).problems
    assert "setings" in str(problem) and "\n" not in str(problem)


def test_a_plugin_says_which_hooks_it_answers() -> None:
    loaded = load_plugins([guest(register_backbones=lambda: [SPEC], on_event=lambda event: None)])
    assert loaded.hooks("guest") == ["on_event", "register_backbones"]
    assert loaded.hooks("autotl.sources") == ["load_dataset"]


def test_a_planner_receives_what_the_default_one_receives() -> None:
    received: dict[str, object] = {}

    def make_planner(**arguments: object) -> None:
        received.update(arguments)

    takes_all = guest(make_planner=lambda costs, facts, strategies, seconds, ranking, profile: make_planner(
        costs=costs, facts=facts, strategies=strategies, seconds=seconds, ranking=ranking, profile=profile
    ))  # fmt: skip
    assert planner_of(load_plugins([takes_all])) is None
    assert received == {
        "profile": None, "ranking": RANKING, "seconds": 1.0, "strategies": (KNN, TUNE), "facts": FACTS, "costs": COSTS,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        (API_VERSION + 1, "install a newer autotl"),
        (
            OLDEST_API - 1,
            "install a newer version of the plugin, or change it (since version 2: each hook may take",
        ),
        ("1.0", "expected a whole number"),
    ],
)
def test_a_plugin_for_another_api_version_is_left_out_with_the_reason(stated: object, reason: str) -> None:
    plugin = guest(register_backbones=lambda profile, settings: [SPEC])
    plugin.AUTOTL_API_VERSION = stated
    plugins = load_plugins([plugin])
    assert "guest" not in plugins.names()
    (problem,) = plugins.problems
    assert problem.plugin == "guest" and repr(stated) in str(problem) and reason in str(problem)


@pytest.mark.parametrize("version", range(OLDEST_API, API_VERSION + 1))
def test_a_plugin_for_a_supported_api_version_is_accepted(version: int) -> None:
    plugin = guest(register_backbones=lambda profile, settings: [SPEC])
    plugin.AUTOTL_API_VERSION = version
    loaded = load_plugins([plugin])
    assert "mine:net" in loaded.backbones(None, Settings()) and not loaded.problems


def test_every_hook_takes_one_record(tmp_path: Path) -> None:
    """Fields can be added to a record without breaking a plugin; `on_event` takes its event."""
    calls: dict[str, object] = {}
    marked = {
        name: hookimpl(lambda call, name=name: calls.setdefault(name, call) and None)
        for name in loading.HOOKS
        if name != "on_event"
    }
    loaded = load_plugins([SimpleNamespace(__name__="guest", **marked)])
    loaded.backbones(None, Settings(offline=True))
    loaded.strategies(None)
    loaded.scores()
    with pytest.raises(DatasetError):
        loaded.load_dataset(str(tmp_path / "nothing"), {"label": "x"})
    planner_of(loaded)
    with pytest.raises(EngineError):
        loaded.make_engine(
            EngineCall(
                name="nowhere",
                settings=Settings(),
                folder="",
                cache=None,
                precision="auto",
                seed=0,
                slots=None,
            )
        )
    assert not loaded.problems and len(calls) == len(loading.HOOKS) - 1
    kinds = {type(call).__name__ for call in calls.values()}
    assert kinds == {"ListingCall", "SourceCall", "PlannerCall", "EngineCall"}
    assert calls["register_backbones"].settings.offline  # type: ignore[attr-defined]
    assert dict(calls["load_dataset"].options) == {"label": "x"}  # type: ignore[attr-defined]
    for call in calls.values():
        name = fields(call)[0].name  # type: ignore[arg-type]
        with pytest.raises(FrozenInstanceError):
            setattr(call, name, None)


def test_a_planner_may_delegate_to_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own:
        def __init__(self, call: PlannerCall) -> None:
            self.call = call

        def ask(self, seconds: float) -> Trial | None:
            return self.call.default.ask(seconds)

        def tell(self, result: object) -> None:
            pass

    asked = trial(id="t001", keep_model=True)
    monkeypatch.setattr(DEFAULT, "ask", lambda seconds: asked)
    planner = planner_of(load_plugins([guest(make_planner=lambda call: Own(call=call))]))
    assert planner is not None
    assert planner.ask(1.0) == asked and not planner.broken()  # the default planner's ids are its own


def test_a_planner_reads_belief_and_reserve_until_it_breaks() -> None:
    calls: list[PlannerCall] = []

    def ask(seconds: float) -> Trial:
        call = calls[0]
        assert call.belief.means([(trial().candidate, 0.0)]) == [0.5]
        assert call.reserve() == 7.0
        raise ValueError("boom")

    own = SimpleNamespace(ask=ask, tell=lambda result: None)
    loaded = load_plugins([guest(make_planner=lambda call: calls.append(call) or own)])
    planner = planner_of(loaded)
    assert planner is not None and planner.ask(1.0) is None
    assert "ValueError: boom" in str(loaded.problems[0])
    for read in (calls[0].reserve, lambda: calls[0].belief.means([]), lambda: calls[0].default.ask(1.0)):
        with pytest.raises(PluginError, match="broke"):
            read()


def test_a_planner_may_continue_what_it_trained() -> None:
    candidate = replace(trial().candidate, strategy="tune", unfreeze=1)
    short = trial(candidate=candidate, epochs=2.0)
    longer = trial(id="b", candidate=candidate, epochs=4.0, resume_from="m", resumed_epochs=2.0)
    asked = [short, longer, replace(longer, id="c", resumed_epochs=1.0)]
    own = SimpleNamespace(ask=lambda seconds: asked.pop(0), tell=lambda result: None)
    planner = planner_of(load_plugins([guest(make_planner=lambda call: own)]))
    assert planner is not None and planner.ask(1.0) == short
    planner.tell(TrialResult(trial=short, status="finished", score_val=0.5, model="m", epochs_done=2.0))
    assert planner.ask(1.0) == longer
    planner.ask(1.0)
    assert planner.broken()


REMOVED = {
    Strategy: ("objective", "sampler"),
    Phase: ("views", "dataset"),
    BackboneSpec: ("text_head", "modality"),
}


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, name) for kind, names in REMOVED.items() for name in names]
)
def test_a_field_that_nothing_obeys_is_an_error_that_names_plugin_and_field(kind: type, field: str) -> None:
    plugins = load_plugins([guest(register_strategies=lambda: [kind(**{field: 1})])])
    assert "linear_probe" in plugins.strategies(None)
    (problem,) = plugins.problems
    assert "'guest'" in str(problem) and f"'{field}'" in str(problem)


def test_a_phase_trains_no_unknown_word() -> None:
    strategy = replace(PROBE, name="mine", phases=(Phase(trains="selector"),))
    plugins = load_plugins([guest(register_strategies=lambda: [strategy])])
    assert "mine" not in plugins.strategies(None)
    assert "trains" in str(plugins.problems[0])
