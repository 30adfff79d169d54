"""Check the values that plugins register. The plugin manager and the plugin kit both use it. Imports no torch."""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import msgspec
import numpy as np

from autotl.records import AUGMENT, DATA, TRAINS, BackboneSpec, Dataset, Phase, Score, Strategy
from autotl.records.head import Head

__all__ = [
    "ARGUMENTS",
    "OF_PHASE",
    "call_flaw",
    "flaw",
    "head_flaw",
    "lacking",
]

# Arguments of the functions that a phase names, and of those that a strategy or a score names, by field.
OF_PHASE = {
    "trains": ("name", "module", "group"),
    "augment": ("images", "seed"),
    "mix": ("images", "seed"),
    "sampler": ("labels", "classes", "seed"),
    "objective": ("call",),
    "auxiliary": ("width", "classes"),
}
ARGUMENTS = OF_PHASE | {
    "head": ("call",),
    "predict": ("features", "arrays", "classes"),
    "prepare": ("network",),
    "worth": ("profile", "backbone", "seconds"),
    "combine": ("checkpoints",),
    "related": ("call",),
    "compute": ("call",),
}
MOST_WEIGHT = 0.5  # that a score may state: as much as the best built-in one has
_CALLABLE = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")

Value = BackboneSpec | Strategy | Score | Dataset


def flaw(value: Value) -> str | None:
    """Return the first problem with a value as a sentence; None when it is valid."""
    return next(_flaws(value), None)


def lacking(value: object, protocol: type) -> list[str]:
    """Return the public names of a protocol that a value does not have."""
    names = {name for kind in protocol.__mro__ for name in vars(kind) if not name.startswith("_")}
    return sorted(names - set(dir(value)))


