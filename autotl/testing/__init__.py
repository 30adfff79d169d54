"""The plugin kit: named checks of what a plugin promises, the same that autotl's own parts pass.

In a plugin's tests, with pytest (each check is a test of its own; nothing else of pytest is needed):

    import pytest
    from autotl import testing

    @pytest.mark.parametrize("check", testing.checks("my_package"), ids=str)
    def test_contract(check):
        check()

or one by one, `testing.feature_width(spec)`: a check is a plain function that raises `ContractError` with
what was found, what was expected and what to do, and `unittest.SkipTest` where it cannot be made here.
On the command line: ``autotl check my_package``. Nothing here opens a connection.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import math
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from unittest import SkipTest

import msgspec
import numpy as np

from autotl import hookspecs
from autotl.builtin.builds import require_plain_arguments
from autotl.candidates.gather import sizes
from autotl.errors import AutotlError, PluginError, UnknownNameError
from autotl.plugins import validation
from autotl.plugins.manager import BUILTIN, BUILTIN_NAMES, CLASH, GROUP, Plugins, load_plugins
from autotl.plugins.sandbox import Room
from autotl.records import BackboneSpec, Event, Score, Settings, Strategy
from autotl.report.wording import sentences
from autotl.stats.folds import folds_for

if TYPE_CHECKING:
    from autotl.engine.check_support import Specimen

__all__ = [
    "BACKBONE",
    "HEAD",
    "PLUGIN",
    "SCORE",
    "STRATEGY",
    "Check",
    "ContractError",
    "Guest",
    "Outcome",
    "builds",
    "checks",
    "checks_of",
    "counted",
    "depths",
    "described",
    "deterministic",
    "feature_width",
    "few_rows",
    "find",
    "finite",
    "frozen",
    "gives_a_number",
    "higher_is_better",
    "hooks",
    "imports",
    "input_sizes",
    "layer_groups",
    "learns",
    "learns_classes",
    "listing",
    "names",
    "observes",
    "on_its_own",
    "order_does_not_matter",
    "other_sources",
    "outcomes",
    "plain_arguments",
    "quick",
    "repeatable",
    "resolves",
    "same_seed_same_head",
    "source_classifier",
    "survives_odd_data",
    "unfreezes",
    "unseen_classes",
    "without_weights",
]

LISTING_SECONDS = 1.0  # importing a plugin and asking what it has: every command that lists pays it
SCORE_SECONDS = 5.0  # a score of 500 rows, 512 wide; it is asked for some dozen times in a run
HANG_SECONDS = 30.0  # a fresh Python that does not answer by then hangs
CHECK_SECONDS = 120.0  # a check that takes longer hangs
HEAVY = ("torch", "torchvision", "timm", "tensorflow", "jax")
OWN_PREFIXES = ("autotl:", "timm:", "torchvision:")


class ContractError(AssertionError):
    """A plugin does not keep a promise; the text says which, with what was found."""


def _require(holds: object, message: str) -> None:
    if not holds:
        raise ContractError(message)


# --------------------------------------------------------------------------- checks as values


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
    def promise(self) -> str:
        """What is promised, as one sentence."""
        return " ".join((self.function.__doc__ or "").partition("\n\n")[0].split())

    def __call__(self) -> None:
        try:
            self.function(self.value)
        except (ContractError, SkipTest):
            raise
        except AutotlError as error:
            raise ContractError(str(error)) from error
        except Exception as error:
            raise ContractError(f"raised {type(error).__name__}: {error}") from error

    def __str__(self) -> str:
        return f"{self.subject} / {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a check."""

    subject: str
    check: str
    promise: str
    status: Literal["passed", "failed", "skipped"]
    message: str = ""
    seconds: float = 0.0


def checks(plugin: str | object) -> list[Check]:
    """Every check for a plugin and all that it contributes, as a list to parametrize a test with.

    `plugin` is what `find` understands, or a plugin object. A plugin that cannot be imported has one check,
    which fails. Raises `UnknownNameError` when there is no such plugin.
    """
    guests = find(plugin) if isinstance(plugin, str) else [Guest(name=_name_of(plugin), object=plugin)]
    return [check for guest in guests for check in _of_guest(guest)]


