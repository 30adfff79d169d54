"""Checks of one strategy: that each field which it declares has its effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from unittest import SkipTest

import numpy as np

from autotl.errors import Declined
from autotl.plugins import validation
from autotl.records import BackboneSpec, Phase, Profile, Strategy
from autotl.report.wording import sentences
from autotl.testing.contract import described, require, resolve

if TYPE_CHECKING:
    from autotl.engine.check_support import Toy  # it imports torch

PROFILE = Profile(
    images=100, classes=("a", "b"), counts=(50, 50), imbalance=1.0, side=64, sides=(64, 64),
    gray=0.0, alpha=0.0, bytes=100_000,
)  # fmt: skip
LEARNING = (8.0, 32.0)  # epochs: what trains little of a network learns slowly


def resolves(strategy: Strategy) -> None:
    """Each function that it names can be imported, and called with the arguments that it gets, in their order."""
    if strategy.head is not None:
        resolve(strategy.head)
    for field, name in _functions(strategy):
        flaw = validation.call_flaw(resolve(name), validation.ARGUMENTS[field])
        require(flaw is None, f"{field} {name!r} {flaw}")


def _functions(strategy: Strategy) -> Iterator[tuple[str, str]]:
    """Yield the functions that the phases of a strategy name, each with its field."""
    for field in ("prepare", "worth", "combine", "related"):
        if (function := getattr(strategy, field)) is not None:
            yield field, function
    for phase in strategy.phases:
        named = {field: getattr(phase, field) for field in validation.OF_PHASE}
        named["trains"] = phase.selector
        yield from (("augment", view) for view in phase.unlabelled if ":" in view)
        yield from ((field, name) for field, name in named.items() if name is not None and ":" in name)


def worths(strategy: Strategy) -> None:
    """Its `worth` returns True or False, for a backbone and some seconds or none, or declines."""
    if strategy.worth is None:
        raise SkipTest("it is worth trying everywhere")
    backbone = BackboneSpec(name="toy:net", build="toy:net")
    for seconds in (None, 60.0):
        try:
            answer = resolve(strategy.worth)(PROFILE, backbone, seconds)
        except Declined as reason:
            raise SkipTest(str(reason)) from reason
        require(isinstance(answer, bool), f"worth returned a {type(answer).__name__}; expected True or False")


def _trained(
    strategy: Strategy,
    depth: Any,
    classes: int = 3,
    *,
    epochs: float = 2.0,
    net: BackboneSpec | None = None,
    beside: Mapping[str, Any] = MappingProxyType({}),
) -> Toy:
    """Return a small training; `beside` are the images and labels that it has besides, as `Beside` has them."""
    from autotl.engine.check_support import Beside, train_toy

    if strategy.needs_text:
        raise SkipTest("it needs an image-text backbone")
    if strategy.combine is not None:
        raise SkipTest("it trains nothing: it joins finished trials")
    try:
        epochs = epochs if strategy.phases else 0.0
        toy = train_toy(strategy, depth, epochs, classes=classes, net=net, beside=Beside(**beside))
    except Declined as reason:
        raise SkipTest(str(reason)) from reason
    if toy.result.status == "skipped":
        raise SkipTest(str(toy.result.error))
    problem = toy.result.error or "; ".join(sentences(toy.result.notes))
    require(
        toy.result.status == "finished",
        f"a small training with depth {depth!r} {toy.result.status}: {problem}; expected it to finish",
    )
    return toy


def learns(strategy: Strategy) -> None:
    """A small training finishes with more than chance accuracy, with two classes and with three."""
    depth = 0 if strategy.head_only else "all"
    for classes in (2, 3):
        reached = (_trained(strategy, depth, classes, epochs=epochs).accuracy for epochs in LEARNING)
        accuracy = next((accuracy for accuracy in reached if accuracy > 1.2 / classes), None)
        require(
            accuracy is not None,
            f"after {LEARNING[-1]:g} epochs on {classes} plain colours its accuracy is near chance; expected more",
        )


def depths(strategy: Strategy) -> None:
    """Depth k trains the last k layer groups and no other; where the head alone trains, the backbone stays."""
    if not strategy.head_only and not strategy.depths:
        raise SkipTest("it has no depth")
    for depth in (1, 2, "all") if strategy.depths else (0,):
        moved = _trained(strategy, depth).moved
        count = len(moved)
        expected = [depth == "all" or index >= count - int(depth) for index in range(count)]
        require(
            moved == expected,
            f"with depth {depth!r} the layer groups that changed are {_numbers(moved)} of {count}; expected "
            f"{_numbers(expected)}: a phase that trains 'k' follows the depth",
        )


def _numbers(flags: list[bool]) -> str:
    return ", ".join(str(number) for number, flag in enumerate(flags, start=1) if flag) or "none"


# --------------------------------------------------------------------------- what a phase declares has its effect


def selectors(strategy: Strategy) -> None:
    """The parameters that a phase's selector chooses train; every other one stays the same, bit for bit."""
    from autotl.engine.check_support import chosen

    for phase in _declaring(strategy, "selector"):
        toy = _alone(strategy, phase)
        selected = chosen(str(phase.selector), strategy)
        parameters = {name for group in toy.groups for name in group}
        changed = toy.changed & parameters
        require(
            changed == selected,
            f"the selector chose {_some(selected)}, and {_some(changed)} changed; expected the same: all of it has an "
            "effect on the features",
        )