def call_flaw(function: Callable[..., Any], arguments: Sequence[str]) -> str | None:
    """Return that a function cannot be called with these positional arguments, as the rest of a sentence about it."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C
        return None
    try:
        signature.bind(*arguments)
    except TypeError:
        expected = "it alone" if len(arguments) == 1 else f"these {len(arguments)}, in this order"
        return f"takes the arguments {signature}, but is called with ({', '.join(arguments)}); expected {expected}"
    return None


def head_flaw(
    head: Any,
    classes: int,
    width: int,
    *,
    trained: bool = False,
    predict: str | None = None,
    labels: np.ndarray | None = None,
) -> str | None:
    """Return the first problem with what a head's function returned, as the rest of a sentence about it.

    One that is `trained` further has to be linear. One of arrays needs a strategy with a function `predict`.
    Neighbours keep labels of the form of `labels`, by default classes.
    """
    if not isinstance(head, Head):
        return f"returned a {type(head).__name__}; expected autotl.plugin.Head"
    kinds = {"linear": ("weight", "bias"), "knn": ("features", "labels", "centre", "count")}
    if head.kind == "arrays" and not trained:
        return _arrays_flaw(head.arrays, predict)
    if head.kind not in kinds and head.kind != "arrays":
        return f"returned a head of kind {head.kind!r}; expected linear, knn or arrays"
    if trained and head.kind != "linear":
        return f"returned a head of kind {head.kind!r}, which the phases cannot train; expected linear"
    if set(head.arrays) != set(kinds[head.kind]):
        found = ", ".join(sorted(head.arrays)) or "none"
        return f"returned the arrays {found}; expected {', '.join(kinds[head.kind])}"
    arrays = {name: np.asarray(array) for name, array in head.arrays.items()}
    rows = len(arrays["labels"]) if head.kind == "knn" else 0
    of_row = () if labels is None else labels.shape[1:]
    expected = {
        "weight": (classes, width), "bias": (classes,),
        "features": (rows, width), "labels": (rows, *of_row), "centre": (width,), "count": (),
    }  # fmt: skip
    for name, array in arrays.items():
        if array.shape != expected[name]:
            return f"returned {name} of the shape {array.shape}; expected {expected[name]}"
        if not np.isfinite(array).all():
            return f"returned {name} with NaN or infinity; expected finite numbers"
    return None


def _arrays_flaw(arrays: dict[str, Any], predict: str | None) -> str | None:
    if predict is None:
        return (
            "returned a head of kind 'arrays', and its strategy names no function `predict` that maps features by them; "
            "expected one, or a head of kind linear"
        )
    for name, value in arrays.items():
        if not (isinstance(name, str) and name.isidentifier()):
            return f"returned an array named {name!r}; expected letters, digits and underscores"
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            return f"returned {name} of the type {array.dtype}; expected numbers"
        if not np.isfinite(array).all():
            return f"returned {name} with NaN or infinity; expected finite numbers"
    return None


def _flaws(value: Value) -> Iterator[str]:
    if isinstance(value, Dataset):
        yield from _of_dataset(value)
        return
    kind = next(k for k in (BackboneSpec, Strategy, Score) if isinstance(value, k))
    try:
        text = msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError) as error:
        yield f"{_unwritable(value)} cannot be written as JSON ({error}); expected texts, numbers and lists of them"
        return
    try:
        msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        yield f"a field holds the wrong kind of value: {error}"
        return
    if isinstance(value, BackboneSpec):
        yield from _of_backbone(value)
    elif isinstance(value, Strategy):
        yield from _of_strategy(value)
    else:
        yield from _of_score(value)


def _unwritable(value: Any) -> str:
    for field in fields(value):
        try:
            msgspec.json.encode(getattr(value, field.name))
        except (TypeError, ValueError, OverflowError):
            return f"the field {field.name!r}"
    return "the value"


def _of_name(name: str, forbidden: str) -> Iterator[str]:
    if not name or not name.isprintable() or name.strip() != name or any(c in name for c in forbidden):
        yield f"the name {name!r} cannot be used; expected letters and digits, and none of {forbidden!r}"


def _of_backbone(spec: BackboneSpec) -> Iterator[str]:
    yield from _of_name(spec.name, "/?\\")
    yield from _of_callable("build", spec.build)
    if spec.text is not None:
        yield from _of_callable("text", spec.text)
    if spec.input_size < 1 or spec.min_size < 1 or spec.size_step < 0:
        yield (
            f"input_size {spec.input_size}, min_size {spec.min_size}, size_step {spec.size_step}; expected "
            "pixels from 1 on, and a step of 0 where only the native size works"
        )
    if spec.size_step and spec.min_size > spec.input_size:
        yield f"min_size {spec.min_size} is more than input_size {spec.input_size}; set min_size"
    for name, triple, low, high in (
        ("mean", spec.preprocess.mean, 0.0, 1.0),
        ("std", spec.preprocess.std, 1e-6, 2.0),
    ):
        if not all(low <= number <= high for number in triple):
            scale = "; these are on a scale from 0 to 255: divide by 255" if max(triple) > 2 else ""
            yield f"preprocess.{name} is {triple}; expected fractions of full brightness, 0 to 1{scale}"
    if not 0 < spec.preprocess.crop <= 1:
        yield f"preprocess.crop is {spec.preprocess.crop}; expected a share from 0 to 1"
    for name in ("feature_dim", "parameters", "macs"):
        number = getattr(spec, name)
        if number is not None and not (math.isfinite(number) and number > 0):
            yield f"{name} is {number}; expected a positive number, or None where it is not known"
    if spec.published is not None and not 0 <= spec.published <= 1:
        yield f"published is {spec.published}; expected a fraction from 0 to 1, not percent"
    if spec.source_classes < 0:
        yield f"source_classes is {spec.source_classes}; expected 0 or more"
    if spec.weights is not None and spec.init == "random":
        yield "init is 'random', but weights are named, which would not be loaded; leave one of the two out"
    if spec.weights is not None and not spec.weights.location:
        yield "weights.location is empty; expected a file, a hub repository or a torchvision weights name"


def _of_strategy(strategy: Strategy) -> Iterator[str]:
    yield from _of_name(strategy.name, "/?:&=@\\")
    yield from _of_summary(strategy.summary)
    for field_name in ("head", "predict", "prepare", "worth", "combine", "related"):
        if (function := getattr(strategy, field_name)) is not None:
            yield from _of_callable(field_name, function)
    if strategy.predict is not None and (strategy.head is None or strategy.phases):
        yield "predict is set, which maps features by the arrays of a head that no phase trains; expected a head alone"
    if strategy.needs_text and strategy.head is None:
        yield "needs_text is True, but there is no head that gets the text; expected one"
    if strategy.needs_unlabelled and strategy.head is None:
        yield "needs_unlabelled is True, but there is no head that gets the features; expected one, or views of a phase"
    if strategy.layers == "all" and (strategy.head is None or strategy.phases):
        yield "layers is 'all', which a head has that no phase trains; expected a head alone, or layers 'last'"
    if strategy.combine is not None and (strategy.phases or strategy.head or strategy.prepare):
        yield "combine is set, which joins finished trials, beside phases, head or prepare; expected it alone"
    if strategy.combine is not None and not strategy.parents:
        yield "combine is set without parents, the strategies whose trials it joins; set both"
    if strategy.parents and strategy.combine is None and not any(p.objective for p in strategy.phases):
        yield (
            "parents is set, and nothing uses their trials; expected combine, which joins them, or a phase whose "
            "objective learns from what they predict"
        )
    if strategy.related is not None and strategy.combine is not None:
        yield "related is set beside combine, which trains nothing; expected phases, a head, or both"
    if strategy.related is not None and any(phase.sampler is not None for phase in strategy.phases):
        yield "related gives weights to images, and a phase's sampler draws by something else; set one of the two"
    if strategy.related is not None and not strategy.takes_weights:
        yield "related gives weights to images, and takes_weights is False; expected a head that fits by them"
    if strategy.every_target and not strategy.phases:
        yield "every_target is True, and no phase trains the heads of further label columns; expected phases"
    if not strategy.phases and not strategy.head and not strategy.combine:
        yield "it has neither phases nor a head, so it would train nothing; expected one of them, or both"
    for number, phase in enumerate(strategy.phases, start=1):
        yield from (f"phase {number}: {problem}" for problem in _of_phase(phase))
    if strategy.depths and not any(phase.trains == "k" for phase in strategy.phases):
        yield "depths is True, but no phase trains 'k', so every depth would train the same"


def _of_phase(phase: Phase) -> Iterator[str]:
    yield from _of_trains(phase)
    yield from _of_unlabelled(phase)
    for field_name, augment in (("augment", phase.augment), *(("unlabelled", v) for v in phase.unlabelled)):
        if ":" in augment:
            yield from _of_callable(field_name, augment)
        elif augment not in AUGMENT:
            yield f'{field_name} is {augment!r}; expected {", ".join(AUGMENT)} or "module:attr"'
    for field_name in ("mix", "sampler", "objective", "auxiliary"):
        if (function := getattr(phase, field_name)) is not None:
            yield from _of_callable(field_name, function)
    if not 0 <= phase.average < 1:
        yield f"average is {phase.average}; expected 0 or more, less than 1"
    for name, low, high in (
        ("share", 0.0, math.inf),
        ("lr", 0.0, 10.0),
        ("layer_decay", 0.0, 1.0),
    ):
        number = getattr(phase, name)
        if not low < number <= high:
            yield f"{name} is {number}; expected more than {low:g} and at most {high:g}"
    if not 0 <= phase.weight_decay < 1:
        yield f"weight_decay is {phase.weight_decay}; expected 0 or more, less than 1"


def _of_unlabelled(phase: Phase) -> Iterator[str]:
    if phase.data not in DATA:
        yield f"data is {phase.data!r}; expected {', '.join(DATA)}"
    if phase.data != "labelled" and phase.objective is None and phase.trains != "none":
        yield f"data is {phase.data!r} without an objective, so nothing could be learned; expected one, or trains 'none'"
    if phase.data != "labelled" and (phase.mix is not None or phase.sampler is not None):
        yield f"data is {phase.data!r}, and mix and sampler are for labelled images; expected neither"
    if phase.data != "labelled" and phase.unlabelled and phase.augment != "light":
        yield "augment is set beside unlabelled, whose views are all that is read; expected one of the two"
    for field_name in ("unlabelled", "auxiliary"):
        if getattr(phase, field_name) and phase.objective is None:
            yield f"{field_name} is set, and there is no objective that gets it; expected one"


def _of_trains(phase: Phase) -> Iterator[str]:
    if phase.selector is not None:
        yield from _of_callable("trains", phase.selector)
    elif isinstance(phase.trains, int):
        if phase.trains < 1:
            yield f"trains is {phase.trains}; expected 1 or more last layer groups, or 'head'"
    elif phase.trains not in TRAINS:
        yield f'trains is {phase.trains!r}; expected {", ".join(TRAINS)}, a number of last groups or "module:attr"'
    elif phase.trains == "none" and phase.norm != "adapt":
        yield (
            "trains is 'none' and norm is not 'adapt', so the phase would change nothing; expected head, k, all or a "
            "selector: leave the phase out, or give the strategy a `head` that is fitted in closed form"
        )


def _of_score(score: Score) -> Iterator[str]:
    yield from _of_name(score.name, "/?:&=@\\")
    yield from _of_summary(score.summary)
    yield from _of_callable("compute", score.compute)
    if not 0 <= score.weight <= MOST_WEIGHT:
        yield f"weight is {score.weight}; expected 0 to {MOST_WEIGHT:g}"


def _of_summary(summary: str) -> Iterator[str]:
    if not summary.strip():
        yield "summary is empty; expected a few words on what it does"


def _of_callable(field_name: str, name: str) -> Iterator[str]:
    if not _CALLABLE.fullmatch(name):
        yield f'{field_name} is {name!r}; expected "module:attr"'


def _other_targets_flaw(data: Dataset) -> str | None:
    """Return what is wrong with the targets behind the main one; None where nothing is."""
    rows, others = len(data.files), data.targets[1:]
    kinds = {target.kind for target in data.targets}
    if others and kinds != {"multiclass"}:
        return (
            f"it has several targets, of the kinds {', '.join(sorted(kinds))}; expected multiclass ones alone"
        )
    if len({target.name for target in data.targets}) < len(data.targets):
        return "two targets have the same name; expected a name for each"
    for target in others:
        column = target.values
        if not isinstance(column, np.ndarray) or column.shape != (rows,) or column.dtype.kind not in "iu":
            return f"the target {target.name!r} does not hold an array of {rows} whole numbers; expected one a file"
        if column.min(initial=-1) < -1 or column.max(initial=-1) >= len(target.classes):
            return f"the target {target.name!r} holds other values than -1 and indices of its classes; expected these"
    return None


def _of_dataset(data: Dataset) -> Iterator[str]:
    if not data.targets:
        yield "it has no target; expected one, or the main one and further label columns"
        return
    if (flaw_of_others := _other_targets_flaw(data)) is not None:
        yield flaw_of_others
        return
    rows, kind = len(data.files), data.targets[0].kind
    columns: dict[str, Any] = {"names": data.names, "labels": data.labels, "given": data.given}
    columns |= {
        name: c for name in ("group", "domain", "weight", "digests") if (c := getattr(data, name)) is not None
    }
    for name, column in {"files": data.files, **columns}.items():
        if not isinstance(column, np.ndarray):
            held = type(column).__name__
            yield f"{name} is a {held}; expected a numpy array of {rows} entries, one a file; give numpy.array({name})"
            return
        shape = (rows, len(data.classes)) if (name, kind) == ("labels", "multilabel") else (rows,)
        if column.shape != shape:
            if len(shape) > 1:
                yield f"labels has the shape {column.shape}; expected a row of 0 and 1 for each of {rows} files: {shape}"
                return
            yield f"there are {rows} files, but {name} has the shape {column.shape}; expected one entry a file"
            return
    relative = next((file for file in data.files if not os.path.isabs(file)), None)
    if relative is not None:
        yield f"files holds {str(relative)!r}; expected absolute paths: join it with the source's folder, and resolve"
        return
    if not np.issubdtype(data.given.dtype, np.integer):
        yield "given holds something other than integers; expected part indices"
        return
    if (flaw_of_labels := _LABELS[kind](data)) is not None:
        yield flaw_of_labels
        return
    if data.given.min(initial=-1) < -1 or data.given.max(initial=-1) > 2:
        yield "given holds other values than -1 and part indices; expected -1 to 2"
    if data.weight is not None and not (np.isfinite(data.weight).all() and (data.weight > 0).all()):
        yield "weight holds other values than positive numbers; expected one a row; leave out rows of weight 0"
    if data.domain is not None:
        column = data.domain
        if (
            column.dtype.kind not in "iu"
            or column.min(initial=-1) < -1
            or column.max(initial=-1) >= len(data.domains)
        ):
            yield "domain holds other values than -1 and indices of domains; expected these"
    if len(np.unique(data.names.astype(str))) != rows:
        yield "two items have the same name; expected unique names"


def _of_classes(data: Dataset) -> str | None:
    if not np.issubdtype(data.labels.dtype, np.integer):
        return "labels hold something other than integers; expected class indices"
    if (
        len(data.classes) < 2
        or data.labels.min(initial=0) < 0
        or data.labels.max(initial=0) >= len(data.classes)
    ):
        return f"the labels do not fit the {len(data.classes)} classes; expected indices into two or more classes"
    return None


def _of_sets(data: Dataset) -> str | None:
    if not np.issubdtype(data.labels.dtype, np.integer) or not np.isin(data.labels, (0, 1)).all():
        return "labels hold something other than 0 and 1; expected a table of them, a column for each class"
    return (
        None
        if len(data.classes) > 1
        else "there is one class; expected two or more for several labels an image"
    )


def _of_numbers(data: Dataset) -> str | None:
    if data.labels.dtype != np.float64 or not np.isfinite(data.labels).all():
        return "labels hold something other than finite numbers; expected float64 to predict"
    return (
        None
        if len(data.classes) == 1
        else f"there are {len(data.classes)} names for one number; expected one"
    )


_LABELS = {"multiclass": _of_classes, "multilabel": _of_sets, "regression": _of_numbers}