def checks_of(value: BackboneSpec | Strategy | Score) -> list[Check]:
    """The checks of one value, for a backbone that is not listed by default, or one under construction."""
    if isinstance(value, BackboneSpec):
        return [Check(f"backbone {value.name}", function, value) for function in BACKBONE]
    if isinstance(value, Score):
        return [Check(f"score {value.name}", function, value) for function in SCORE]
    found = [Check(f"strategy {value.name}", function, value) for function in STRATEGY]
    if isinstance(value.head, str):
        found += [Check(f"head {value.head}", function, value.head) for function in HEAD]
    return found


def outcomes(plugin: str | object, seconds: float = CHECK_SECONDS) -> Iterator[Outcome]:
    """Makes the checks of a plugin one by one; one that hangs has failed, and is left behind in its thread.

    What hung once is not asked again: the other checks of the same thing are skipped.
    """
    room = Room("check")
    hung: set[str] = set()
    for check in checks(plugin):
        status: Literal["passed", "failed", "skipped"] = "passed"
        message, begun = "", time.monotonic()
        try:
            if check.subject in hung:
                raise SkipTest("a check before this one hung")
            room.call(check, seconds)
        except SkipTest as reason:
            status, message = "skipped", str(reason)
        except ContractError as error:
            status, message = "failed", str(error)
        except RuntimeError as late:
            status, message = "failed", str(late)
            hung.add(check.subject)
            room = Room("check")
        yield Outcome(
            subject=check.subject,
            check=check.name,
            promise=check.promise,
            status=status,
            message=message,
            seconds=round(time.monotonic() - begun, 3),
        )


# --------------------------------------------------------------------------- finding plugins


@dataclass(slots=True, kw_only=True)
class Guest:
    """A plugin under examination: what it is called, what imports it, and what came of importing."""

    name: str
    value: str = ""  # "module" or "module:attr"; empty for an object that no import gives
    object: Any = None
    problem: str = ""  # why it cannot be imported

    def plugins(self) -> Plugins:
        """The built-ins and this guest, nobody else, freshly registered."""
        if self.value in BUILTIN:
            return load_plugins(guests=False)
        return load_plugins({self.name: self.object}, guests=False)


def find(target: str) -> list[Guest]:
    """The plugins that `target` means, imported.

    It is the name of an entry point of the group ``autotl``, a module, a Python file, a package's folder, or
    a project's folder with a pyproject.toml that names entry points. For a path, its folder is added to
    ``sys.path``. Raises `UnknownNameError` when nothing is meant, `PluginError` for a folder without plugin.
    """
    installed = {point.name: point.value for point in entry_points(group=GROUP)}
    installed |= dict(zip(BUILTIN_NAMES, BUILTIN, strict=True))
    if target in installed:
        return [_import(target, installed[target])]
    if Path(target).exists():
        return [_import(name, value) for name, value in _at_path(Path(target).resolve()).items()]
    if os.sep in target or not _importable(target.partition(":")[0]):
        raise UnknownNameError("plugin", target, installed, "(or name a module, a file or a folder)")
    return [_import(target, target)]


def _at_path(path: Path) -> dict[str, str]:
    """Entry points by name, of a file, a package or a project."""
    if path.name == "__init__.py":
        path = path.parent
    if path.is_file():
        _add_to_path(path.parent)
        return {path.stem: path.stem}
    if (path / "__init__.py").is_file():
        _add_to_path(path.parent)
        return {path.name: path.name}
    project = path / "pyproject.toml"
    if not project.is_file():
        raise PluginError(
            "the folder holds neither __init__.py nor pyproject.toml; expected a package or a project",
            plugin=str(path),
            hook="import",
        )
    with project.open("rb") as file:
        points = tomllib.load(file).get("project", {}).get("entry-points", {}).get(GROUP, {})
    if not points:
        raise PluginError(
            f'pyproject.toml names no plugin; expected [project.entry-points.{GROUP}] with name = "module"',
            plugin=str(path),
            hook="import",
        )
    _add_to_path(path)
    _add_to_path(path / "src")
    return dict(points)


def _add_to_path(folder: Path) -> None:
    if folder.is_dir() and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _import(name: str, value: str) -> Guest:
    try:
        found = Room(name).call(EntryPoint(name=name, value=value, group=GROUP).load, 30.0)
    except Exception as error:
        text = str(error) if type(error) is RuntimeError else f"{type(error).__name__}: {error}"
        return Guest(name=name, value=value, problem=f"import of {value}: {text}")
    return Guest(name=name, value=value, object=found)


def _name_of(plugin: object) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


