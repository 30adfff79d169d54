"""``backbones``, ``strategies``, ``scores`` and ``plugins``: what there is to choose from, without torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from autotl.cli import options

if TYPE_CHECKING:
    from autotl.errors import PluginError
    from autotl.records import BackboneSpec

Command = TypeVar("Command", bound=Callable[..., Any])

_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON, with every field.")


@click.command(
    epilog="Example: autotl backbones 'timm:*mobilenetv3*' --max-params 5M",
    short_help="The backbones there are.",
)
@click.argument("patterns", metavar="[NAME]...", nargs=-1)
@click.option(
    "--weights", type=click.Path(exists=True, file_okay=False), multiple=True, metavar="DIR",
    help="Folder with your own checkpoints; may be repeated.",
)  # fmt: skip
@click.option("--max-params", type=options.COUNT, metavar="COUNT", help="Only smaller ones, such as 5M.")
@click.option(
    "--max-latency", type=options.LATENCY, metavar="TIME",
    help="Only faster ones, such as 20ms an image; a forecast for this machine.",
)  # fmt: skip
@click.option(
    "--max-memory",
    type=options.MEMORY,
    metavar="SIZE",
    help="Only those whose weights take less, such as 50MB.",
)
@click.option(
    "--licence", multiple=True, callback=options.licences, metavar="SPDX",
    help=options.licence_help("Only these licences"),
)  # fmt: skip
@click.option("--fetch", is_flag=True, help="Bring the weights of NAME to this machine, for runs to come.")
@_JSON
def backbones(
    patterns: tuple[str, ...],
    weights: tuple[str, ...],
    max_params: float | None,
    max_latency: float | None,
    max_memory: float | None,
    licence: tuple[str, ...],
    fetch: bool,
    as_json: bool,
) -> None:
    """The backbones that a run tries by default, or those that NAME (a name or glob pattern) means.

    Besides these, every pretrained model of timm and torchvision can be asked for by name. Accuracy is
    ImageNet-1k top-1 as published.
    """
    if fetch and not patterns:
        raise click.UsageError("expected the NAME of what to fetch, such as timm:resnet18.a1_in1k")
    from fnmatch import fnmatchcase

    from autotl import hardware
    from autotl.builtin.backbones import unusable
    from autotl.candidates.gather import bare, refused
    from autotl.errors import UnknownNameError
    from autotl.plugins.manager import load_plugins
    from autotl.records import Goal, Settings
    from autotl.report.wording import sentence
    from autotl.weights.hub import told_offline

    plugins = load_plugins()
    wanted = options.names_of(patterns)
    offered = plugins.backbones(None, Settings(weights=weights, offline=told_offline(), wanted=wanted))
    if wanted:
        for pattern in wanted:
            if not any(fnmatchcase(text, pattern) for name in offered for text in (name, bare(name))):
                raise UnknownNameError("backbone", pattern, offered)
        shown = [
            s
            for s in offered.values()
            if any(fnmatchcase(t, p) for p in wanted for t in (s.name, bare(s.name)))
        ]
    else:
        shown = [spec for spec in offered.values() if spec.proposed]
    goal = Goal(
        max_params=None if max_params is None else int(max_params),
        max_memory=None if max_memory is None else int(max_memory),
        licence=licence,
    )
    shown = [spec for spec in shown if not refused(spec, goal)]
    if max_latency is not None:
        gpu = hardware.has_gpu()
        shown = [spec for spec in shown if hardware.seconds_per_image(spec, gpu=gpu) <= max_latency]
    if fetch:
        _fetch(shown)
        return
    columns = ("", "backbone", "params", "GMACs", "px", "top-1", "licence")
    _show(shown, columns, _backbone_cells, as_json, right=columns[2:6], elastic=1)
    _problems([*(f"{skip.name}: {sentence(skip.reason)}" for skip in unusable(weights)), *plugins.problems])
    if not as_json:
        click.echo("+ on this machine already")
        if not wanted:
            click.echo("\nMore of them: autotl backbones 'timm:*resnet*' or 'torchvision:*'")


def _fetch(specs: Sequence[BackboneSpec]) -> None:
    """Brings weights here, one after another; what cannot be had is said at the end."""
    from autotl.errors import WeightsUnavailable
    from autotl.weights import downloads, hub

    wanted = [spec for spec in specs if hub.away(spec)]
    click.echo(
        f"{len(specs) - len(wanted)} here already, {downloads.megabytes(wanted):.0f} MB to fetch", err=True
    )
    problems = []
    for spec in wanted:
        assert spec.weights is not None
        try:
            with click.progressbar(length=spec.weights.bytes or 1, label=spec.name, file=sys.stderr) as bar:
                path = hub.fetch(spec.weights, report=partial(_advance, bar))
        except WeightsUnavailable as error:
            problems.append(f"{spec.name}: {error}")
        else:
            click.echo(str(path))
    if problems:
        raise WeightsUnavailable("; ".join(problems))


def _advance(bar: Any, have: int) -> None:
    bar.update(have - bar.pos)


def _backbone_cells(spec: BackboneSpec) -> tuple[str, ...]:
    present = spec.weights is None or spec.weights.present or spec.weights.kind == "file"
    return (
        "+" if present else "",
        spec.name,
        "" if spec.parameters is None else options.short(spec.parameters),
        "" if spec.macs is None else f"{spec.macs / 1e9:.{2 if spec.macs >= 1e8 else 3}f}",
        str(spec.input_size),
        "" if spec.published is None else f"{100 * spec.published:.1f}",
        _cut(spec.licence or "", 13),
    )


def _cut(text: str, width: int) -> str:
    """Licences of one's own have long names; --json has them whole."""
    return text if len(text) <= width else text[: width - 1] + "…"


