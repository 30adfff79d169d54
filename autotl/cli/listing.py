"""``backbones``, ``strategies``, ``scores`` and ``plugins``: lists, made without torch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from autotl.cli.echo import emit, say
from autotl.cli.options import AS_JSON, names_of, option, options
from autotl.options import converted

if TYPE_CHECKING:
    from autotl.errors import PluginError
    from autotl.records import BackboneSpec


@click.command(
    epilog="Example: autotl backbones 'timm:*mobilenetv3*' --max-params 5M",
    short_help="List the backbones.",
)
@click.argument("patterns", metavar="[NAME]...", nargs=-1)
@options("weights", "max_params")
@option(
    "max_latency",
    text="Maximum prediction time per image, such as 20ms; forecast for this machine, not measured.",
)
@option("max_memory", text="Maximum size of the weights, such as 50MB.")
@option("licence")
@click.option("--fetch", is_flag=True, help="Download the weights of NAME, so that later runs find them.")
@AS_JSON
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
    """List the backbones that a run tries by default, or those that match NAME (a name or glob pattern).

    Every pretrained model of timm and torchvision can be given by name. top-1 is the published ImageNet-1k
    accuracy.
    """
    if fetch and not patterns:
        raise click.UsageError("--fetch needs a NAME; give a name or pattern such as timm:resnet18.a1_in1k")
    from autotl.builtin.backbones import unusable
    from autotl.candidates.listed import listed
    from autotl.plugins.manager import load_plugins
    from autotl.records import Goal
    from autotl.report.wording import sentence

    plugins = load_plugins()
    wanted = names_of(patterns)
    goal = Goal(**converted({"max_params": max_params, "max_memory": max_memory, "licence": licence}))
    shown = listed(plugins, wanted, goal, weights=weights, max_latency=max_latency)
    if fetch:
        _fetch(shown)
        return
    columns = ("", "backbone", "params", "GMACs", "px", "top-1", "licence")
    _show(shown, columns, _backbone_cells, as_json, right=columns[2:6], elastic=1)
    _problems([*(f"{skip.name}: {sentence(skip.reason)}" for skip in unusable(weights)), *plugins.problems])
    if not as_json:
        click.echo("+ weights are on this machine")
        if not wanted:
            click.echo("\nTo list more: autotl backbones 'timm:*resnet*' or 'torchvision:*'")


def _fetch(specs: Sequence[BackboneSpec]) -> None:
    """Download weights one after another. Raises `WeightsUnavailable` at the end for those that failed."""
    from autotl.errors import WeightsUnavailable
    from autotl.weights import downloads, hub

    wanted = [spec for spec in specs if hub.away(spec)]
    click.echo(
        f"{len(specs) - len(wanted)} on this machine, {downloads.megabytes(wanted):.0f} MB to download",
        err=True,
    )
    problems = []
    for spec in wanted:
        if spec.weights is None:
            continue
        try:
            with click.progressbar(length=spec.weights.bytes or 1, label=spec.name, file=sys.stderr) as bar:
                path = hub.fetch(spec.weights, report=partial(_advance, bar))
        except WeightsUnavailable as error:
            problems.append(f"{spec.name}: {error}")
        else:
            say(str(path))
    if problems:
        raise WeightsUnavailable("; ".join(problems))


def _advance(bar: Any, have: int) -> None:
    bar.update(have - bar.pos)


def _backbone_cells(spec: BackboneSpec) -> tuple[str, ...]:
    from autotl.report.format import short_count

    present = spec.weights is None or spec.weights.present or spec.weights.kind == "file"
    return (
        "+" if present else "",
        spec.name,
        "" if spec.parameters is None else short_count(spec.parameters),
        "" if spec.macs is None else f"{spec.macs / 1e9:.{2 if spec.macs >= 1e8 else 3}f}",
        str(spec.input_size),
        "" if spec.published is None else f"{100 * spec.published:.1f}",
        _cut(spec.licence or "", 13),
    )


def _cut(text: str, width: int) -> str:
    """Shorten a custom licence's long name; --json prints it whole."""
    return text if len(text) <= width else text[: width - 1] + "…"


