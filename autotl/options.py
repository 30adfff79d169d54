"""The options of a run: each is defined once, as a field of `Options`.

From the fields come the options of the command line, the keyword arguments of `autotl.recommend` and
`autotl.plan` with their documentation, and what ``result.json`` records. To add an option, add a field, and
the type that a Python caller may pass to `OptionArguments` below it.
"""

from __future__ import annotations

import inspect
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

from autotl.errors import AutotlError, RunError
from autotl.stats.target_kinds import METRICS, TARGET_KINDS

if TYPE_CHECKING:  # numpy comes with the records, and `autotl --help` must not load it
    from autotl.records import Geometry, Goal, Metric, Prefer, Settings, TargetName

DEFAULT_BUDGET = "10m"
LAYOUTS = ("class", "part/class", "class/part", "folder/class")  # of folders, from the outermost
READING = (  # options of reading the data, which a reader receives
    "test", "unlabelled", "group", "path", "label", "split", "root", "encoding", "layout", "include", "ignore_case",
    "target", "crops", "weight", "sample", "domain",
)  # fmt: skip

READ_BESIDE = ("unlabelled",)  # of these: read by autotl itself, whichever plugin reads DATA

Form = Literal[
    "text", "path", "new folder", "folders", "file", "duration", "fraction", "integer", "flag", "choice",
    "names", "columns", "count", "latency", "size", "licences", "group",
]  # fmt: skip

# What a Python caller passes for each form, where the type does not say it.
_UNITS = {
    "duration": "text or seconds",
    "latency": "seconds per image",
    "size": "bytes",
    "names": "one or several",
    "columns": "one or several",
    "folders": "one or several",
    "licences": "one or several",
}
_LISTS = {"names", "folders", "licences"}
_PATHS = {"path", "new folder", "file"}
_RENAMED = {"memory": "history"}  # options as result.json of earlier versions names them


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """The form of an option on the command line and in Python."""

    form: Form
    help: str
    metavar: str = ""
    default: str = ""  # in words, where the default value alone does not say it
    choices: tuple[str, ...] = ()
    extends: bool = False  # can be given when a run is continued
    flag: str = ""  # on the command line, where it is not the name with two hyphens
    refits: bool = False  # describes data or machine, so that it holds for another fit of the run's recipe


def _option(value: Any, form: Form, text: str, **more: Any) -> Any:
    """Return a dataclass field with the default `value` and its definition."""
    return field(default=value, metadata={"option": Definition(form=form, help=text, **more)})


