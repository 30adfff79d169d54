"""Broken plugins, one for each way that a plugin breaks, and what names the cause."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from autotl.hookspecs import API_VERSION, hookimpl
from autotl.records import BackboneSpec, Dataset, Phase, Preprocess, Score, Strategy, Target

NET = BackboneSpec(name="zoo:net", build="zoo:build", init="random", input_size=64, proposed=False)
HEAD = "autotl.builtin.heads:linear"


def hangs(*_: Any) -> None:
    time.sleep(3)


def nonsense(*_: Any) -> float:
    return float("nan")


def breaks(*_: Any) -> float:
    raise RuntimeError("boom")


def leaves(*_: Any) -> None:
    sys.exit("enough")


def a_text(*_: Any) -> str:
    return "high"


def half(_: Any = None) -> Iterator[BackboneSpec]:
    yield NET
    raise KeyError("halfway")


def score(name: str, **changes: Any) -> Callable[[], list[Score]]:
    value = Score(name=f"zoo_{name}", summary="of the zoo", compute=f"zoo:{name}")
    return lambda: [replace(value, **changes)]


def strategy(**changes: Any) -> Callable[[Any], list[Strategy]]:
    return lambda profile: [Strategy(**{"name": "zoo_way", "summary": "of the zoo"} | changes)]


def backbone(**changes: Any) -> Callable[[Any, Any], list[BackboneSpec]]:
    return lambda profile, settings: [replace(NET, **changes)]


def dataset(labels: tuple[int, ...]) -> Callable[[str], Dataset | None]:
    """Return a reader of two files with these labels."""
    target = Target(name="label", kind="multiclass", classes=("a", "b"), values=np.array(labels))
    data = Dataset(
        source="x", modality="image", files=np.array(["/a", "/b"], object),
        names=np.array(["a", "b"], object), targets=(target,), given=np.array([-1, -1], np.int8),
    )  # fmt: skip
    return lambda source: data


@dataclass(frozen=True)
class Animal:
    """A broken plugin: its hooks, and the words that its check and a run's problems name the cause with."""

    hooks: dict[str, Any]
    check: str
    run: str = ""  # the same words, where it is empty
    attributes: dict[str, Any] = field(default_factory=dict)

    def plugin(self, name: str) -> SimpleNamespace:
        marked = {hook: hookimpl(function) for hook, function in self.hooks.items()}
        return SimpleNamespace(__name__=name, **marked | self.attributes)


