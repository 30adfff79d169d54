"""``leaderboard`` and ``report``: what to do with a run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from autotl.cli import options

if TYPE_CHECKING:
    from autotl.records import Metric, Prefer
    from autotl.run_folder.redecide import Revision

RUN = click.argument("folder", metavar="RUN", type=click.Path(exists=True, file_okay=False))


@click.command(
    epilog="Example: autotl leaderboard runs/photos --sort pred_time --format csv",
    short_help="Every candidate of a run, best first.",
)
@RUN
@click.option("--sort", metavar="COLUMN", help="Column to sort by; a leading - turns it round.")
@click.option("--columns", metavar="NAMES", help="Columns to show, with commas between them.")
@click.option(
    "--format", "style", type=click.Choice(["table", "csv", "markdown", "json", "latex"]), default="table",
    show_default=True, help="How to write it.",
)  # fmt: skip
def leaderboard(folder: str, sort: str | None, columns: str | None, style: str) -> None:
    """Every candidate of a run, best first, and why some were not tried.

    score_val is what the choice rests on, with its 95 % interval; score_test is the winner's, on images
    that nothing was chosen by. Higher is better. fit_time is in seconds, pred_time in seconds an image.
    """
    from autotl.cli import show
    from autotl.run import load
    from autotl.run_folder import table as board

    result = load(folder).result
    rows = board.arrange(board.rows(result), sort=sort)
    if style == "table" and columns is None:
        show.leaderboard(result, rows)
        return
    chosen = [name.strip() for name in columns.split(",")] if columns else list(board.COLUMNS)
    click.echo(board.write(rows, columns=chosen, style=style), nl=False)


@click.command(
    epilog="Example: autotl decide runs/photos --prefer speed --max-latency 10ms",
    short_help="Decide again for another goal, without training.",
)
@RUN
@options.PREFER
@options.METRIC
@options.MAX_PARAMS
@options.MAX_LATENCY
@options.MAX_MEMORY
@click.option(
    "--licence", multiple=True, callback=options.licences, metavar="SPDX",
    help=options.licence_help("Licences allowed"),
)  # fmt: skip
@click.option("--apply", is_flag=True, help="Make that candidate the folder's model; needs a full fit of it.")
@click.option("--json", "as_json", is_flag=True, help="Print what result.json would hold.")
def decide(
    folder: str,
    prefer: Prefer | None,
    metric: Metric | None,
    max_params: float | None,
    max_latency: float | None,
    max_memory: float | None,
    licence: tuple[str, ...],
    apply: bool,
    as_json: bool,
) -> None:
    """Decide again for another goal, from what the run recorded. Trains nothing.

    What is not given stays as it was. Nothing is written without --apply. A candidate that was only probed
    has no score on the test part; `autotl fit RUN --candidate ID` makes a full fit, in a folder of its own.
    Memory was measured where the run had a limit on it; elsewhere its weights alone are held against one.
    """
    from pathlib import Path

    from autotl.cli import show
    from autotl.records import encoding
    from autotl.run_folder import redecide

    limit = None if max_params is None else int(max_params)
    found = redecide.revise(
        Path(folder),
        prefer=prefer,
        metric=metric,
        max_params=limit,
        max_latency=max_latency,
        max_memory=None if max_memory is None else int(max_memory),
        licence=licence,
    )
    if as_json:
        click.echo(encoding.encode(found.state), nl=False)
    else:
        show.outcome(found.state)
        click.echo()
        show.words(" ".join(_standing(folder, found)))
    if apply:
        redecide.adopt(Path(folder), found)
        if not as_json:
            click.echo(f"Applied: {Path(folder) / 'model'} is {found.state.winner.candidate}.")  # type: ignore[union-attr]


def _standing(folder: str, found: Revision) -> list[str]:
    """What of a revision is true of the folder already, and how often the test part was looked at."""
    from autotl.records import result as records_result

    looks = records_result.looks(found.state)
    times = {0: "was not looked at", 1: "was looked at once"}.get(looks, f"was looked at {looks} times")
    lines = [f"The test part {times}."]
    if found.stands:
        lines.append(f"It is the model in {folder}.")
    elif found.fit is not None:
        lines.append("There is a full fit of it; --apply makes it the folder's model.")
    elif found.state.winner is not None:
        lines.append(
            "It was only probed, so it has no score on the test part; for a full fit, in a folder of its own:"
            f" autotl fit {folder} --candidate '{found.state.winner.candidate}'"
        )
    return lines


@click.command(epilog="Example: autotl report runs/photos", short_help="Write a run's report again.")
@RUN
def report(folder: str) -> None:
    """Write report.html and report.md of a run again, from what it recorded.

    Nothing is computed anew but the drawings; pictures are those that the run kept, so the data may have
    moved. Prints where the page is.
    """
    from pathlib import Path

    from autotl.report import render as reporting
    from autotl.run import load

    reporting.render(load(folder).result, Path(folder))
    click.echo(str(Path(folder) / "report.html"))


COMMANDS: tuple[click.Command, ...] = (leaderboard, decide, report)