@dataclass(frozen=True, kw_only=True)
class Options:
    """All options of a run."""

    source: str
    budget: float = _option(
        600.0, "duration", "Time limit for the whole run: 90s, 10m, 1h or plain seconds.",
        metavar="TIME", default=DEFAULT_BUDGET, extends=True,
    )  # fmt: skip
    out: str | None = _option(
        None, "new folder", "Run folder to write; must be new or empty.",
        metavar="RUN", default="runs/NAME-TIME",
    )  # fmt: skip
    test: str | None = _option(
        None, "path", "Folder or table of test images; only the winner is evaluated on them.",
        metavar="DIR", refits=True,
    )  # fmt: skip
    unlabelled: str | None = _option(
        None, "path", "Folder or archive of images without labels, for strategies that learn from them; images that are"
        " also in DATA are left out.",
        metavar="DIR", refits=True,
    )  # fmt: skip
    related: str | None = _option(
        None, "path", "Labelled images of another source, for strategies that learn from them beside those of DATA;"
        " classes are matched by name. No score is measured on them.",
        metavar="DIR", refits=True, flag="--source",
    )  # fmt: skip
    test_size: float | None = _option(
        None, "fraction", "Fraction of DATA to set aside as the test part; 0 for none.",
        metavar="FRACTION", default="0.15 if DATA has 100 images or more, and 5 in the median class", refits=True,
    )  # fmt: skip
    weights: tuple[str, ...] = _option(
        (), "folders", "Folder with your own checkpoints; may be repeated.",
        metavar="DIR", extends=True, refits=True,
    )  # fmt: skip
    backbones: tuple[str, ...] = _option(
        (), "names", "Backbones to try, as names or glob patterns; may be repeated.",
        metavar="NAME", extends=True,
    )  # fmt: skip
    strategies: tuple[str, ...] = _option(
        (), "names", "Strategies to try, as names or glob patterns; may be repeated.", metavar="NAME",
    )  # fmt: skip
    distil_into: str | None = _option(
        None, "text", "Smaller backbone that learns from the winner after the search: the run compares it with the winner"
        " and with the same training without it, and keeps its model in distilled/.",
        metavar="NAME", extends=True,
    )  # fmt: skip
    scores: tuple[str, ...] = _option(
        (), "names",
        "Transferability scores to compute besides the usual ones, as names or glob patterns; may be repeated.",
        metavar="NAME",
    )  # fmt: skip
    group: str | None = _option(
        None, "group",
        "Images that must stay in the same part (one person, one video): a regular expression that is searched"
        " in each path and whose groups form the key, or a column of a table.",
        metavar="REGEX|COLUMN", refits=True,
    )  # fmt: skip
    no_auto_group: bool = _option(
        False, "flag", "Split images at random although their names and features show groups that are not declared.",
        refits=True,
    )  # fmt: skip
    domain: str | None = _option(
        None, "group",
        "Domain of each image (a camera, a style, a site): a column of a table, or a regular expression as of --group."
        " The report has the score of features on each domain that was left out; images are split as without it.",
        metavar="REGEX|COLUMN", refits=True,
    )  # fmt: skip
    path: str | None = _option(
        None, "text", "Column with the paths of images, if DATA is a table.", metavar="COLUMN",
        default="one with a usual name", refits=True,
    )  # fmt: skip
    label: str | tuple[str, ...] | None = _option(
        None, "columns", "Column with the labels, if DATA is a table; may be repeated: the run decides on the first, and"
        " its model predicts the others too.",
        metavar="COLUMN", default="one with a usual name", refits=True,
    )  # fmt: skip
    split: str | None = _option(
        None, "text", "Column with train, val or test, if DATA is a table.", metavar="COLUMN",
        default="one with a usual name", refits=True,
    )  # fmt: skip
    weight: str | None = _option(
        None, "text", "Column with a positive number for each image, if DATA is a table: how much the image counts in"
        " training. Scores count all images alike.",
        metavar="COLUMN", refits=True,
    )  # fmt: skip
    root: str | None = _option(
        None, "path", "Folder that the paths of a table start from, and that links to folders may lead into.",
        metavar="FOLDER", default="the folder of the table, or DATA", refits=True,
    )  # fmt: skip
    encoding: str | None = _option(
        None, "text", "Encoding of a table, such as cp1252.", metavar="NAME",
        default="UTF-8 or UTF-16 if the table is valid in it, else cp1252", refits=True,
    )  # fmt: skip
    layout: str | None = _option(
        None, "choice", "What the folders of DATA are, from the outermost to the innermost.",
        choices=LAYOUTS, default="what their names say; DATA that can be read in two ways is refused",
        refits=True,
    )  # fmt: skip
    geometry: Geometry | None = _option(  # noqa: RUF009 (a dataclasses.field)
        None, "choice", "How images become squares: by their central crop, squashed, or padded.",
        choices=("crop", "squash", "pad"), default="measured where many images are long, else a backbone's own",
        refits=True,
    )  # fmt: skip
    include: tuple[str, ...] = _option(
        (), "names", "Images that are left out otherwise: hidden, masks; may be repeated.", metavar="WHAT",
        refits=True,
    )  # fmt: skip
    ignore_case: bool = _option(
        False, "flag", "Read class names that differ in case alone as one class.", refits=True,
    )  # fmt: skip
    crops: bool = _option(
        False, "flag", "Read the objects in the boxes of COCO, YOLO or Pascal VOC annotations as images, each with the"
        " class of its box.",
        refits=True,
    )  # fmt: skip
    sample: int | None = _option(
        None, "integer", "Images that take part at most, about: of a larger set a stratified sample; 0 for all.",
        metavar="N", default="100000", refits=True,
    )  # fmt: skip
    target: TargetName | None = _option(  # noqa: RUF009 (a dataclasses.field)
        None, "choice", "What the labels are, whatever they look like: one class, several, or a number an image.",
        choices=tuple(TARGET_KINDS), default="what they look like",
        refits=True,
    )  # fmt: skip
    metric: Metric | None = _option(  # noqa: RUF009 (a dataclasses.field)
        None, "choice", f"Metric that candidates are compared by: {', '.join(METRICS)}.",
        choices=METRICS, metavar="METRIC",
        default="accuracy, or balanced_accuracy if the largest class is over 10 times the smallest;"
        " mean_average_precision for several labels, r2 for numbers",
    )  # fmt: skip
    prefer: Prefer = _option(  # noqa: RUF009 (a dataclasses.field)
        "accuracy", "choice", "Criterion among candidates that are not significantly worse than the best and are"
        " expected to score within 1 point of it (0.1 points with accuracy).",
        choices=("accuracy", "speed", "size"),
    )  # fmt: skip
    max_params: int | None = _option(
        None, "count", "Maximum number of parameters, such as 5M.", metavar="COUNT",
    )  # fmt: skip
    max_latency: float | None = _option(
        None, "latency", "Maximum prediction time per image, measured on this machine, such as 10ms.",
        metavar="TIME",
    )  # fmt: skip
    max_memory: int | None = _option(
        None, "size", "Maximum memory to predict one image, such as 500MB.", metavar="SIZE",
    )  # fmt: skip
    licence: tuple[str, ...] = _option(
        (), "licences",
        "Allowed licences of backbones: SPDX names, patterns such as Apache-*, or permissive; may be repeated.",
        metavar="SPDX",
    )  # fmt: skip
    device: str = _option(
        "auto", "choice", "Device to compute on.", choices=("auto", "cpu", "cuda", "mps"), refits=True,
    )  # fmt: skip
    precision: str = _option(
        "auto", "choice", "Number format for training; auto times a few batches and takes the fastest.",
        choices=("auto", "fp32", "bf16", "fp16"), refits=True,
    )  # fmt: skip
    engine: str = _option(
        "local", "text",
        "Engine that trains: local (this machine), ray (a Ray of its own, or that of RAY_ADDRESS), ray://HOST:PORT, or"
        " the engine of a plugin.",
        metavar="NAME", extends=True,
    )  # fmt: skip
    slots: int | None = _option(
        None, "count", "Maximum number of trials at once; on a processor they share its cores.", metavar="COUNT",
        default="one a GPU, or one", extends=True,
    )  # fmt: skip
    seed: int = _option(0, "integer", "Random seed.", refits=True)
    offline: bool = _option(False, "flag", "Open no network connection.", extends=True, refits=True)
    refit: bool = _option(False, "flag", "Train the final model on the test part too.")
    history: str | None = _option(
        None, "file",
        "Record of past runs, used as prior evidence on backbones; this run appends one line. It holds figures,"
        " no names or paths of images.",
        metavar="FILE", extends=True,
    )  # fmt: skip
    more: tuple[str, ...] = ()  # backbones to try besides `backbones`, or besides the default ones
    command: str = ""  # the command line, for the record