ANIMALS: dict[str, Animal] = {
    # how it presents itself
    "misspelt hook": Animal({"register_backbone": lambda profile: []}, "there is no hook of that name"),
    "no mark": Animal({}, "lacks its @hookimpl", attributes={"register_scores": score("nonsense")}),
    "no hook": Animal({}, "no function is marked with @hookimpl"),
    "wrapper": Animal(
        {}, "marked as a wrapper", attributes={"register_scores": hookimpl(lambda: (yield), wrapper=True)}
    ),
    "unknown argument": Animal(
        {"register_scores": lambda images: []}, "'images', which the hook does not have; its arguments are call;"
    ),
    "a phase with a loss": Animal(
        {"register_strategies": lambda profile: [Phase(loss="focal")]},  # type: ignore[call-arg]
        "Phase has no field 'loss'; a loss is a function that the field `objective` of a Phase names",
    ),
    "a misspelt field": Animal(
        {"register_strategies": strategy(sumary="a typo")},
        "Strategy has no field 'sumary'; did you mean 'summary'? expected name, summary",
    ),
    "newer API": Animal(
        {"register_scores": score("nonsense")},
        "install a newer autotl",
        attributes={"AUTOTL_API_VERSION": API_VERSION + 1},
    ),
    "API of text": Animal(
        {"register_scores": score("nonsense")}, "expected a whole number", attributes={"AUTOTL_API_VERSION": "2"}
    ),
    # backbones
    "backbones raise": Animal({"register_backbones": lambda profile, settings: 1 / 0}, "ZeroDivisionError"),
    "backbones hang": Animal({"register_backbones": lambda profile, settings: hangs()}, "took over"),
    "backbones leave": Animal({"register_backbones": lambda profile, settings: leaves()}, "enough"),
    "backbones stop halfway": Animal({"register_backbones": lambda profile: half()}, "halfway"),
    "backbones are texts": Animal({"register_backbones": lambda profile: ["resnet18"]}, "expected BackboneSpec"),
    "a backbone is nonsense": Animal({"register_backbones": backbone(name=None, build=3)}, "wrong kind"),
    "a backbone is autotl's": Animal({"register_backbones": backbone(name="timm:mine")}, "are autotl's own"),
    "a backbone in bytes": Animal(
        {"register_backbones": backbone(preprocess=Preprocess(mean=(123.0, 117.0, 104.0)))}, "divide by 255"
    ),
    "a backbone without pixels": Animal({"register_backbones": backbone(input_size=0)}, "expected pixels"),
    "a backbone in percent": Animal({"register_backbones": backbone(published=76.1)}, "not percent"),
    "a backbone is no value": Animal(
        {"register_backbones": backbone(arguments={"layer": object()})}, "cannot be written as JSON"
    ),
    "a backbone is built by nothing": Animal({"register_backbones": backbone(build="net")}, 'expected "module:attr"'),
    # strategies
    "strategies raise": Animal({"register_strategies": lambda profile: 1 / 0}, "ZeroDivisionError"),
    "a strategy does nothing": Animal({"register_strategies": strategy()}, "would train nothing"),
    "a strategy trains none": Animal(
        {"register_strategies": strategy(phases=(Phase(trains="none"),))}, "leave the phase out"
    ),
    "a strategy is given a loss": Animal(
        {"register_strategies": strategy(objective="zoo:nonsense")}, "'objective' is a field of a Phase"
    ),
    "a strategy trains a word": Animal(
        {"register_strategies": strategy(phases=(Phase(trains="backbone"),))}, "expected head, k, all, none, a number"
    ),
    "a strategy augments by a word": Animal(
        {"register_strategies": strategy(phases=(Phase(augment="medium"),))}, "expected none, light, strong"
    ),
    "a strategy averages all": Animal(
        {"register_strategies": strategy(phases=(Phase(average=1.0),))}, "average is 1.0; expected"
    ),
    "a strategy has no targets": Animal(
        {"register_strategies": strategy(phases=(Phase(data="unlabelled"),))}, "so nothing could be learned"
    ),
    "a strategy wastes views": Animal(
        {"register_strategies": strategy(phases=(Phase(unlabelled=("light",)),))}, "no objective that gets it"
    ),
    "a strategy sees by a word": Animal(
        {"register_strategies": strategy(phases=(Phase(unlabelled=("blur",), objective="zoo:nonsense"),))},
        "unlabelled is 'blur'; expected none, light, strong",
    ),
    "a strategy has no depth": Animal(
        {"register_strategies": strategy(phases=(Phase(trains="all"),), depths=True)}, "no phase trains 'k'"
    ),
    "a strategy takes a name": Animal(
        {"register_strategies": strategy(name="linear_probe", head=HEAD)}, "autotl itself registers"
    ),
    "a strategy is too fast": Animal(
        {"register_strategies": strategy(phases=(Phase(lr=100.0),))}, "lr is 100.0; expected"
    ),
    # scores
    "scores are no list": Animal({"register_scores": lambda: 7}, "TypeError"),
    "a score raises": Animal({"register_scores": score("breaks")}, "boom"),
    "a score hangs": Animal({"register_scores": score("hangs")}, "took over"),
    "a score is missing": Animal(
        {"register_scores": score("nothing_of_the_kind")}, "cannot be imported", "AttributeError"
    ),
    "a score is no number": Animal({"register_scores": score("nonsense")}, "expected a finite number"),
    "a score is a text": Animal({"register_scores": score("a_text")}, "could not convert"),
    "a score weighs too much": Animal({"register_scores": score("nonsense", weight=7.0)}, "weight is 7.0; expected"),
    # readers
    "a reader raises": Animal({"load_dataset": lambda source, options: 1 / 0}, "ZeroDivisionError"),
    "a reader answers a text": Animal(
        {"load_dataset": lambda source, options: source}, "expected None", "expected a Dataset"
    ),
    "a reader has odd labels": Animal(
        {"load_dataset": dataset((0, 7))}, "expected None", "the labels do not fit the 2 classes"
    ),
    # observers and planners
    "an observer raises": Animal({"on_event": lambda event: 1 / 0}, "ZeroDivisionError"),
    "an observer hangs": Animal({"on_event": hangs}, "took over"),
    "a planner is none": Animal({"make_planner": lambda profile, ranking, seconds: 3}, "without ask()"),
}  # fmt: skip