def prepares(strategy: Strategy) -> None:
    """A network that it prepared predicts the same after it was saved, built again and loaded; something of it trains."""
    if strategy.prepare is None:
        raise SkipTest("it prepares no network")
    toy = _trained(strategy, 0 if strategy.head_only else "all")
    require(
        toy.again is None or np.allclose(toy.probabilities, toy.again, atol=1e-4),
        "a network that is prepared again and given the saved weights predicts something else; expected the same: what "
        "it computes is in its parameters and buffers",
    )
    require(strategy.head_only or toy.changed, "nothing of the prepared network changed in a training")


def combines(strategy: Strategy) -> None:
    """It joins the weights of trials into finite weights of the same names and shapes, which it does not change."""
    from autotl.engine.check_support import joined

    if strategy.combine is None:
        raise SkipTest("it combines no trials")
    try:
        before, after, untouched = joined(strategy)
    except Declined as reason:
        raise SkipTest(str(reason)) from reason
    require(
        {name: value.shape for name, value in after.items()} == {n: v.shape for n, v in before.items()},
        "its weights have other names or shapes than those of the trials; expected the same",
    )
    require(all(np.isfinite(value).all() for value in after.values()), "its weights hold NaN or infinity")
    require(untouched, "it changed the weights that it received; work on copies")


def samplers(strategy: Strategy) -> None:
    """The batches of a training hold the rows in the order that a phase's sampler gives, and a seed gives one order."""
    from autotl.engine.check_support import WATCH

    for phase in _declaring(strategy, "sampler"):
        name = str(phase.sampler)
        toy = _alone(strategy, replace(phase, sampler=WATCH.begin(name)))
        given = toy.fitted[np.concatenate(WATCH.answers)]
        read = np.concatenate(toy.batches)
        require(
            np.array_equal(read, given[: len(read)]),
            f"the sampler {name!r} gave the rows {given[:5].tolist()}, …, and {read[:5].tolist()}, … were trained on",
        )
        labels, sampler = np.repeat(np.arange(3), (8, 4, 2)), resolve(name)
        first, second = (np.asarray(sampler(labels.copy(), 3, 5)) for _ in range(2))
        require(
            np.array_equal(first, second), f"the sampler {name!r} gave two orders for one seed; use the seed"
        )


def objectives(strategy: Strategy) -> None:
    """A phase's objective gives the loss of every step, and other weights than the usual loss would."""
    _heeded(strategy, "objective")


def mixes(strategy: Strategy) -> None:
    """A phase's mixing function is called at every step, and leads to other weights than plain images would."""
    _heeded(strategy, "mix")