class OptionArguments(TypedDict, total=False):
    """The types in which Python callers give the options; `options_from` converts them."""

    out: str | os.PathLike[str] | None
    test: str | os.PathLike[str] | None
    unlabelled: str | os.PathLike[str] | None
    related: str | os.PathLike[str] | None
    test_size: float | None
    weights: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    backbones: str | Sequence[str]
    strategies: str | Sequence[str]
    distil_into: str | None
    scores: str | Sequence[str]
    group: str | None
    no_auto_group: bool
    domain: str | None
    path: str | None
    label: str | Sequence[str] | None
    split: str | None
    weight: str | None
    root: str | os.PathLike[str] | None
    encoding: str | None
    layout: str | None
    geometry: Geometry | None
    include: str | Sequence[str]
    ignore_case: bool
    crops: bool
    sample: int | None
    target: TargetName | None
    metric: Metric | None
    prefer: Prefer
    max_params: float | None
    max_latency: float | None
    max_memory: float | None
    licence: str | Sequence[str]
    device: str
    precision: str
    engine: str
    slots: int | None
    seed: int
    offline: bool
    refit: bool
    history: str | os.PathLike[str] | None


DEFINITIONS: Mapping[str, Definition] = {
    item.name: item.metadata["option"] for item in fields(Options) if "option" in item.metadata
}
DEFAULTS: Mapping[str, Any] = {item.name: item.default for item in fields(Options)}


