"""``run`` and ``demo``: from a source to a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from autotl.cli import options

if TYPE_CHECKING:
    from autotl.run import Run

DEFAULT_BUDGET = 600.0  # seconds
_CONTINUED = {"budget", "backbones", "weights", "offline", "as_json", "quiet"}  # what --continue goes with

Command = TypeVar("Command", bound=Callable[..., Any])

# Shared by `run` and `demo`, in the order of --help.
_LIMITS = (
    click.option(
        "--budget", type=options.SECONDS, metavar="TIME",
        help="Wall-clock time for everything, such as 90s, 10m, 1h or plain seconds.  [default: 10m]",
    ),
    click.option(
        "--out", type=click.Path(file_okay=False), metavar="RUN",
        help="Folder to write; must not exist or be empty.  [default: runs/NAME-TIME]",
    ),
)  # fmt: skip
_CHOICES = (
    click.option(
        "--weights", type=click.Path(exists=True, file_okay=False), multiple=True, metavar="DIR",
        help="Folder with your own checkpoints; may be repeated.",
    ),
    click.option(
        "--backbones", multiple=True, callback=options.names, metavar="NAME",
        help="Names or glob patterns of the backbones to try; may be repeated.",
    ),
    click.option(
        "--strategies", multiple=True, callback=options.names, metavar="NAME",
        help="Names or glob patterns of the strategies to try; may be repeated.",
    ),
)  # fmt: skip
_MACHINE = (
    click.option(
        "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True,
        help="Where to compute.",
    ),
    click.option(
        "--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True,
        help="Number format of the training; auto times a few batches.",
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random.",
    ),
    click.option("--offline", is_flag=True, help="Never open a connection."),
)  # fmt: skip
_OUTPUT = (
    click.option(
        "--json", "as_json", is_flag=True, help="Print result.json on standard output, nothing else."
    ),
    click.option("--quiet", "-q", is_flag=True, help="No progress."),
)


def _with(*groups: Iterable[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """One decorator out of groups of options, shown in the order given."""

    def decorate(command: Command) -> Command:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return decorate


@click.command(
    epilog="Example: autotl run photos/ --budget 10m --test photos-later/",
    short_help="Find the best way to carry a backbone over to DATA, and train it.",
)
@click.argument("source", metavar="DATA", is_eager=True, required=False)
@_with(_LIMITS)
@click.option(
    "--continue", "folder", type=click.Path(exists=True, file_okay=False), metavar="RUN",
    help="Go on with a run: for another --budget +TIME, or an interrupted one for what it had left."
    " --backbones and --weights add to its own.",
)  # fmt: skip
@click.option(
    "--test", type=click.Path(exists=True), metavar="DIR", help="Images that only the winner is tested on."
)
@click.option(
    "--test-size", type=click.FloatRange(0, 1, max_open=True), metavar="SHARE",
    help="Share of DATA to set aside as test part; 0 for none.  [default: 0.15 of 100 images or more]",
)  # fmt: skip
@_with(_CHOICES)
@click.option(
    "--group", callback=options.group_key, metavar="REGEX|COLUMN",
    help="What belongs together (one person, one track) and must not be split: a regular expression searched"
    " in each path, its groups being the key, or a column of a CSV.",
)  # fmt: skip
@click.option("--label", metavar="COLUMN", help="Column of the labels, where DATA is a CSV.")
@click.option(
    "--metric", type=click.Choice(["accuracy", "balanced_accuracy", "macro_f1"]),
    help="What decides.  [default: accuracy; balanced_accuracy beyond 10:1 imbalance]",
)  # fmt: skip
@click.option(
    "--prefer", type=click.Choice(["accuracy", "speed", "size"]), default="accuracy", show_default=True,
    help="What breaks ties within the margin of error.",
)  # fmt: skip
@options.MAX_PARAMS
@options.MAX_LATENCY
@options.MAX_MEMORY
@click.option(
    "--licence", multiple=True, callback=options.licences, metavar="SPDX",
    help=options.licence_help("Licences allowed"),
)  # fmt: skip
@_with(_MACHINE)
@click.option("--refit", is_flag=True, help="Fit the model that ships on the test part too.")
@click.option(
    "--memory", type=click.Path(dir_okay=False), metavar="FILE",
    help="Record of past runs: read as evidence on backbones, and a line is added. Figures only, no names or paths"
    " of images.",
)  # fmt: skip
@click.option(
    "--dry-run", is_flag=True, help="Say what would be tried and what it would cost; train nothing."
)
@_with(_OUTPUT)
@click.pass_context
def run(ctx: click.Context, /, source: str | None, folder: str | None, dry_run: bool, **given: Any) -> None:
    """Find the best way to carry a pretrained backbone over to DATA, and train it.

    DATA is a folder of class folders, with or without train/, val/ and test/ above them, or a CSV with
    the columns path and label and, if you like, split and group.
    """
    started = time.monotonic()
    if folder is not None and dry_run:
        raise click.UsageError("--dry-run is for a new run; expected DATA without --continue", ctx)
    if folder is not None:
        _extend(ctx, started, folder, source, given)
    elif source is None:
        raise click.UsageError("expected DATA, a folder or a CSV, or --continue RUN", ctx)
    elif dry_run:
        _plan(source, **given)
    else:
        _recommend(started, source=source, **given)


@click.command(
    epilog="Example: autotl demo --budget 60s",
    short_help="Run on scikit-learn's handwritten digits.",
)
@_with(_LIMITS)
@_with(_CHOICES, _MACHINE, _OUTPUT)
def demo(**given: Any) -> None:
    """Run on scikit-learn's handwritten digits, written out as a folder of images."""
    from autotl.cache import cache_folder
    from autotl.cli.demo import write_digits

    started = time.monotonic()
    source = cache_folder() / "demo" / "digits"
    count = write_digits(source)
    if not (given["quiet"] or given["as_json"]):
        click.echo(f"{count:,} handwritten digits lie as images in {source}", err=True)
    _recommend(started, source=str(source), **given)