def augments(strategy: Strategy) -> None:
    """A phase's augmentation is called at every step, and leads to other weights than the light one would."""
    _heeded(strategy, "augment", without="light")


def _heeded(strategy: Strategy, field: str, without: str | None = None) -> None:
    """Require that a function of the phases is called at every step, and that it makes a difference."""
    from autotl.engine.check_support import WATCH

    for phase in _declaring(strategy, field):
        name = str(getattr(phase, field))
        if ":" not in name:
            continue
        watched: dict[str, Any] = {field: WATCH.begin(name)}
        toy = _alone(strategy, replace(phase, **watched))
        calls, steps = len(WATCH.answers), toy.result.steps_done
        times = (
            2 if field == "objective" and phase.mix is not None else 1
        )  # of mixed images, for either target
        require(calls == times * steps, f"{field} {name!r} was called {calls} times in {steps} steps")
        if phase.data != "labelled":
            require(bool(toy.changed), f"nothing of the network changed by the {field} {name!r}")
            continue
        left_out: dict[str, Any] = {field: without}
        if field == "objective":  # which alone gets these
            left_out |= {"unlabelled": (), "auxiliary": None}
        plain = _alone(strategy, replace(phase, **left_out))
        require(
            not _same_weights(toy, plain),
            f"the training with the {field} {name!r} gave the same weights as one without; expected others",
        )


def auxiliaries(strategy: Strategy) -> None:
    """The network that a phase has beside the one it trains gets a gradient from the objective."""
    from autotl.engine.check_support import WATCH

    for phase in _declaring(strategy, "auxiliary"):
        name = str(phase.auxiliary)
        _alone(strategy, replace(phase, auxiliary=WATCH.begin(name)))
        parameters = [p for network in WATCH.answers for p in network.parameters()]
        require(
            any(p.grad is not None and bool(p.grad.any()) for p in parameters),
            f"no parameter of the auxiliary network {name!r} got a gradient; expected the objective to use it",
        )


def without_labels(strategy: Strategy) -> None:
    """All views of the images without a label are read at every step; others give other weights; none: it declines."""
    from autotl.engine.check_support import TOY_BATCH_NORM

    if not strategy.learns_unlabelled:
        raise SkipTest("it needs no images without a label")
    for phase in strategy.phases:
        if not phase.views:
            continue
        net = TOY_BATCH_NORM if phase.trains == "none" else None
        toy = _alone(strategy, phase, net=net)
        read, steps = toy.without_label, toy.result.steps_done
        wanted = len(phase.views)
        require(
            len(read) == wanted * steps,
            f"{len(read)} batches of images without a label were read in {steps} steps; expected {wanted} in each",
        )
        same = all(np.array_equal(read[place], read[place - place % wanted]) for place in range(len(read)))
        require(same, "the views of a step are of different images; expected the same")
        # An objective may wait until the network is sure of some: then it trains for longer, and faster.
        tries = ((phase, 2.0), (replace(phase, lr=10 * phase.lr), LEARNING[-1]))
        require(
            any(
                not _same_weights(
                    *(
                        _alone(strategy, tried, net=net, epochs=e, beside={"darker": darker})
                        for darker in (40.0, 0.0)
                    )
                )
                for tried, e in tries
            ),
            "other images without a label gave the same weights; expected an objective that learns from them",
        )
    if strategy.needs_unlabelled:
        depth = 0 if strategy.head_only else "all"
        toy, other = (_trained(strategy, depth, beside={"darker": darker}) for darker in (40.0, 0.0))
        require(
            not _same_weights(toy, other),
            "other images without a label gave the same head; expected one that learns from them",
        )
    _declined(strategy, {"darker": None}, "images that have no label")


def of_another_source(strategy: Strategy) -> None:
    """Images of another source train: with other labels they give other weights; without such images it declines."""
    if strategy.related is None:
        raise SkipTest("it learns from no other source")
    depth = 0 if strategy.head_only else "all"
    toy, other = (_trained(strategy, depth, beside={"source": shifted}) for shifted in (0, 1))
    require(
        not _same_weights(toy, other),
        "other labels of the images of another source gave the same weights; expected them to train: weights above 0",
    )
    _declined(strategy, {"source": None}, "images of another source")