def options_from(
    source: str | os.PathLike[str], budget: str | float, given: Mapping[str, Any], *, command: str = ""
) -> Options:
    """Return the options of a Python call. None stands for the default. Raises `BudgetError`, `TypeError`."""
    from autotl.budget import parse_seconds

    unknown = sorted(set(given) - set(DEFINITIONS))
    if unknown:
        raise TypeError(f"{unknown[0]!r} is not an option; expected one of {', '.join(DEFINITIONS)}")
    return Options(source=str(source), budget=parse_seconds(budget), command=command, **converted(given))


def converted(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return option values as `Options` holds them: paths as texts, lists as tuples, counts as whole numbers.

    None is left out. Raises `AutotlError` for a number that is none.
    """
    return {name: _converted(name, value) for name, value in given.items() if value is not None}


def options_of_record(recorded: Mapping[str, Any], file: os.PathLike[str]) -> dict[str, Any]:
    """Return the recorded options of a run as arguments of `Options`.

    JSON's lists become tuples, and options that were renamed since get their new names. Raises `RunError` that names
    `file` for an option that there is not and for a value that no run records: the file may be someone else's.
    """
    options = {
        _RENAMED.get(name, name): tuple(value) if isinstance(value, list) else value
        for name, value in recorded.items()
    }
    for name in ("source", *options):
        value = options.get(name)
        if name not in DEFAULTS:
            problem = f"the option {name!r}, which there is not"
        elif value != DEFAULTS[name] and not _may_be_recorded(name, value):
            problem = f"{str(value)[:80]!r} as the option {name}"
        else:
            continue
        raise RunError(
            f"{os.fspath(file)} records {problem}; expected options as autotl writes them; restore the file, or start a"
            " new run"
        )
    return options


def _may_be_recorded(name: str, value: Any) -> bool:
    """Return whether a run may have recorded this value of an option."""
    definition = DEFINITIONS.get(name)
    form: Form = definition.form if definition else {"more": "names"}.get(name, "text")  # type: ignore[assignment]
    if form in _LISTS:
        return isinstance(value, tuple) and all(map(_is_text, value))
    if form == "columns" and isinstance(value, tuple):
        return len(value) > 1 and all(map(_is_text, value))
    if form == "flag":
        return isinstance(value, bool)
    if form in _NUMBERS:
        low, high, whole = _NUMBERS[form]
        kinds = (int,) if whole else (int, float)
        return type(value) in kinds and low <= value <= high
    if not _is_text(value):
        return False
    if name == "device":  # Python callers may add a number
        value = re.sub(r":\d{1,3}$", "", value)
    return definition is None or not definition.choices or value in definition.choices


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


# Recorded numbers: the least, the most, and whether they are whole.
_NUMBERS: Mapping[str, tuple[float, float, bool]] = {
    "duration": (0.0, 1e9, False),
    "fraction": (0.0, 1.0, False),
    "latency": (0.0, 1e9, False),
    "integer": (0, 2**63 - 1, True),
    "count": (0, 2**63 - 1, True),
    "size": (0, 2**63 - 1, True),
}


def several(value: str | os.PathLike[str] | Iterable[Any]) -> tuple[str, ...]:
    """Return one text or path as a tuple of one, several as a tuple of texts."""
    return (str(value),) if isinstance(value, str) or hasattr(value, "__fspath__") else tuple(map(str, value))


def columns_of(value: str | Iterable[str]) -> str | tuple[str, ...] | None:
    """Return one name of a column as a text, several as a tuple, none as None.

    >>> columns_of("color"), columns_of(["color"]), columns_of(["color", "shape"])
    ('color', 'color', ('color', 'shape'))
    """
    names = several(value)
    return names if len(names) > 1 else names[0] if names else None


def _converted(name: str, value: Any) -> Any:
    form = DEFINITIONS[name].form
    if form in _LISTS:
        return several(value)
    if form == "columns":
        return columns_of(value)
    if form in _PATHS:
        return str(value)
    if form not in {"count", "size"}:
        return value
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise AutotlError(f"{name} is {value!r}; expected a whole number; correct it") from error


Function = TypeVar("Function", bound=Callable[..., Any])


def takes_options(function: Function) -> Function:
    """Give a function that takes ``**options`` a signature and a docstring that list them."""
    return takes(*OptionArguments.__annotations__)(function)


def takes(*names: str) -> Callable[[Function], Function]:
    """Return a decorator that gives a function with ``**options`` a signature and a docstring with these options."""

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        kept = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        first = [p for p in kept if p.kind is not inspect.Parameter.KEYWORD_ONLY]
        rest = [p for p in kept if p.kind is inspect.Parameter.KEYWORD_ONLY]
        types = OptionArguments.__annotations__
        listed = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=DEFAULTS[name],
                annotation=getattr(types[name], "__forward_arg__", types[name]),
            )
            for name in names
        ]
        function.__signature__ = signature.replace(parameters=[*first, *listed, *rest])  # type: ignore[attr-defined]
        lines = [
            textwrap.fill(
                f"{name}: {_described(DEFINITIONS[name])}",
                100,
                initial_indent="    ",
                subsequent_indent=" " * 8,
            )
            for name in names
        ]
        function.__doc__ = "\n".join([inspect.getdoc(function) or "", "", "Options:", *lines, ""])
        return function

    return decorate


def _described(definition: Definition) -> str:
    text = definition.help.removesuffix("; may be repeated.").removesuffix(".")
    unit = f" ({_UNITS[definition.form]})" if definition.form in _UNITS else ""
    choices = f" One of {', '.join(definition.choices)}." if definition.choices else ""
    default = f" Default: {definition.default}." if definition.default else ""
    return f"{text}{unit}.{choices}{default}"


def source_options(options: Options) -> dict[str, str]:
    """Return the options that a reader of the source receives."""
    return reading_options({name: getattr(options, name) for name in READING})


def reading_options(given: Mapping[str, Any]) -> dict[str, str]:
    """Return options of reading the data as texts, lists with commas; what is not set is left out.

    Names of columns may hold commas: several stand in a line each.
    """
    between = {
        name: "\n" if definition.form == "columns" else "," for name, definition in DEFINITIONS.items()
    }
    texts = {
        name: between[name].join(value) if isinstance(value, tuple) else str(value)
        for name, value in given.items()
    }
    unset = {name for name, value in given.items() if value is None or value is False or value == ()}
    return {name: text for name, text in texts.items() if name not in unset}


def goal_of(options: Options, metric: Metric = "accuracy") -> Goal:
    """Return the goal of the decision: the metric, the preference and the limits."""
    from autotl.records import Goal

    return Goal(
        metric=metric,
        prefer=options.prefer,
        max_params=options.max_params,
        max_latency=options.max_latency,
        max_memory=options.max_memory,
        licence=options.licence,
    )


def settings_of(options: Options) -> Settings:
    """Return what plugins receive when they list their backbones."""
    from autotl.records import Settings
    from autotl.weights.hub import told_offline

    return Settings(
        weights=options.weights,
        offline=options.offline or told_offline(),
        device=options.device,
        licence=options.licence,
        seconds=options.budget,
        wanted=options.backbones,
    )
