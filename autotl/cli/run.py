"""``run``, ``demo`` and ``fit``: from images to a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from autotl.cli.echo import emit, say
from autotl.cli.options import QUIET, RUN, option, options, together
from autotl.options import DEFAULT_BUDGET, DEFINITIONS

if TYPE_CHECKING:
    from autotl.run import Run

FIT_BUDGET = "1h"
_OUTPUT = together(
    click.option(
        "--json", "as_json", is_flag=True, help="Print result.json to standard output and nothing else."
    ),
    QUIET,
)
# What --continue goes with; all other options belong to a new run.
_EXTENDS = {*(name for name, definition in DEFINITIONS.items() if definition.extends), "as_json", "quiet"}


def _configured(ctx: click.Context, param: click.Parameter, file: str | None) -> str | None:
    """Make the options of a file the defaults of the command."""
    if file is not None:
        from pathlib import Path

        from autotl.errors import AutotlError
        from autotl.run_folder import config

        try:
            ctx.default_map = config.read(Path(file))
        except AutotlError as error:
            raise click.BadParameter(str(error), ctx, param) from error
    return file


@click.command(
    epilog="Example: autotl run photos/ --budget 10m --test photos-later/",
    short_help="Find and train the best backbone and recipe for DATA.",
)
@click.argument("source", metavar="DATA", is_eager=True, required=False)
@click.option(
    "--config", type=click.Path(exists=True, dir_okay=False), metavar="FILE", is_eager=True, callback=_configured,
    help="TOML file with DATA and options, such as config.toml of a run folder; options given here replace its own.",
)  # fmt: skip
@options("budget", "out")
@click.option(
    "--continue", "folder", type=click.Path(exists=True, file_okay=False), metavar="RUN",
    help="Continue a run: for another --budget, or an interrupted run for the time it had left. --backbones and"
    " --weights are added to those of the run.",
)  # fmt: skip
@options(
    "test",
    "unlabelled",
    "related",
    "test_size",
    "group",
    "no_auto_group",
    "domain",
    "path",
    "label",
    "split",
    "weight",
    "root",
    "encoding",
    "layout",
)
@options(
    "include",
    "ignore_case",
    "crops",
    "sample",
    "geometry",
    "target",
    "weights",
    "backbones",
    "strategies",
    "distil_into",
    "scores",
    "metric",
    "prefer",
)
@options("max_params", "max_latency", "max_memory", "licence")
@options("engine", "slots", "device", "precision", "seed", "offline", "refit", "history")
@click.option(
    "--dry-run", is_flag=True, help="List what would be tried and its forecast cost; train nothing."
)
@_OUTPUT
@click.pass_context
def run(
    ctx: click.Context,
    /,
    source: str | None,
    config: str | None,
    folder: str | None,
    dry_run: bool,
    **given: Any,
) -> None:
    """Find the best way to transfer a pretrained backbone to DATA, and train it.

    DATA is a folder with one subfolder for each class, with or without train/, val/ and test/ above or inside
    them, or a table (CSV, TSV, JSON Lines, Parquet, Excel) with the columns path and label and optionally split
    and group.
    """
    started = time.monotonic()
    if folder is not None and config is not None:
        raise click.UsageError("--config cannot be combined with --continue; a run keeps its options", ctx)
    if folder is not None and dry_run:
        raise click.UsageError("--dry-run cannot be combined with --continue; use it with DATA", ctx)
    if folder is not None:
        _extend(ctx, started, folder, source, given)
    elif source is None:
        raise click.UsageError(
            "DATA is missing; give a folder or a table, a --config that names it, or --continue RUN", ctx
        )
    elif dry_run:
        _plan(source, **given)
    else:
        _recommend(started, source=source, **given)


@click.command(
    epilog="Example: autotl demo --budget 60s",
    short_help="Run on scikit-learn's handwritten digits.",
)
@options("budget", "out", "weights", "backbones", "strategies")
@options("engine", "slots", "device", "precision", "seed", "offline")
@_OUTPUT
def demo(**given: Any) -> None:
    """Run on scikit-learn's handwritten digits, written as a folder of images."""
    from autotl.cache import cache_folder
    from autotl.cli.demo import write_digits

    started = time.monotonic()
    source = cache_folder() / "demo" / "digits"
    count = write_digits(source)
    if not (given["quiet"] or given["as_json"]):
        say(f"Data: {count:,} images of handwritten digits in {source}", err=True)
    _recommend(started, source=str(source), **given)