@click.command(epilog="Example: autotl strategies", short_help="List the transfer strategies.")
@AS_JSON
def strategies(as_json: bool) -> None:
    """List the strategies: ways to transfer a backbone to new data.

    A run tries those with a + by default, and others where --strategies names them.
    """
    from autotl.plugins.manager import load_plugins

    plugins = load_plugins()
    _show(
        list(plugins.strategies(None).values()),
        ("", "strategy", "what it does"),
        lambda value: ("+" if value.proposed else "", value.name, value.summary),
        as_json,
    )
    _problems(plugins.problems)


@click.command(epilog="Example: autotl scores", short_help="List the transferability scores.")
@AS_JSON
def scores(as_json: bool) -> None:
    """List the transferability scores, which rank backbones before any of them is trained.

    The weight is what counts usually of a backbone's lead by the score, beside the linear probe, which is what the
    other scores correct. A run moves it by the score's agreement with its own linear probes.
    """
    from dataclasses import replace

    from autotl.plugins.manager import load_plugins
    from autotl.ranking.score_weights import usual_weight

    plugins = load_plugins()
    listed = []
    for score in plugins.scores().values():
        guest = score.weight if plugins.is_guests("register_scores", score.name) else None
        listed.append(replace(score, weight=usual_weight(score.name, guest)))
    _show(
        listed,
        ("score", "weight", "what it is"),
        lambda value: (value.name, f"{value.weight:g}" if value.weight else "", value.summary),
        as_json,
        right=("weight",),
    )
    _problems(plugins.problems)


@click.command(epilog="Example: autotl plugins", short_help="List the plugins and their problems.")
@AS_JSON
def plugins(as_json: bool) -> None:
    """List the installed plugins, the hooks that each implements, and problems with any of them."""
    import msgspec

    from autotl.cli import terminal
    from autotl.plugins.manager import load_plugins
    from autotl.records import Settings

    manager = load_plugins()
    # Call every hook: some plugins fail only then.
    manager.backbones(None, Settings(offline=True))
    manager.strategies(None)
    manager.scores()
    names = [name for name in manager.names() if not manager.quarantined(name)]
    if as_json:
        problems = [{"plugin": p.plugin, "hook": p.hook, "message": str(p)} for p in manager.problems]
        listed = [{"name": name, "from": _origin(name), "hooks": manager.hooks(name)} for name in names]
        text = msgspec.json.encode({"plugins": listed, "problems": problems})
        emit(msgspec.json.format(text, indent=1) + b"\n")
        return
    rows = [(name, _origin(name), ", ".join(manager.hooks(name))) for name in names]
    terminal.rows_table(("plugin", "from", "hooks"), rows)
    _problems(manager.problems)


def _origin(name: str) -> str:
    """Return the distribution of a plugin with its version, or the variable that names its module."""
    from importlib.metadata import entry_points

    from autotl import __version__
    from autotl.plugins.manager import BUILTIN_NAMES, GROUP, SWITCH

    if name in BUILTIN_NAMES:
        return f"autotl {__version__}"
    distribution = next((point.dist for point in entry_points(group=GROUP, name=name)), None)
    return SWITCH if distribution is None else f"{distribution.name} {distribution.version}"


def _show(
    values: Sequence[Any],
    columns: Sequence[str],
    cells: Callable[[Any], Sequence[str]],
    as_json: bool,
    **layout: Any,
) -> None:
    import msgspec

    from autotl.cli import terminal

    if as_json:
        emit(msgspec.json.format(msgspec.json.encode(list(values)), indent=1) + b"\n")
    else:
        terminal.rows_table(columns, [cells(value) for value in values], **layout)


def _problems(problems: Iterable[PluginError | str]) -> None:
    from autotl.report.format import printable

    for problem in problems:
        what = "left out" if isinstance(problem, str) else "problem"
        click.echo(printable(f"{what}: {problem}"), err=True)


COMMANDS: tuple[click.Command, ...] = (backbones, strategies, scores, plugins)