def label_columns(strategy: Strategy) -> None:
    """Further label columns train: each has a head, other labels give other weights, and without a column it declines."""
    if not strategy.every_target:
        raise SkipTest("it learns the main label column")
    depth = 0 if strategy.head_only else "all"
    toy, other = (_trained(strategy, depth, beside={"column": shifted}) for shifted in (0, 1))
    require(
        "others.0.weight" in toy.weights, "its model has no head for a further label column; expected one"
    )
    body = [name for name in toy.weights if name.startswith("backbone.") and not strategy.head_only]
    for names in (["others.0.weight"], body):
        require(
            not names or any(not np.array_equal(toy.weights[name], other.weights[name]) for name in names),
            f"other labels in a further column gave the same weights ({names[0] if names else ''}, …); expected others",
        )
    _declined(strategy, {"column": None}, "further label columns")


def _declined(strategy: Strategy, beside: Mapping[str, Any], what: str) -> None:
    """Require that a strategy declines a training without what it learns from."""
    from autotl.engine.check_support import Beside, train_toy

    result = train_toy(strategy, "all", 1.0 if strategy.phases else 0.0, beside=Beside(**beside)).result
    require(
        result.status == "skipped",
        f"without {what} a training {result.status}; expected it to be declined",
    )


def _same_weights(one: Toy, other: Toy) -> bool:
    return all(np.array_equal(value, other.weights[name]) for name, value in one.weights.items())


def statistics(strategy: Strategy) -> None:
    """Where a phase adapts the statistics of batch norm all of them move, and where it freezes them none does."""
    from autotl.engine.check_support import TOY_BATCH_NORM

    phases = {(phase.trains, phase.norm): phase for phase in strategy.phases if phase.norm != "with_group"}
    if not phases:
        raise SkipTest("every phase leaves the statistics to the layer groups that it trains")
    for (trains, norm), phase in phases.items():
        toy = _alone(strategy, phase, net=TOY_BATCH_NORM)
        means = {name for name in toy.before if name.endswith("running_mean")}
        moved = means & toy.changed
        require(
            moved == (means if norm == "adapt" else set()),
            f"with norm {norm!r} and trains {trains!r} {len(moved)} of {len(means)} statistics moved",
        )


def _declaring(strategy: Strategy, field: str) -> list[Phase]:
    """Return the phases that declare a field, one for each value. Raises `SkipTest` when there is none."""
    phases = {
        getattr(phase, field): phase for phase in strategy.phases if ":" in str(getattr(phase, field) or "")
    }
    if not phases:
        raise SkipTest(f"no phase names a function as {field}")
    return list(phases.values())


def _alone(
    strategy: Strategy,
    phase: Phase,
    net: BackboneSpec | None = None,
    *,
    epochs: float = 2.0,
    beside: Mapping[str, Any] = MappingProxyType({}),
) -> Toy:
    """Return a small training by one phase of a strategy alone."""
    alone = replace(
        strategy,
        phases=(replace(phase, share=1.0),),
        depths=phase.trains == "k",
        head=None,
        needs_unlabelled=False,
    )
    depth = 0 if alone.head_only else "all"
    return _trained(alone, depth, epochs=epochs, net=net, beside=beside)


def _some(names: set[str]) -> str:
    shown = sorted(names)[:4]
    return f"{len(names)} parameters ({', '.join(shown)}{', …' if len(names) > len(shown) else ''})"


STRATEGY: tuple[Callable[[Strategy], None], ...] = (
    described,
    resolves,
    worths,
    learns,
    depths,
    prepares,
    combines,
    selectors,
    samplers,
    objectives,
    mixes,
    augments,
    auxiliaries,
    without_labels,
    of_another_source,
    label_columns,
    statistics,
)