def _of_guest(guest: Guest) -> list[Check]:
    subject = f"plugin {guest.name}"
    if guest.problem:
        return [Check(subject, imports, guest)]
    has = {hook for hook in vars(hookspecs) if getattr(guest.object, hook, None) is not None}
    found = [
        Check(subject, function, guest)
        for function in PLUGIN
        if _NEEDS.get(function.__name__, function.__name__) in {*has, function.__name__}
    ]
    plugins = guest.plugins()
    for values in _contributions(guest, plugins).values():
        for value in values.values():
            found += checks_of(value)
    seen: set[str] = set()  # two strategies may share a head
    return [check for check in found if not (str(check) in seen or seen.add(str(check)))]  # type: ignore[func-returns-value]


def _contributions(guest: Guest, plugins: Plugins) -> dict[str, dict[str, Any]]:
    """What the guest adds to (or, as a built-in, what it is of) the listings, by hook."""
    asked: dict[str, Callable[[Plugins], Mapping[str, Any]]] = {
        "register_backbones": lambda p: p.backbones(None, Settings(offline=True)),
        "register_strategies": lambda p: p.strategies(None),
        "register_scores": lambda p: p.scores(),
    }
    if guest.value in BUILTIN:
        return {hook: dict(ask(plugins)) for hook, ask in asked.items() if hasattr(guest.object, hook)}
    alone = load_plugins(guests=False)
    return {hook: _without(ask(plugins), ask(alone)) for hook, ask in asked.items()}


def _without(values: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in known}


# --------------------------------------------------------------------------- whole plugins


def imports(guest: Guest) -> None:
    """It can be imported."""
    _require(not guest.problem, guest.problem)


def hooks(guest: Guest) -> None:
    """Its hooks are spelt right, answer without an exception in time, and give values that make sense."""
    plugins = guest.plugins()
    first = _contributions(guest, plugins)
    problems = [problem for problem in plugins.problems if problem.hook != CLASH]
    _require(not problems, "; ".join(map(str, problems)))
    second = _contributions(guest, plugins)
    _require(first == second, "asked twice what it has, it gave two answers; expected the same each time")


def names(guest: Guest) -> None:
    """No name is taken by something else, and each backbone carries a prefix of the plugin's own."""
    plugins = guest.plugins()
    found = _contributions(guest, plugins)
    _require(not plugins.problems, "; ".join(map(str, plugins.problems)))
    if guest.value in BUILTIN:
        return
    for name in found["register_backbones"]:
        own = ":" in name and not name.startswith(OWN_PREFIXES)
        _require(
            own, f"the backbone is called {name!r}; expected a prefix of the plugin's own, as in 'mine:net'"
        )


def listing(guest: Guest) -> None:
    """Importing it and asking what it has is quick, loads no torch, prints nothing and opens no connection."""
    if not guest.value:
        raise SkipTest("it is an object, not a module that can be imported once more")
    facts = _listed(guest.value)
    if facts["seconds"] > LISTING_SECONDS:  # the machine may have been busy
        facts = min(facts, _listed(guest.value), key=lambda found: found["seconds"])
    _require(
        not facts["heavy"],
        f"importing it or asking what it has loads {', '.join(facts['heavy'])}; expected this only when a "
        'backbone is built: import it inside the function that "module:attr" names',
    )
    _require(not facts["connected"], "it opens a connection although told to stay offline")
    _require(not facts["printed"], f"it prints {facts['printed'][:80]!r}; standard output is for results")
    _require(
        facts["seconds"] <= LISTING_SECONDS,
        f"importing it and asking what it has took {facts['seconds']:.1f} s; expected at most "
        f"{LISTING_SECONDS:g} s, as each command that lists pays for it",
    )


def _listed(value: str) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from autotl.testing import _list; _list()", value],
            capture_output=True,
            text=True,
            check=False,
            timeout=HANG_SECONDS,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired as late:
        raise ContractError(
            f"importing it and asking what it has took over {HANG_SECONDS:g} s; expected at most {LISTING_SECONDS:g} s"
        ) from late
    wrong = next(reversed(done.stderr.strip().splitlines()), "")
    _require(done.returncode == 0, f"in a fresh Python it cannot be imported or asked what it has: {wrong}")
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


_LISTINGS: dict[str, dict[str, Any]] = {
    "register_backbones": {"profile": None, "settings": Settings(offline=True)},
    "register_strategies": {"profile": None},
    "register_scores": {},
}


