"""The plugin kit: everything built in keeps every promise, and each check catches the mistake it is for."""

from __future__ import annotations

import os
import socket
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from autotl import testing
from autotl.builtin.heads import linear
from autotl.errors import PluginError, UnknownNameError
from autotl.hookspecs import hookimpl
from autotl.plugins.manager import BUILTIN_NAMES
from autotl.protocols import HeadCall, RelatedCall, ScoreCall, SourceCall
from autotl.records import (
    BackboneSpec,
    Dataset,
    Phase,
    Preprocess,
    Score,
    Strategy,
    Target,
    Weights,
)
from autotl.records.head import Head
from autotl.testing import ContractError
from autotl.testing import plugin as plugin_checks
from autotl.testing.checks import outcome_of

# What lies in this machine's hub cache is listed, too; here only what comes with autotl is examined.
SAME_WAY = {"logistic", "ridge", "class_mean", "lda", "linear_svm", "best_layer"}
# Strategies that train as their twins do: that they learn from more is a check of its own.
SAME_WAY |= {"linear_pooled", "linear_weighted", "fine_tune_pooled", "fine_tune_weighted", "multi_task"}
BUILT_IN = [
    check
    for name in BUILTIN_NAMES
    for check in testing.checks(name)
    if not check.subject.startswith("backbone ") or check.subject.startswith("backbone autotl:")
    # Heads that the engine fits the same way: their own checks are made, the training is that of the linear probe.
    if check.name not in ("learns", "depths") or check.subject.removeprefix("strategy ") not in SAME_WAY
]


@pytest.mark.parametrize("check", BUILT_IN, ids=str)
def test_built_in(check: testing.Check) -> None:
    check()


def test_each_kind_is_among_them() -> None:
    subjects = {check.subject for check in BUILT_IN}
    assert {
        "plugin autotl.sources",
        "score logme",
        "strategy lp_ft",
        "head autotl.builtin.heads:knn",
    } <= subjects
    assert sum(subject.startswith("backbone autotl:") for subject in subjects) >= 3
    assert len(set(map(str, BUILT_IN))) == len(BUILT_IN)
    assert all(check.requirement.endswith(".") for check in BUILT_IN)


# --------------------------------------------------------------------------- backbones with a mistake


class Net(nn.Module):
    """A small sound network, of which each class below breaks one thing."""

    layer_pattern = r"blocks\.(\d+)"
    classifier_name = "fc"

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        into = [3, 8, 8, width]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU()) for a, b in pairwise(into)
        )
        self.fc = nn.Linear(width, 5)

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.maps(x).mean((2, 3)))  # type: ignore[no-any-return]