@click.command(epilog="Example: autotl strategies", short_help="The ways to carry a backbone over.")
@_JSON
def strategies(as_json: bool) -> None:
    """The ways to carry a backbone over to new data."""
    from autotl.plugins.manager import load_plugins

    plugins = load_plugins()
    found = list(plugins.strategies(None).values())
    _show(found, ("strategy", "what it does"), lambda value: (value.name, value.summary), as_json)
    _problems(plugins.problems)


@click.command(epilog="Example: autotl scores", short_help="The scores that rank backbones before training.")
@_JSON
def scores(as_json: bool) -> None:
    """The transferability scores: what ranks backbones before any of them is trained."""
    from autotl.plugins.manager import load_plugins

    plugins = load_plugins()
    found = list(plugins.scores().values())
    _show(found, ("score", "what it is"), lambda value: (value.name, value.summary), as_json)
    _problems(plugins.problems)


@click.command(
    epilog="Example: autotl plugins", short_help="The plugins, and what is wrong with some of them."
)
@_JSON
def plugins(as_json: bool) -> None:
    """The plugins that are installed, the hooks they answer, and what is wrong with some of them."""
    import msgspec

    from autotl.cli import show
    from autotl.plugins.manager import load_plugins
    from autotl.records import Settings

    found = load_plugins()
    # Each is asked what it has: some break no sooner.
    found.backbones(None, Settings(offline=True))
    found.strategies(None)
    found.scores()
    names = [name for name in found.names() if not found.quarantined(name)]
    if as_json:
        problems = [{"plugin": p.plugin, "hook": p.hook, "message": str(p)} for p in found.problems]
        listed = [{"name": name, "from": _origin(name), "hooks": found.hooks(name)} for name in names]
        text = msgspec.json.encode({"plugins": listed, "problems": problems})
        click.echo(msgspec.json.format(text, indent=1).decode())
        return
    rows = [(name, _origin(name), ", ".join(found.hooks(name))) for name in names]
    show.rows_table(("plugin", "from", "hooks"), rows)
    _problems(found.problems)


def _origin(name: str) -> str:
    """The distribution that brings a plugin, with its version, or the variable that names its module."""
    from importlib.metadata import entry_points

    from autotl import __version__
    from autotl.plugins.manager import BUILTIN_NAMES, GROUP, SWITCH

    if name in BUILTIN_NAMES:
        return f"autotl {__version__}"
    brought = next((point.dist for point in entry_points(group=GROUP, name=name)), None)
    return SWITCH if brought is None else f"{brought.name} {brought.version}"


def _show(
    found: Sequence[Any],
    columns: Sequence[str],
    cells: Callable[[Any], Sequence[str]],
    as_json: bool,
    **layout: Any,
) -> None:
    import msgspec

    from autotl.cli import show

    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(list(found)), indent=1).decode())
    else:
        show.rows_table(columns, [cells(value) for value in found], **layout)


def _problems(found: Iterable[PluginError | str]) -> None:
    from autotl.report.text import printable

    for problem in found:
        click.echo(printable(f"left out: {problem}"), err=True)


COMMANDS: tuple[click.Command, ...] = (backbones, strategies, scores, plugins)