def _list() -> None:
    """In a fresh process: imports the plugin that the last argument names, lists, and writes what happened."""
    import socket

    connected: list[str] = []

    def refuse(_self: socket.socket, address: object) -> None:
        connected.append(str(address))
        raise OSError("no connections while listing")

    value = sys.argv[-1]
    socket.socket.connect = refuse  # type: ignore[method-assign, assignment]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        before, begun = set(sys.modules), time.perf_counter()
        guest = Guest(name=value, value=value, object=EntryPoint(name=value, value=value, group=GROUP).load())
        imported = time.perf_counter() - begun
        loaded = guest.plugins()  # may import what the built-ins need, which is not the guest's doing
        begun = time.perf_counter()
        for hook, given in _LISTINGS.items():
            for found in getattr(loaded.manager.hook, hook).get_hookimpls():
                if found.plugin_name == guest.name:
                    list(found.function(*(given[name] for name in found.argnames)) or ())
        seconds = imported + time.perf_counter() - begun
    facts = {
        "seconds": seconds,
        "heavy": sorted((set(sys.modules) - before).intersection(HEAVY)),
        "printed": printed.getvalue(),
        "connected": connected,
    }
    print(json.dumps(facts))  # noqa: T201


def other_sources(guest: Guest) -> None:
    """Its reader answers None to sources that are none of its own."""
    if guest.value in BUILTIN:
        raise SkipTest("it is asked last, so it says what it expected instead")
    for source in ("no-such-folder-anywhere/", "no-such-table.csv", "unknown://nothing"):
        found = _implementation(guest, "load_dataset")(source=source, options={})
        _require(found is None, f"load_dataset answered {found!r:.60} to {source!r}; expected None")


def observes(guest: Guest) -> None:
    """Its observer takes the events of a run, with and without a candidate."""
    observe = _implementation(guest, "on_event")
    observe(event=Event(time=0.0, stage="load", message="12 images in 2 classes"))
    observe(
        event=Event(
            time=1.0, stage="probe", message="done", candidate="a:b@64/knn", score=0.5, best=0.5, left=9
        )
    )


def _implementation(guest: Guest, hook: str) -> Callable[..., Any]:
    """The hook as a plain function of the arguments it asks for."""
    for found in getattr(guest.plugins().manager.hook, hook).get_hookimpls():
        if found.plugin_name in {guest.name, *(BUILTIN_NAMES if guest.value in BUILTIN else ())}:
            return lambda **given: found.function(*(given[name] for name in found.argnames))
    raise ContractError(f"{hook} is not marked with @hookimpl")


PLUGIN: tuple[Callable[[Guest], None], ...] = (imports, hooks, names, listing, other_sources, observes)
_NEEDS = {"other_sources": "load_dataset", "observes": "on_event"}  # only where there is such a hook


# --------------------------------------------------------------------------- values


def described(value: BackboneSpec | Strategy | Score) -> None:
    """Its fields make sense, and it survives being written as JSON and read again."""
    wrong = validation.flaw(value)
    _require(wrong is None, str(wrong))
    again = msgspec.json.decode(msgspec.json.encode(value), type=type(value))
    _require(
        again == value,
        "it changes when written as JSON and read again; expected lists, not tuples, and texts as keys in arguments",
    )