class DropsOut(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(super().forward(x), 0.5)


class UsesTheBatch(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maps(x).mean((2, 3))
        return self.fc(x - x.mean(0))  # type: ignore[no-any-return]


class OneGroup(Net):
    layer_pattern = r"layers\.(\d+)"


class Detached(Net):
    def maps(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks[2](self.blocks[1](self.blocks[0](x)).detach())  # type: ignore[no-any-return]


class NeverFrozen(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            self.blocks[0][1].train()  # its statistics move whatever was frozen
        return super().forward(x)


class Unseen(Net):
    """What it learned lies beside its state."""

    def __init__(self, pretrained: bool = True) -> None:
        super().__init__()
        self.scale = 3.0 if pretrained else 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.scale * x)


class OtherWithoutWeights(Net):
    def __init__(self, pretrained: bool = True) -> None:
        super().__init__(16 if pretrained else 12)


class AlwaysNaN(Net):
    def maps(self, x: torch.Tensor) -> torch.Tensor:
        return super().maps(x) * float("nan")


class NotANumber(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        contrast = x[:, 0].amax((1, 2)) - x[:, 0].amin((1, 2))  # a white image has none
        return super().forward(x) / contrast[:, None]


class Constant(Net):
    def maps(self, x: torch.Tensor) -> torch.Tensor:
        return super().maps(x * 0)


class FixedSize(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] != 32:
            raise ValueError("only 32 px")
        return super().forward(x)


def spec(build: str = "Net", **changes: Any) -> BackboneSpec:
    known: dict[str, Any] = {"input_size": 32, "size_step": 8, "min_size": 16, "feature_dim": 16}
    return BackboneSpec(name="mine:net", build=f"{__name__}:{build}", **(known | changes))


MISTAKES: dict[str, tuple[BackboneSpec, Callable[[BackboneSpec], None], str]] = {
    "a width that is not so": (spec(feature_dim=128), testing.feature_width, "16 wide"),
    "a classifier not named": (spec("no_classifier_named"), testing.feature_width, "5 wide"),
    "parameters miscounted": (spec(parameters=7), testing.counted, "declared as 7"),
    "operations miscounted": (spec(macs=7e9), testing.counted, "7e"),
    "dropout in eval mode": (spec("DropsOut"), testing.deterministic, "eval()"),
    "statistics of the batch": (spec("UsesTheBatch"), testing.on_its_own, "batch"),
    "a pattern that matches nothing": (spec("OneGroup"), testing.layer_groups, "layer_pattern"),
    "a gradient that is cut": (spec("Detached"), testing.unfreezes, "no gradient reaches"),
    "norms that always learn": (spec("NeverFrozen"), testing.frozen, "changed"),
    "learned, and not in the state": (spec("Unseen"), testing.without_weights, "other features"),
    "another net without weights": (spec("OtherWithoutWeights"), testing.without_weights, "architecture"),
    "no number on white": (spec("NotANumber"), testing.finite, "not finite"),
    "no number each time": (spec("AlwaysNaN"), testing.deterministic, "features hold NaN or infinity"),
    "no number in a batch": (spec("AlwaysNaN"), testing.on_its_own, "features hold NaN or infinity"),
    "the same for all images": (spec("Constant"), testing.finite, "same features"),
    "a size it cannot take": (spec("FixedSize"), testing.input_sizes, "only 32 px"),
    "a wrong count of classes": (spec(source_classes=1000), testing.source_classifier, "has 5 classes"),
    "an argument that loads": (spec(arguments={"pretrained": True}), testing.plain_arguments, "pretrained"),
    "weights that are not there": (
        spec(weights=Weights(kind="file", location="nowhere.safetensors")),
        testing.builds,
        "no file",
    ),
    "a builder that is not there": (spec("Missing"), testing.builds, "cannot be imported"),
    "arguments it does not take": (spec(arguments={"colour": 1}), testing.builds, "colour"),
    "weights that would not be loaded": (
        spec(init="random", weights=Weights(kind="file", location="nowhere.safetensors")),
        testing.described,
        "leave one of the two out",
    ),
    "arguments that JSON changes": (spec(arguments={"width": (1, 2)}), testing.described, "tuples"),
    "arguments that JSON cannot hold": (spec(arguments={"width": print}), testing.described, "JSON"),
    "means from 0 to 255": (spec(preprocess=Preprocess(mean=(123, 116, 104))), testing.described, "255"),
}


def no_classifier_named() -> nn.Module:
    net = Net()
    net.classifier_name = None  # type: ignore[assignment]
    return net


@pytest.mark.parametrize("what", MISTAKES)
def test_a_backbone_with_a_mistake_is_told_what_it_is(what: str) -> None:
    value, check, word = MISTAKES[what]
    with pytest.raises(ContractError) as caught:
        testing.Check("backbone", check, value)()
    assert word in str(caught.value)


def test_a_sound_backbone_passes_everything() -> None:
    for check in testing.checks_of(spec(source_classes=5, parameters=2_040, macs=1e5)):
        check()
    with pytest.raises(SkipTest, match=r"parameters=2\d+, macs=\d+; copy both"):
        testing.counted(spec())


def test_weights_that_are_elsewhere_skip_the_checks_that_need_them() -> None:
    far = spec(weights=Weights(kind="hub", location="someone/something"))
    testing.described(far)
    with pytest.raises(SkipTest, match="--fetch"):
        testing.deterministic(far)


# --------------------------------------------------------------------------- scores, heads, strategies


def noise(call: ScoreCall) -> float:
    return float(np.random.default_rng().normal())


def no_number(call: ScoreCall) -> float:
    return float("nan")


def no_score(features: np.ndarray, labels: np.ndarray) -> float:
    return 0.0


def first_row(call: ScoreCall) -> float:
    return float(call.features[0, 0])


def backwards(call: ScoreCall) -> float:
    return -separation(call)


def separation(call: ScoreCall) -> float:
    means = np.stack([call.features[call.labels == label].mean(0) for label in np.unique(call.labels)])
    return float(means.std(0).mean())


def three_classes_only(call: ScoreCall) -> float:
    return separation(call) if call.labels.max() >= 2 else float("nan")


def fails_on_constants(call: ScoreCall) -> float:
    return float(np.linalg.inv(np.diag(call.features.var(0).astype(np.float64))).sum())


def meddles(call: ScoreCall) -> float:
    features = call.features
    features -= features.mean(0)
    return separation(call)


def by_number(call: ScoreCall) -> float:
    return float(np.corrcoef(call.features[:, 0], call.labels)[0, 1])


@pytest.mark.parametrize(
    ("name", "check", "word"),
    [
        ("noise", testing.repeatable, "then"),
        ("first_row", testing.order_does_not_matter, "another order"),
        ("by_number", testing.order_does_not_matter, "other numbers"),
        ("backwards", testing.higher_is_better, "rising"),
        (
            "no_number",
            testing.order_does_not_matter,
            "on three classes it gives nan; expected a finite number",
        ),
        ("no_number", testing.repeatable, "on three classes it gives nan; expected a finite number"),
        ("no_number", testing.higher_is_better, "on noise it gives nan; expected a finite number"),
        ("three_classes_only", testing.gives_a_number, "two classes"),
        ("fails_on_constants", testing.survives_odd_data, "LinAlgError"),
        ("meddles", testing.repeatable, "changed the arrays"),
        ("nothing", testing.gives_a_number, "cannot be imported"),
    ],
)
def test_a_score_with_a_mistake_is_told_what_it_is(name: str, check: Any, word: str) -> None:
    score = Score(name="mine", summary="a score", compute=f"{__name__}:{name}")
    with pytest.raises(ContractError) as caught:
        testing.Check("score", check, score)()
    assert word in str(caught.value)


def test_a_score_that_needs_torch_is_told_so(module: Callable[[str, str], str]) -> None:
    path = Path(module("heavy_score", HEAVY + "from autotl.builtin.scores import linear"))
    sys.path.insert(0, str(path.parent))
    with pytest.raises(ContractError, match="loads jax"):
        testing.quick(Score(name="mine", summary="a score", compute="heavy_score:linear"))


def constant_head(call: HeadCall) -> Head:
    weight = np.zeros((call.classes, call.features.shape[1]), np.float32)
    return Head(kind="linear", arrays={"weight": weight, "bias": np.zeros(call.classes, np.float32)})


def seen_classes_only(call: HeadCall) -> Head:
    return linear(replace(call, classes=len(np.unique(call.labels))))


def unseeded(call: HeadCall) -> Head:
    jitter = np.random.default_rng().normal(size=call.features.shape).astype(np.float32)
    return linear(replace(call, features=call.features + jitter))


@pytest.mark.parametrize(
    ("name", "check", "word"),
    [
        ("constant_head", testing.learns_classes, "expected 90%"),
        ("seen_classes_only", testing.unseen_classes, "expected"),
        ("unseeded", testing.same_seed_same_head, "two heads"),
        ("noise", testing.learns_classes, "it returned a float; expected autotl.plugin.Head"),
    ],
)
def test_a_head_with_a_mistake_is_told_what_it_is(name: str, check: Any, word: str) -> None:
    with pytest.raises(ContractError) as caught:
        testing.Check("head", check, f"{__name__}:{name}")()
    assert word in str(caught.value)


def ignored(call: RelatedCall) -> np.ndarray:
    """Weights by which nothing of another source is learned from."""
    return np.zeros(len(call.related))


TUNING = Strategy(name="mine", summary="mine", phases=(Phase(),), depths=True)


@pytest.mark.parametrize(
    ("strategy", "check", "word"),
    [
        (
            replace(TUNING, phases=(Phase(trains="k"), Phase(trains="all"))),
            testing.depths,
            "changed are 1, 2",
        ),
        (replace(TUNING, phases=(Phase(trains="all"),)), testing.described, "every depth"),
        (replace(TUNING, phases=(Phase(trains="none"),)), testing.described, "leave the phase out"),
        (replace(TUNING, head=f"{__name__}:nothing"), testing.resolves, "cannot be imported"),
        (
            replace(
                TUNING,
                phases=(),
                depths=False,
                head="autotl.builtin.heads:linear",
                related=f"{__name__}:ignored",
            ),
            testing.of_another_source,
            "weights above 0",
        ),
    ],
)
def test_a_strategy_with_a_mistake_is_told_what_it_is(strategy: Strategy, check: Any, word: str) -> None:
    with pytest.raises(ContractError) as caught:
        testing.Check("strategy", check, strategy)()
    assert word in str(caught.value)


def test_label_columns_that_the_engine_ignores_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    several = replace(TUNING, every_target=True)
    testing.Check("strategy", testing.label_columns, several)()
    monkeypatch.setattr(
        "autotl.engine.objective.Objective.with_others", lambda self, loss, groups, batch: loss
    )
    with pytest.raises(ContractError, match="other labels in a further column gave the same weights"):
        testing.Check("strategy", testing.label_columns, several)()


# --------------------------------------------------------------------------- whole plugins


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], str]]:
    monkeypatch.setattr("sys.path", [*sys.path])

    def write(name: str, source: str) -> str:
        head = "from autotl.hookspecs import hookimpl\nfrom autotl.records import *\n"
        (tmp_path / f"{name}.py").write_text(head + textwrap.dedent(source))
        return str(tmp_path / f"{name}.py")

    yield write
    sys.modules.pop("jax", None)  # the empty one of HEAVY, which SciPy would look into


SCORES = """
@hookimpl
def register_scores():
    return [Score(name="mine", summary="mine", compute="autotl.builtin.scores:linear")]
"""


OWN = f"""
@hookimpl
def register_backbones(profile, settings):
    return [BackboneSpec(name="net", build="{__name__}:Net", input_size=32)]
"""
PLANNER = """
class Planner:
    number = 0
    def __init__(self, ranking, strategies):
        self.candidate = Candidate(backbone=ranking.ranked[0].backbone, input_size=64, strategy=strategies[0].name)
    def ask(self, seconds):
        self.number += 1
        return Trial(id=f"t{self.number}", candidate=self.candidate, %s)
    def tell(self, result): ...
@hookimpl
def make_planner(ranking, strategies):
    return Planner(ranking, strategies)
"""
HEAVY = """
import sys, types
sys.modules["jax"] = types.ModuleType("jax")  # as good as importing it, and quicker
"""


def failed(path: str) -> dict[str, str]:
    found = testing.outcomes(path)
    return {outcome.check: outcome.message for outcome in found if outcome.status == "failed"}


def test_a_sound_file_passes(module: Callable[[str, str], str]) -> None:
    assert failed(module("sound_guest", SCORES)) == {}


@pytest.mark.parametrize(
    ("name", "source", "check", "word"),
    [
        ("broken_guest", "import nothing_of_that_name", "imports", "ModuleNotFoundError"),
        ("slow_guest", "import time\ntime.sleep(1.1)" + SCORES, "listing", "took 1."),
        ("heavy_guest", HEAVY + SCORES, "listing", "loads jax"),
        ("loud_guest", "print('hello')" + SCORES, "listing", "hello"),
        (
            "online_guest",
            "import socket\ntry:\n  socket.create_connection(('127.0.0.1', 9))\nexcept OSError:\n  pass" + SCORES,
            "listing",
            "connection",
        ),
        ("senseless_guest", SCORES + "\n@hookimpl\ndef register_backbones(settings):\n    return 7", "hooks",
         "raised TypeError: 'int' object is not iterable"),
        ("hanging_guest", "import sys, time\n'pytest' in sys.modules or time.sleep(60)" + SCORES, "listing",
         "took over 3 s"),
        ("misspelt_guest", SCORES.replace("register_scores", "register_score"), "hooks", "no hook of that name"),
        ("unmarked_guest", SCORES.replace("@hookimpl", "") + "\n@hookimpl\ndef on_event(event): ...", "hooks",
         "lacks its @hookimpl"),
        ("fickle_guest", "import random" + SCORES.replace('"mine",', 'f"mine{random.random()}",', 1), "hooks",
         "different values"),
        ("clashing_guest", SCORES.replace('"mine"', '"linear"'), "names", "a name taken twice"),
        ("own_guest", OWN, "names", "prefix"),
        ("greedy_guest", "@hookimpl\ndef load_dataset(source, options):\n    return source", "other_sources", "None"),
        ("forgetful_guest", (PLANNER % "seed=1").replace("{self.number}", "{self.number - 1:03d}"), "plans",
         "'t000'; expected letters and digits, and another"),
        ("testing_guest", PLANNER % "evaluate_on=('test',)", "plans", "expected train and select"),
        ("deaf_guest", "@hookimpl\ndef on_event(event):\n    event.candidate.upper()", "observes", "AttributeError"),
    ],
)  # fmt: skip
def test_a_plugin_with_a_mistake_is_told_what_it_is(
    module: Callable[[str, str], str],
    name: str,
    source: str,
    check: str,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plugin_checks, "HANG_SECONDS", 3.0 if name == "hanging_guest" else 60.0)
    assert word in failed(module(name, source))[check]


def one_check(path: str, check: Callable[[testing.Plugin], None]) -> None:
    (plugin,) = testing.find(path)
    testing.Check("plugin", check, plugin)()


def test_a_planner_is_told_of_the_trial_that_a_run_has_made_before(module: Callable[[str, str], str]) -> None:
    surprised = PLANNER.replace("self, result): ...", "self, result): assert self.number, result.trial.id")
    with pytest.raises(ContractError, match="t000"):
        one_check(module("surprised_guest", surprised % "seed=1"), testing.plans)


def source(file: Callable[[Path], str], fingerprint: Callable[[], str] = lambda: "same") -> SimpleNamespace:
    """Return a plugin whose data set is one image, and that writes it for the check."""

    def load_dataset(call: SourceCall) -> Dataset | None:
        if not call.source.endswith("sample"):
            return None
        target = Target(name="label", kind="multiclass", classes=("a", "b"), values=np.zeros(1, int))
        return Dataset(
            source=call.source, modality="image", files=np.array([file(Path(call.source))], object),
            names=np.array(["a"], object), targets=(target,), given=np.full(1, -1, np.int8),
            fingerprint=fingerprint(),
        )  # fmt: skip

    def sample(folder: Path) -> Path:
        (folder / "sample").mkdir()
        (folder / "sample" / "a.ppm").write_bytes(b"P6 8 8 255\n" + bytes(8 * 8 * 3))
        return folder / "sample"

    return SimpleNamespace(__name__="guest", load_dataset=hookimpl(load_dataset), autotl_check_source=sample)


@pytest.mark.parametrize(
    ("guest", "word"),
    [
        (source(lambda folder: "a.ppm"), "expected absolute paths"),
        (source(lambda folder: str(folder / "b.ppm")), "which is no file"),
        (source(lambda folder: __file__), "cannot be decoded"),
        (
            source(lambda folder: str(folder / "a.ppm"), lambda: str(time.monotonic_ns())),
            "another fingerprint",
        ),
    ],
)
def test_what_is_wrong_with_the_sample_of_a_source(guest: SimpleNamespace, word: str) -> None:
    with pytest.raises(ContractError, match=word):
        testing.Check("plugin", testing.reads, testing.Plugin(name="guest", object=guest))()


def test_a_source_whose_sample_can_be_decoded_passes() -> None:
    guest = source(lambda folder: str(folder / "a.ppm"))
    testing.Check("plugin", testing.reads, testing.Plugin(name="guest", object=guest))()
    (reads,) = [outcome for outcome in testing.outcomes(guest) if outcome.check == "reads"]
    assert reads.status == "passed"


def test_a_source_without_a_sample_says_how_to_give_one() -> None:
    guest = SimpleNamespace(__name__="guest", load_dataset=hookimpl(lambda call: None))
    (reads,) = [outcome for outcome in testing.outcomes(guest) if outcome.check == "reads"]
    assert reads.status == "skipped" and "define autotl_check_source(folder)" in reads.message


def test_a_plugin_may_be_an_object() -> None:
    guest = SimpleNamespace(__name__="guest", register_scores=hookimpl(lambda: ()))
    found = {outcome.check: outcome.status for outcome in testing.outcomes(guest)}
    assert found == {"imports": "passed", "hooks": "passed", "names": "passed", "listing": "skipped"}


@pytest.mark.parametrize(
    ("value", "first", "word"),
    [
        (spec("Missing"), "builds", "cannot be imported"),
        (
            Strategy(name="mine", summary="mine", head=f"{__name__}:no_score"),
            "takes_arguments",
            "is called with (call)",
        ),
        (
            Score(name="mine", summary="mine", compute=f"{__name__}:no_score"),
            "can_be_computed",
            "is called with (call)",
        ),
    ],
    ids=["backbone", "head", "score"],
)
def test_what_cannot_be_built_or_called_fails_once(value: Any, first: str, word: str) -> None:
    made = [check for check in testing.checks_of(value) if not check.subject.startswith("strategy")]
    stopped: dict[str, str] = {}
    found = [outcome_of(check, stopped) for check in made]
    (failed,) = [outcome for outcome in found if outcome.status == "failed"]
    assert failed.check == first and word in failed.message
    later = found[found.index(failed) + 1 :]
    assert later and {(outcome.status, outcome.message) for outcome in later} == {
        ("skipped", f"the check {first!r} failed, and this one needs it")
    }


class Hangs(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) == 4:  # not while it is built
            time.sleep(5)
        return super().forward(x)


def test_a_check_that_hangs_has_failed_and_what_hung_is_not_asked_again() -> None:
    guest = SimpleNamespace(
        __name__="guest",
        on_event=hookimpl(lambda event: time.sleep(5)),
        register_backbones=hookimpl(lambda profile, settings: [spec("Hangs")]),
    )
    before = os.getcwd(), socket.socket.connect
    found = {outcome.check: outcome for outcome in testing.outcomes(guest, seconds=1.0)}
    assert (os.getcwd(), socket.socket.connect) == before  # both are of the whole process
    assert found["observes"].status == "failed" and "took over" in found["observes"].message
    assert found["hooks"].status == found["builds"].status == "passed"
    assert found["feature_width"].status == "failed"
    assert found["deterministic"].status == "skipped" and "hung" in found["deterministic"].message


def test_a_project_is_found_by_its_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [*sys.path])
    with pytest.raises(PluginError, match="neither"):
        testing.find(str(tmp_path))
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    with pytest.raises(PluginError, match="entry-points"):
        testing.find(str(tmp_path))
    (tmp_path / "pyproject.toml").write_text('[project.entry-points.autotl]\nlisted = "listed_guest"\n')
    (tmp_path / "listed_guest.py").write_text("x = 1")
    (guest,) = testing.find(str(tmp_path))
    assert (guest.name, guest.problem) == ("listed", "")


def test_an_unknown_plugin_is_said_to_be_one() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'autotl\.scores'"):
        testing.find("autotl.score")