@click.command(
    epilog="Example: autotl fit runs/photos more-photos/ --out runs/more",
    short_help="Train a run's recipe again, on new data if given.",
)
@click.argument("folder", metavar="RUN", type=click.Path(exists=True, file_okay=False))
@click.argument("data", metavar="[DATA]", required=False)
@click.option(
    "--candidate",
    metavar="ID",
    help="The recipe to train, as the leaderboard names it.  [default: the winner]",
)
@click.option("--group", metavar="EXPR",
              help="Which images of DATA stay together, '' for none.  [default: as in RUN]")  # fmt: skip
@click.option("--budget", type=options.SECONDS, default="1h", show_default=True, metavar="TIME",
              help="The most it may take; it ends when the recipe is trained.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False), metavar="NEW",
              help="Folder to write; must not exist or be empty.  [default: runs/NAME-TIME]")  # fmt: skip
@_with(_OUTPUT)
def fit(
    folder: str,
    data: str | None,
    candidate: str | None,
    group: str | None,
    budget: float,
    out: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train the recommended recipe of RUN again, or that of another candidate, without a search.

    DATA replaces the images of RUN; to train on more of them, give a folder or a CSV that holds all. The
    outcome is a run of its own, with scores of this recipe on these data and a model.
    """
    started = time.monotonic()
    from autotl.cli.progress import live
    from autotl.cli.show import show_outcome
    from autotl.run import load

    with live(quiet=quiet or as_json) as observe:
        found = load(folder).fit(
            data,
            candidate=candidate,
            group=group,
            out=out,
            budget=budget,
            command=_command_line(),
            observers=[observe],
            started=started,
        )
    show_outcome(found, as_json=as_json)


def _recommend(started: float, *, as_json: bool, quiet: bool, **given: Any) -> None:
    from autotl.run import recommend

    given["budget"] = given["budget"] or DEFAULT_BUDGET
    start = partial(recommend, given.pop("source"), started=started, **given)
    _follow(start, as_json=as_json, quiet=quiet)


def _plan(source: str, *, as_json: bool, quiet: bool, **given: Any) -> None:
    from autotl.cli import show
    from autotl.records import encoding
    from autotl.run import plan

    given["budget"] = given["budget"] or DEFAULT_BUDGET
    found = plan(source, **given)
    if as_json:
        click.echo(encoding.encode(found), nl=False)
    else:
        show.plan(found)


def _extend(
    ctx: click.Context, started: float, folder: str, source: str | None, given: dict[str, Any]
) -> None:
    from autotl.run import load

    of_new_runs = [
        name
        for name in given
        if name not in _CONTINUED and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if of_new_runs:
        option = of_new_runs[0].replace("_", "-")
        raise click.UsageError(
            f"--{option} is for a new run; with --continue RUN expected only --budget, --backbones, --weights,"
            " --offline, --json, --quiet and where DATA lies now",
            ctx,
        )
    start = partial(
        load(folder).extend,
        given["budget"],
        source=source,
        backbones=given["backbones"],
        weights=given["weights"],
        offline=given["offline"],
        started=started,
    )
    _follow(start, as_json=given["as_json"], quiet=given["quiet"])


def _follow(start: Callable[..., Run], *, as_json: bool, quiet: bool) -> None:
    """Runs, with live progress, and shows what came of it; after Ctrl-C, what there is."""
    from autotl.cli.progress import live
    from autotl.cli.show import show_outcome
    from autotl.run import load

    folders: list[str] = []
    try:
        with live(quiet=quiet or as_json) as observe:
            observers = [observe, lambda event: folders.append(event.folder)]
            found = start(command=_command_line(), observers=observers)
    except KeyboardInterrupt:
        from autotl.errors import RunError

        try:
            show_outcome(load(folders[-1]), as_json=as_json)
        except (RunError, IndexError):
            click.echo("Interrupted before anything was recorded.", err=True)
        raise
    show_outcome(found, as_json=as_json)


def _command_line() -> str:
    import shlex
    import sys

    return shlex.join(["autotl", *sys.argv[1:]])


COMMANDS: tuple[click.Command, ...] = (run, demo, fit)