def _resolved(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ContractError(f"{name!r} cannot be imported ({error}); correct the name") from error
    _require(callable(found), f"{name!r} is a {type(found).__name__}; expected something that can be called")
    return found  # type: ignore[no-any-return]


# --------------------------------------------------------------------------- backbones


def _images(side: int, count: int = 4) -> np.ndarray:
    """Different, smooth, coloured images (count, side, side, 3) uint8."""
    generator = np.random.default_rng(0)
    small = generator.integers(0, 255, (count, 4, 4, 3))
    at = (np.arange(side) * 4) // side
    noise = generator.normal(scale=12.0, size=(count, side, side, 3))
    return np.asarray((small[:, at][:, :, at] + noise).clip(0, 255), np.uint8)


@lru_cache(maxsize=1)
def _built(text: bytes, size: int | None = None) -> Specimen:
    from autotl.engine.check_support import Specimen

    return Specimen(msgspec.json.decode(text, type=BackboneSpec), size)


def _specimen(spec: BackboneSpec) -> Specimen:
    """The built backbone, built once for all its checks. Skips where its weights are not on this machine."""
    weights = spec.weights
    if weights is not None and weights.kind != "file" and not weights.present:
        raise SkipTest(
            f"its weights are not on this machine; autotl backbones --fetch {spec.name} brings them"
        )
    return _built(msgspec.json.encode(spec))


def plain_arguments(spec: BackboneSpec) -> None:
    """Its arguments describe the architecture; none makes the builder load or download."""
    require_plain_arguments(spec.arguments)


def builds(spec: BackboneSpec) -> None:
    """It is built offline, from its arguments, and its weights fit it exactly."""
    _specimen(spec)


def feature_width(spec: BackboneSpec) -> None:
    """An image gives a row of as many features as declared."""
    features = _specimen(spec).look(_images(spec.input_size))[0][-1]
    _require(
        features.ndim == 2 and len(features) == 4,
        f"four images gave features {features.shape}; expected (4, d)",
    )
    declared = spec.feature_dim
    _require(
        declared in (None, features.shape[1]),
        f"feature_dim is declared as {declared}, but the features are {features.shape[1]} wide; correct the spec, or "
        "say where the classifier is (classifier_name)",
    )


def counted(spec: BackboneSpec) -> None:
    """Parameters and multiply-accumulates are as declared, without the classifier."""
    net = _specimen(spec).net
    _require(
        spec.parameters in (None, net.parameter_count),
        f"parameters are declared as {spec.parameters}, but there are {net.parameter_count} without the classifier",
    )
    _require(
        spec.macs is None or math.isclose(spec.macs, net.macs, rel_tol=0.1),
        f"macs are declared as {spec.macs:.3g}, but one image at {spec.input_size} px takes {net.macs:.3g}"
        if spec.macs
        else "",
    )


def finite(spec: BackboneSpec) -> None:
    """Features are numbers, also of black and of white images, and not all the same."""
    specimen = _specimen(spec)
    images = _images(spec.input_size)
    images[0], images[1] = 0, 255
    groups, _ = specimen.look(images)
    for number, group in enumerate(groups, start=1):
        _require(np.isfinite(group).all(), f"layer group {number} gives values that are no numbers")
    spread = np.abs(groups[-1] - groups[-1].mean(0)).max()
    _require(
        spread > 1e-6,
        "four different images give the same features; is something zero, or are weights missing?",
    )


def deterministic(spec: BackboneSpec) -> None:
    """The same images give the same features each time: dropout and drop-path are off in eval mode."""
    specimen, images = _specimen(spec), _images(spec.input_size)
    first, second = specimen.look(images)[0][-1], specimen.look(images)[0][-1]
    _require(
        np.array_equal(first, second),
        "the same images gave other features the second time; expected a network that obeys eval(): is "
        "F.dropout called without training=self.training, or a statistic moved?",
    )


def on_its_own(spec: BackboneSpec) -> None:
    """An image's features do not depend on the other images of its batch."""
    specimen, images = _specimen(spec), _images(spec.input_size)
    together = specimen.look(images)[0][-1][:2]
    alone = specimen.look(images[:2])[0][-1]
    scale = float(np.abs(together).max()) or 1.0
    _require(
        np.allclose(alone, together, rtol=0.0, atol=1e-3 * scale),
        "two images give other features beside two more; expected no statistics of the batch in eval mode",
    )


def layer_groups(spec: BackboneSpec) -> None:
    """It falls into 2 to 6 layer groups in the order of running, each parameter in one, none nearly all of it."""
    net = _specimen(spec).net
    names = [name for group in net.layers.parameters for name in group]
    own = [name for name, _ in net.body.named_parameters()]
    _require(sorted(names) == sorted(own), "a parameter is in no layer group, or in two")
    owners = {name.rpartition(".")[0] for name in own}
    _require(
        len(net.layers.parameters) > 1 or len(owners) < 2,
        "everything is one layer group, so there is nothing between frozen and all; expected 2 to 6: does "
        "layer_pattern match the parameters' names, and tell stages apart by its groups?",
    )
    largest = max(net.layers.shares)
    _require(
        largest <= 0.9 or len(owners) < 4,
        f"one of {len(net.layers.shares)} layer groups takes {largest:.0%} of the time; expected them more even: "
        "give layer_pattern or group_matcher, see autotl.engine.backbone",
    )


def frozen(spec: BackboneSpec) -> None:
    """Training the last groups leaves the others, with the statistics of their norms, as they were bit for bit."""
    specimen, images = _specimen(spec), _images(spec.input_size)
    count = len(specimen.parameters())
    kept = specimen.net.groups
    for depth in sorted({0, 1, count - 1}):
        moved, _ = specimen.train(depth, images)
        still = {name for group in kept[: count - depth] for name in group}
        broken = sorted(name for name in moved if name in still or name.rpartition(".")[0] in still)
        _require(
            not broken,
            f"with depth {depth} of {count}, {broken[0] if broken else ''} moved; expected it frozen",
        )


def unfreezes(spec: BackboneSpec) -> None:
    """Each depth trains what it says: gradients reach the parameters of the groups that it unfreezes."""
    specimen, images = _specimen(spec), _images(spec.input_size)
    groups = specimen.parameters()
    for depth in sorted({1, len(groups)}):
        moved, without = specimen.train(depth, images)
        _require(
            not without,
            f"no gradient reaches {', '.join(sorted(without)[:3])}; expected parameters that the features depend "
            "on: is there a detach(), a no_grad(), or a layer that is not used?",
        )
        for group in groups[len(groups) - depth :]:
            _require(moved & set(group), f"with depth {depth}, nothing of {group[0]} and its group moved")


def without_weights(spec: BackboneSpec) -> None:
    """Built without its weights and filled from a saved state it is the same: how a trained model is loaded."""
    from autotl.engine.check_support import Specimen

    specimen, images = _specimen(spec), _images(spec.input_size)
    bare = Specimen(spec, pretrained=False)
    saved, fresh = specimen.state(), bare.state()
    other = sorted(saved.keys() ^ fresh.keys()) or [n for n in saved if saved[n].shape != fresh[n].shape]
    _require(not other, f"built without weights it has another architecture: {', '.join(other[:3])}")
    bare.load(saved)
    one, two = specimen.look(images)[0][-1], bare.look(images)[0][-1]
    _require(
        np.allclose(one, two, rtol=1e-4, atol=1e-5),
        "with the saved state it gives other features; expected all that is learnt in parameters and buffers",
    )


def input_sizes(spec: BackboneSpec) -> None:
    """It takes images of the sizes that a run may try: multiples of size_step from min_size on."""
    from autotl.engine.check_support import Specimen

    width = _specimen(spec).net.feature_dim
    others = [size for size in sizes(spec, 32) if size != spec.input_size]
    if spec.size_step:
        least = -(-spec.min_size // spec.size_step) * spec.size_step
        others += [least] if least < spec.input_size else []
    for size in dict.fromkeys(others):
        found = Specimen(spec, size).look(_images(size, 2))[0][-1]
        _require(found.shape == (2, width), f"at {size} px features are {found.shape}; expected (2, {width})")


def source_classifier(spec: BackboneSpec) -> None:
    """The classifier in its weights has as many classes as declared."""
    logits = _specimen(spec).look(_images(spec.input_size))[1]
    if logits is None:
        raise SkipTest("its weights hold no classifier on the features")
    _require(
        spec.source_classes in (0, logits.shape[1]),
        f"source_classes is declared as {spec.source_classes}, but the classifier tells {logits.shape[1]} apart",
    )


BACKBONE: tuple[Callable[[BackboneSpec], None], ...] = (
    described,
    plain_arguments,
    builds,
    feature_width,
    counted,
    finite,
    deterministic,
    on_its_own,
    layer_groups,
    frozen,
    unfreezes,
    without_weights,
    input_sizes,
    source_classifier,
)


# --------------------------------------------------------------------------- scores


def _features(
    classes: int = 3, rows: int = 60, width: int = 16, signal: float = 1.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (rows, width) float32 with classes as far apart as `signal` says, labels, folds."""
    generator = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    centres = signal * generator.normal(size=(classes, width))
    features = (centres[labels] + generator.normal(size=(rows, width))).astype(np.float32)
    return features, labels, folds_for(labels, None)


def _value(score: Score, features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> float:
    logits = None
    if score.needs_logits:
        # Made of the features, so that they go with their row into another order.
        width = max(10, int(labels.max()) + 1)
        logits = features @ np.random.default_rng(1).normal(size=(features.shape[1], width)).astype(
            np.float32
        )
        logits[np.arange(len(labels)), labels] += 3.0
    return float(_resolved(score.compute)(features, labels, folds, logits))


def gives_a_number(score: Score) -> None:
    """Features and labels give a finite number; two classes and features wider than rows do as well."""
    for what, case in {
        "three classes": _features(),
        "two classes": _features(classes=2),
        "more columns than rows": _features(rows=24, width=64),
        "many classes": _features(classes=20, rows=100),
    }.items():
        found = _value(score, *case)
        _require(math.isfinite(found), f"on {what} it is {found}; expected a finite number")


def survives_odd_data(score: Score) -> None:
    """Constant columns, constant features, or a class with one image end in a float, not in an exception."""
    features, labels, folds = _features()
    constant = features.copy()
    constant[:, :4] = 1.0
    single = np.where(np.arange(len(labels)) == 0, 3, labels)
    for case in (
        (constant, labels, folds),
        (np.ones_like(features), labels, folds),
        (features, single, folds),
    ):
        with np.errstate(all="ignore"):
            _value(score, *case)


def higher_is_better(score: Score) -> None:
    """Features that tell the classes apart score higher than noise, and cleaner ones higher still."""
    if score.needs_logits:
        raise SkipTest("it judges logits; made-up ones say nothing of it")
    noise, some, much = (_value(score, *_features(signal=signal)) for signal in (0.0, 0.5, 3.0))
    _require(
        noise < some < much,
        f"noise scores {noise:.4g}, weak features {some:.4g}, strong ones {much:.4g}; expected them to rise",
    )


def order_does_not_matter(score: Score) -> None:
    """Rows in another order, or classes with other numbers, give the same."""
    features, labels, folds = _features()
    value = _value(score, features, labels, folds)
    shuffled = np.random.default_rng(2).permutation(len(labels))
    for what, case in {
        "rows in another order": (features[shuffled], labels[shuffled], folds[shuffled]),
        "classes with other numbers": (features, (labels + 1) % 3, folds),
    }.items():
        if score.needs_logits and what.startswith("classes"):
            continue
        found = _value(score, *case)
        _require(
            math.isclose(found, value, rel_tol=1e-3, abs_tol=1e-4),
            f"{what} give {found:.6g} instead of {value:.6g}",
        )


def repeatable(score: Score) -> None:
    """The same features give the same, and are left as they were."""
    features, labels, folds = _features()
    kept = features.copy(), labels.copy(), folds.copy()
    first, second = _value(score, features, labels, folds), _value(score, features, labels, folds)
    _require(first == second, f"the same features gave {first:.6g}, then {second:.6g}; seed what is random")
    same = all(np.array_equal(a, b) for a, b in zip((features, labels, folds), kept, strict=True))
    _require(same, "it changed the arrays that it was given; work on a copy")


def quick(score: Score) -> None:
    """It takes little time and no torch: it is computed beside the training, again and again."""
    _resolved(score.compute)
    case = _features(classes=10, rows=500, width=512)
    begun, worked = time.monotonic(), time.process_time()
    _value(score, *case)
    # On a busy machine the processor's seconds are what it takes, on an idle one with many threads the clock's.
    seconds = min(time.monotonic() - begun, time.process_time() - worked)
    _require(
        seconds < SCORE_SECONDS,
        f"500 rows of 512 features took {seconds:.1f} s; expected under {SCORE_SECONDS:g}",
    )
    _require_light(score.compute, "a score is computed where torch is not")


def _require_light(name: str, why: str) -> None:
    module = name.partition(":")[0]
    program = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=CHECK_SECONDS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    heavy = sorted(set(done.stdout.split()).intersection(HEAVY))
    _require(not heavy, f"importing {module} loads {', '.join(heavy)}; {why}: use numpy, or import it inside")


SCORE: tuple[Callable[[Score], None], ...] = (
    described,
    gives_a_number,
    survives_odd_data,
    higher_is_better,
    order_does_not_matter,
    repeatable,
    quick,
)


# --------------------------------------------------------------------------- heads


def _fitted(
    name: str, classes: int, case: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int = 0
) -> np.ndarray:
    """Probabilities (rows, classes) of the rows that a head was fitted on."""
    from autotl.builtin.heads import Head
    from autotl.engine.check_support import probabilities

    head = _resolved(name)(*case[:2], classes, case[2], seed, np.ones(len(case[0])))
    _require(isinstance(head, Head), f"it gave a {type(head).__name__}; expected autotl.builtin.heads.Head")
    _require(head.kind in ("linear", "knn"), f"the kind of head is {head.kind!r}; expected linear or knn")
    width = case[0].shape[1]
    if head.kind == "linear":
        found = {key: array.shape for key, array in head.arrays.items()}
        wanted = {"weight": (classes, width), "bias": (classes,)}
        _require(found == wanted, f"its arrays are {found}; expected {wanted}")
    table = probabilities(head, classes, case[0])
    _require(np.isfinite(table).all(), "its probabilities are no numbers")
    _require(table.shape == (len(case[0]), classes), f"its answers are {table.shape} for {classes} classes")
    return table


def learns_classes(name: str) -> None:
    """On features that tell classes apart it is right nine times out of ten, with two classes and with many."""
    for classes in (2, 3, 10):
        case = _features(classes=classes, rows=100, signal=3.0)
        right = float((_fitted(name, classes, case).argmax(1) == case[1]).mean())
        _require(
            right >= 0.9,
            f"with {classes} classes far apart it is right in {right:.0%}; expected 90 % or more",
        )


def unseen_classes(name: str) -> None:
    """A class without a row keeps its place, and is not predicted."""
    case = _features(classes=3, signal=3.0)
    predicted = set(_fitted(name, 5, case).argmax(1).tolist())
    _require(predicted <= {0, 1, 2}, f"it predicts classes {sorted(predicted - {0, 1, 2})} that no row had")


def few_rows(name: str) -> None:
    """It can be fitted on one row a class, on constant columns, and on more columns than rows."""
    features, labels, folds = _features(rows=12, width=64)
    constant = features.copy()
    constant[:, ::2] = 0.0
    for case in ((features[:3], labels[:3], folds[:3]), (constant, labels, folds), (features, labels, folds)):
        with np.errstate(all="ignore"):
            _fitted(name, 3, case)


def same_seed_same_head(name: str) -> None:
    """The same rows and seed give the same head, and the features are left as they were."""
    case = _features()
    kept = case[0].copy()
    first, second = _fitted(name, 3, case, seed=3), _fitted(name, 3, case, seed=3)
    _require(np.array_equal(first, second), "the same rows and seed gave two heads; use the seed")
    _require(np.array_equal(case[0], kept), "it changed the features that it was given; work on a copy")


HEAD: tuple[Callable[[str], None], ...] = (learns_classes, unseen_classes, few_rows, same_seed_same_head)


# --------------------------------------------------------------------------- strategies


def resolves(strategy: Strategy) -> None:
    """Everything that it names can be imported, and its worth is a share that needs no torch."""
    for name in ("prepare", "head", "objective", "sampler", "combine"):
        if (named := getattr(strategy, name)) is not None:
            _resolved(named)
    for phase in strategy.phases:
        if ":" in phase.trains:
            _resolved(phase.trains)
    if strategy.worth is not None:
        from autotl.engine.check_support import TOY

        worth = float(_resolved(strategy.worth)(None, TOY, 60.0))
        _require(0.0 <= worth <= 1.0, f"its worth is {worth}; expected a share from 0 to 1")
        _require_light(strategy.worth, "worth is asked where torch is not")


def _trained(strategy: Strategy, depth: Any, classes: int = 3) -> tuple[float, list[bool]]:
    from autotl.engine.check_support import train_toy

    result, accuracy, moved = train_toy(strategy, depth, 8.0 if strategy.phases else 0.0, classes=classes)
    why = result.error or "; ".join(sentences(result.notes))
    _require(
        result.status == "finished",
        f"a small training with depth {depth!r} {result.status}: {why}; expected it to finish",
    )
    return accuracy, moved


def learns(strategy: Strategy) -> None:
    """A small training finishes and is right more often than chance, with two classes and with three."""
    depth = "all" if strategy.phases else 0
    for classes in (2, 3):
        accuracy, _ = _trained(strategy, depth, classes)
        _require(
            accuracy > 1.2 / classes,
            f"after a training on {classes} plain colours it is right in {accuracy:.0%}; expected more than chance",
        )


def depths(strategy: Strategy) -> None:
    """Depth k trains the last k layer groups and no other; without phases nothing of the backbone moves."""
    if strategy.phases and not strategy.depths:
        raise SkipTest("it takes no depth")
    for depth in (1, 2, "all") if strategy.depths else (0,):
        _, moved = _trained(strategy, depth)
        count = len(moved)
        wanted = [depth == "all" or index >= count - int(depth) for index in range(count)]
        _require(
            moved == wanted,
            f"with depth {depth!r} the layer groups that moved are {_numbers(moved)} of {count}; expected "
            f"{_numbers(wanted)}: a phase that trains 'k' follows the depth",
        )


def _numbers(flags: list[bool]) -> str:
    return ", ".join(str(number) for number, flag in enumerate(flags, start=1) if flag) or "none"


STRATEGY: tuple[Callable[[Strategy], None], ...] = (described, resolves, learns, depths)
