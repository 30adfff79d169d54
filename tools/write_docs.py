"""Write what is made from the code.

- docs/reference/commands.md: what ``--help`` prints
- docs/reference/plugin-api.md, plugin-records.md and run-records.md: the hooks, and their records
- docs/reference/plugin-functions.md: the functions that records name
- docs/reference/architecture.md: the import layers of pyproject.toml, between two markers
- autotl/run_folder/result.schema.json: the JSON Schema of result.json

tests/test_docs.py fails if one of them is stale; ``make docs`` writes them again.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import click

from autotl import hookspecs, plugin, protocols
from autotl.cli import main
from autotl.options import DEFINITIONS, READING, Definition
from autotl.records.data import Action, GroupFrom, ModalityName, Part, TargetName
from autotl.records.events import AT_ANY_TIME, EVENTS, FINDINGS, STAGES
from autotl.records.specs import Geometry, Metric, Prefer
from autotl.records.trials import Control, Depth, Status
from autotl.run_folder import result_file

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
COMMANDS_HEAD = """\
# The commands

<!-- Made by tools/write_docs.py from --help; write there, then: make docs -->

Exit codes: 0 success; 1 an error that you can correct, printed on one line; 2 wrong usage; 130 after Ctrl-C, with the
best model so far kept and the report written. [Errors](errors.md) · [Options of a run](options.md)
"""
MADE = "<!-- Made by tools/write_docs.py from the code; write there, then: make docs -->"
HOOKS_HEAD = f"""\
# Plugin API

{MADE}

[Plugins](../guide/plugins.md) is the guide, with a complete package for each kind. This page lists every hook with its
exact arguments. The records have pages of their own: [what a plugin returns](plugin-records.md) and
[what a plugin receives](run-records.md), and so have the [functions](plugin-functions.md) that they name. autotl's own
backbones, strategies, scores and readers come through the same hooks.

An implementation names the arguments that it needs and leaves out the others.
"""
RETURNED_HEAD = f"""\
# Records that a plugin returns

{MADE}

All fields of the values that [hooks](plugin-api.md) return. A name such as `"module:attr"` names a callable; the
engine imports it when it is used. Records may get more fields without breaking a plugin.
"""
RECEIVED_HEAD = f"""\
# Records that a plugin receives

{MADE}

All fields of the values that [hooks](plugin-api.md) and planners receive. Seconds and bytes are plain numbers;
scores are fractions. Records may get more fields without breaking a plugin.
"""
FUNCTIONS = f"""\
# Functions that a plugin names

{MADE}

## Of a head