@click.command(
    epilog="Example: autotl fit runs/photos more-photos/ --out runs/more",
    short_help="Train a recipe of RUN again, on new data if given.",
)
@RUN
@click.argument("data", metavar="[DATA]", required=False)
@click.option(
    "--candidate",
    metavar="ID",
    help="Recipe to train, as a candidate id of the leaderboard.  [default: the winner]",
)
@click.option(
    "--group", metavar="REGEX|COLUMN",
    help="Images of DATA that must stay in the same part; '' for none.  [default: as in RUN]",
)  # fmt: skip
@option("budget", text="Time limit; the command ends as soon as the recipe is trained.", default=FIT_BUDGET)
@option("out", metavar="NEW")
@_OUTPUT
def fit(
    folder: str,
    data: str | None,
    candidate: str | None,
    group: str | None,
    budget: float | None,
    out: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train the winner's recipe of RUN again, or that of another candidate, without a search.

    DATA replaces the images of RUN; to train on more images, give a folder or a CSV that holds all of them.
    Writes a new run folder with the scores of this recipe on these data and a model.
    """
    started = time.monotonic()
    from autotl.cli.terminal import show_outcome
    from autotl.progress.live import live
    from autotl.run import load

    with live(quiet=quiet or as_json) as observe:
        fitted = load(folder).fit(
            data,
            candidate=candidate,
            group=group,
            out=out,
            budget=FIT_BUDGET if budget is None else budget,
            command=_command_line(),
            observers=[observe],
            started=started,
        )
    show_outcome(fitted, as_json=as_json)


def _recommend(started: float, *, as_json: bool, quiet: bool, **given: Any) -> None:
    from autotl.run import recommend

    given["budget"] = given["budget"] or DEFAULT_BUDGET
    start = partial(recommend, given.pop("source"), started=started, **given)
    _follow(start, as_json=as_json, quiet=quiet)


def _plan(source: str, *, as_json: bool, quiet: bool, **given: Any) -> None:
    from autotl.cli import terminal
    from autotl.records import encoding
    from autotl.run import plan

    given["budget"] = given["budget"] or DEFAULT_BUDGET
    planned = plan(source, **given)
    if as_json:
        emit(encoding.encode(planned))
    else:
        terminal.plan(planned)


def _extend(
    ctx: click.Context, started: float, folder: str, source: str | None, given: dict[str, Any]
) -> None:
    from autotl.run import Run

    of_new_runs = [
        name
        for name in given
        if name not in _EXTENDS and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if of_new_runs:
        raise click.UsageError(
            f"{_flags(of_new_runs[:1])} cannot be combined with --continue; use {_flags(_EXTENDS)}, and DATA if it"
            " was moved",
            ctx,
        )
    start = partial(
        Run(folder).extend,
        given["budget"],
        source=source,
        backbones=given["backbones"],
        weights=given["weights"],
        distil_into=given["distil_into"],
        offline=given["offline"],
        history=given["history"],
        engine=given["engine"],
        slots=given["slots"],
        started=started,
    )
    _follow(start, as_json=given["as_json"], quiet=given["quiet"])


def _flags(names: Iterable[str]) -> str:
    flags = {"as_json": "--json"} | {
        name: DEFINITIONS[name].flag for name in DEFINITIONS if DEFINITIONS[name].flag
    }
    return ", ".join(flags.get(name, f"--{name.replace('_', '-')}") for name in sorted(names))


def _follow(start: Callable[..., Run], *, as_json: bool, quiet: bool) -> None:
    """Run with live progress and show the outcome; after Ctrl-C show what was recorded and how to continue."""
    import shlex

    from autotl.cli.terminal import show_outcome
    from autotl.progress.live import live
    from autotl.run import load

    folders: list[str] = []
    try:
        with live(quiet=quiet or as_json) as observe:
            observers = [observe, lambda event: folders.append(event.folder)]
            finished = start(command=_command_line(), observers=observers)
    except KeyboardInterrupt:
        from autotl.errors import RunError

        try:
            show_outcome(load(folders[-1]), as_json=as_json)
            say(f"Continue with: autotl run --continue {shlex.quote(folders[-1])}", err=True)
        except (RunError, IndexError):
            click.echo("Interrupted before the first result was recorded.", err=True)
        raise
    show_outcome(finished, as_json=as_json)


def _command_line() -> str:
    import shlex
    import sys

    return shlex.join(["autotl", *sys.argv[1:]])


COMMANDS: tuple[click.Command, ...] = (run, demo, fit)