`Strategy.head` gets a [HeadCall](#headcall) and returns a [Head](#head), whose arrays fit the features as they were
passed: a function that scales them folds the scale into `weight` and `bias`. What the strategy asks for with `layers`,
`needs_text` and `needs_unlabelled` is in the call, too. A function that lists several kinds in `targets` tells them by
`labels.ndim` and `labels.dtype`; for sets of labels the head's outputs are logits of each label by itself.

It has no limit of its own: it runs in the worker process, on one thread, within the trial's time, and the worker is
ended where it exceeds that. It does not change the arrays.

`Strategy.predict` gets `features` (B, d) and `arrays`, a dict, as torch tensors, and the number of `classes`, by
position; it returns logits (B, classes). Arrays without an axis arrive as Python numbers. Floating arrays are kept as
float32. A model folder holds the arrays as safetensors and the function's name, which counts only where a strategy that
is installed names it. An export traces the function: with operations of tensors alone it works, with others the export
is refused by name.

## Of a score

`Score.compute` gets a [ScoreCall](#scorecall) and returns a float; higher is better. A call may take 10 s. It does not
change the arrays.

## Of a phase

The worker process calls them during a training; torch may be imported at the top of their module, if it is not the
plugin's own. Images are tensors (B, 3, side, side) on the device.

| field of `Phase` | arguments | returns |
| --- | --- | --- |
| `trains` | `name`, `module`, `group` | whether a parameter of the backbone trains |
| `augment` | `images`, `seed` | the augmented images |
| `mix` | `images`, `seed` | (mixed images, partners, share) |
| `sampler` | `labels`, `classes`, `seed` | places (m,) in `labels`: the order of one pass |
| `objective` | `call`: [ObjectiveCall](#objectivecall) | the loss: a tensor without axes, with a gradient |
| `unlabelled` | as `augment`, one for each view | as `augment` |
| `auxiliary` | `width` of the features, number of `classes` | a `torch.nn.Module` |

- A selector is asked once a phase for every parameter: its name in the network, the module that holds it, and its
  [LayerGroup](#layergroup).
- `augment` gets float32 in 0 to 255, after the crop and the flip of light augmentation; `mix` gets what enters the
  network. Partners are places in the batch (B,) int64. Of a mixed image's loss, `share` is its own target's and the rest
  its partner's.
- With views in `unlabelled`, each step reads as many images without a label as with one, augments all of them once for
  each view, and passes everything through the network together. The objective gets a [View](#view) for
  each. With `data="unlabelled"` no labelled image is read: `logits` and `targets` have no row. A strategy with either is
  left out, with the reason, where the user gives no `--unlabelled`. With `data="all"` these are the images that train,
  too, without their labels, so that it needs no `--unlabelled`.
- An `auxiliary` network, such as a classifier of domains, is made as the phase begins, trains at the rate of the head by
  what the objective makes of it, and is not kept.
- A sampler gets the labels of the rows that are trained on, and is asked again when an order is used up.

`Strategy.prepare` gets the pretrained network without its classifier, changes it or wraps it, and returns it. It is
called again where a model is loaded, without the pretrained weights; what it adds is in parameters and buffers, which
are saved and loaded by name. Layer groups are found in what it returns. It raises `Declined` with the reason
where it cannot be used with a network: that is a row of the leaderboard, and no failure.

`Strategy.worth` gets the data's profile, a backbone and the budget in seconds (None where it is not known), and returns
whether a run tries the strategy on that backbone by default; it may raise `Declined`, too. It imports no torch. Where the
user names the strategy, only `Declined` counts.

`Strategy.combine` gets two to eight [checkpoints](#checkpoint) of one backbone at one input size, best
first, of the strategies in `parents`, and returns weights by name. autotl measures batch norm again with them. Nothing
trains, and the trial ships as it is. Out-of-fold a trial has no one model, and nothing is joined.

A strategy with phases and `parents` learns from what trials of these predict: its objectives get their mean prediction as
`teacher`, logits of each image without augmentation. A run gives such a strategy a trial after the search, by
`--distil-into`; in a search it is no recipe.

`Strategy.related` gets a [RelatedCall](#relatedcall) and returns a weight of 0 or more for each image of
another source. Those above 0 are fitted beside the images that train, by these weights: in a head, and in phases as the
chance to be drawn. An epoch has as many steps as without them. It imports no torch. Where the user gives no `--source`,
such a strategy is left out; where one is given, it is tried by default.

A seed gives one answer, so that a run can be repeated. What a function returns is checked at every call; a training whose
function raises, or returns something else, is a failed trial with the reason.
"""
RETURNED = (
    "BackboneSpec", "Weights", "Preprocess", "Strategy", "Phase", "Score", "Dataset", "Target", "Finding",
    "LeftOut", "Candidate", "Trial", "Parent",
)  # fmt: skip
RECEIVED = (
    "ListingCall", "SourceCall", "PlannerCall", "Settings", "Profile", "Ranking", "Ranked", "Goal",
    "Interval", "TrialResult", "CurvePoint", "Event",
)  # fmt: skip
CALLED = (
    "HeadCall",
    "Head",
    "ScoreCall",
    "LayerGroup",
    "ObjectiveCall",
    "View",
    "RelatedCall",
    "Checkpoint",
    "EngineCall",
)
ALIASES = {
    name: str(alias).replace("typing.", "").replace("<class 'int'>", "int")
    for name, alias in {
        "Action": Action, "Control": Control, "Depth": Depth, "Geometry": Geometry, "GroupFrom": GroupFrom,
        "Metric": Metric, "ModalityName": ModalityName, "Part": Part, "Prefer": Prefer, "Status": Status,
        "TargetName": TargetName,
    }.items()
}  # fmt: skip
READ = (protocols.PlannerFacts, protocols.CostModel, protocols.Belief, protocols.DefaultPlanner)
LAYERS = re.compile(r"(?<=<!-- layers -->\n).*?(?=<!-- /layers -->)", re.DOTALL)


def pages() -> dict[Path, str]:
    """Return path and text of everything that is made from the code."""
    schema = json.dumps(result_file.schema(), indent=1, ensure_ascii=False) + "\n"
    architecture = REFERENCE / "architecture.md"
    return {
        REFERENCE / "commands.md": commands(),
        REFERENCE / "plugin-api.md": plugin_api(),
        REFERENCE / "plugin-records.md": records_page(RETURNED_HEAD, RETURNED),
        REFERENCE / "plugin-functions.md": records_page(FUNCTIONS, CALLED),
        REFERENCE / "run-records.md": records_page(RECEIVED_HEAD, RECEIVED) + reading_options(),
        architecture: LAYERS.sub(lambda _: layers(), architecture.read_text(encoding="utf-8")),
        ROOT / "autotl" / "run_folder" / "result.schema.json": schema,
    }


def commands() -> str:
    """Return all commands with their help, as Markdown."""
    parts = [COMMANDS_HEAD, _help("", main)]
    parts += [_help(name, command) for name, command in main.commands.items()]
    return "\n".join(parts)


def plugin_api() -> str:
    """Return the hooks and the planner protocol with their arguments, as Markdown."""
    hooks = [hook for hook in vars(hookspecs).values() if hasattr(hook, "autotl_spec")]
    parts = [HOOKS_HEAD, "## Hooks\n", *map(_callable, hooks)]
    parts += [
        events(),
        f"## The planner\n\n{_text(protocols.Planner)}\n",
        *map(_callable, _methods(protocols.Planner)),
    ]
    parts += [
        "## What a planner reads\n\nFields of [`PlannerCall`](run-records.md#plannercall).\n",
        *map(_protocol, READ),
    ]
    return "\n".join(parts)


def reading_options() -> str:
    """Return the options that a reader of a source receives, as Markdown."""
    rows = [
        f"| `{name}` | {_given(definition)} | {definition.help.removesuffix('; may be repeated.').removesuffix('.')} |"
        for name in READING
        for definition in [DEFINITIONS[name]]
    ]
    table = "\n".join(["| key | value | meaning |", "| --- | --- | --- |", *rows])
    return f"""
## Options on the data

`SourceCall.options`, and the argument `options` of `load_dataset`: a mapping of texts, without those that are not set.

{table}
"""


def _given(definition: Definition) -> str:
    """Return what the text of an option is, once it is set."""
    if definition.form == "flag":
        return "`True`"
    if definition.choices:
        return ", ".join(f"`{choice}`" for choice in definition.choices)
    several = {"names": "names, with commas between several", "columns": "text; several, a line each"}
    return several.get(definition.form, "text")


def events() -> str:
    """Return the stages and the values of every kind of event, as Markdown."""
    order = ", ".join(f"`{stage}`" for stage in STAGES)
    at_any_time = " and ".join(f"`{stage}`" for stage in AT_ANY_TIME)
    findings = ", ".join(f"`{stage}`" for stage in FINDINGS)
    rows = [
        f"| `{stage}` | `{kind}` | {_values(values)} |"
        for stage in (*STAGES, *AT_ANY_TIME)
        for kind, values in EVENTS.get(stage, {}).items()
    ]
    table = "\n".join(["| stage | kind | values |", "| --- | --- | --- |", *rows])
    return f"""\
## The events

All fields of an event are in [Event](run-records.md#event). The stages come in this order. A run has not all of them,
and the first `probe` belongs to the ranking:

{order}.

The stages {at_any_time} come at any time. {findings} also have an event for each finding, guess
or problem, with the kind and the values that `result.json` has.

{table}
"""


def _values(values: Mapping[str, str]) -> str:
    return "; ".join(f"`{name}`: {meaning}" for name, meaning in values.items()) or "none"


def _protocol(protocol: type) -> str:
    """Return the methods of a protocol and their first paragraphs, as a table."""
    rows = [
        f"| `{name}{_signature(member)}` | {_text(member).partition('.')[0].removeprefix('Return ')} |"
        for name, member in vars(protocol).items()
        if not name.startswith("_")
    ]
    table = "\n".join(["| member | returns |", "| --- | --- |", *rows])
    return f"### {protocol.__name__}\n\n{_text(protocol)}\n\n{table}\n"


def _signature(member: Any) -> str:
    if isinstance(member, property):
        return f": {inspect.signature(member.fget).return_annotation}"
    return str(inspect.signature(member)).replace("'", "").replace("(self, ", "(").replace("|", "\\|")


def records_page(head: str, names: Iterable[str]) -> str:
    """Return a table of fields for each record, as Markdown."""
    return "\n".join([head, *(_record(getattr(plugin, name)) for name in names)])


def layers() -> str:
    """Return the import layers of pyproject.toml, highest first, as a text block."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    lines = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return "```text\n" + "\n".join(line.replace("autotl.", "") for line in lines) + "\n```\n"


def _help(name: str, command: click.Command) -> str:
    # A fixed width, so that the page does not depend on the terminal it was made in.
    settings = {"terminal_width": 80, "max_content_width": 80, "help_option_names": ["-h", "--help"]}
    parent = None if not name else click.Context(main, info_name="autotl", **settings)
    context = click.Context(command, info_name=name or "autotl", parent=parent, **settings)
    return f"## autotl {name}".rstrip() + f"\n\n```text\n{command.get_help(context)}\n```\n"


def _methods(protocol: type) -> list[Any]:
    return [
        member for name, member in vars(protocol).items() if callable(member) and not name.startswith("_")
    ]


def _callable(function: Any) -> str:
    signature = str(inspect.signature(function)).replace("'", "")
    return f"### {function.__name__}\n\n```text\n{function.__name__}{signature}\n```\n\n{_text(function)}\n"


def _text(documented: Any) -> str:
    """Return the docstring as Markdown: code in single backticks, arguments and errors as lists."""
    text = (inspect.getdoc(documented) or "").replace("``", "`")
    lines: list[str] = []
    section = False
    for line in text.splitlines():
        if line in {"Args:", "Raises:", "Returns:"}:
            section = True
            lines += [f"{line.removesuffix(':').replace('Args', 'Arguments')}:", ""]
        elif section and (entry := re.match(r"    (\w+): (.*)", line)):
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        elif section and line.startswith("        "):
            lines.append(f"  {line.strip()}")
        else:
            lines.append(line.rstrip())
    return "\n".join(lines)


def _record(record: type) -> str:
    comments = _comments(record)
    rows = [
        f"| `{field.name}` | `{_type(field.type)}` | {_default(field)} | {comments.get(field.name, '')} |"
        for field in fields(record)
    ]
    table = "\n".join(["| field | type | default | meaning |", "| --- | --- | --- | --- |", *rows])
    return f"## {record.__name__}\n\n{_text(record)}\n\n{table}\n{_properties(record)}"


def _properties(record: type) -> str:
    """Return what a record computes of its fields, as a table; nothing where there is no property."""
    rows = [
        f"| `{name}` | `{_type(inspect.signature(member.fget).return_annotation)}` | "  # type: ignore[arg-type]
        f"{_text(member).removeprefix('Return ').removesuffix('.')} |"
        for name, member in vars(record).items()
        if isinstance(member, property)
    ]
    if not rows:
        return ""
    return "\n" + "\n".join(["| property | type | value |", "| --- | --- | --- |", *rows]) + "\n"


def _type(annotation: object) -> str:
    """Return a type as text, with the values of a name that stands for some."""
    text = re.sub(r"\w+", lambda name: ALIASES.get(name[0], name[0]), str(annotation))
    return text.replace("|", "\\|")


def _default(field: Any) -> str:
    if field.default is MISSING:
        return "required" if field.default_factory is MISSING else "empty"
    if isinstance(field.default, plugin.Preprocess):
        return "ImageNet's"
    return f"`{field.default!r}`"


def _comments(record: type) -> dict[str, str]:
    """Return the comment behind each field of a record in its source."""
    source = inspect.getsource(record)
    lines = source.splitlines()
    comments = {}
    for node in ast.parse(source).body[0].body:  # type: ignore[attr-defined]
        if isinstance(node, ast.AnnAssign):
            rest = lines[node.end_lineno - 1][node.end_col_offset :]
            comments[node.target.id] = rest.partition("# ")[2].replace("|", "\\|")
    return comments


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
