"""``leaderboard``, ``decide`` and ``report``: the results of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from autotl.cli.echo import emit, say
from autotl.cli.options import RUN, option, options
from autotl.options import converted

if TYPE_CHECKING:
    from autotl.run_folder.redecide import Revision


@click.command(
    epilog="Example: autotl leaderboard runs/photos --sort pred_time --format csv",
    short_help="List the candidates of a run, best first.",
)
@RUN
@click.option("--sort", metavar="COLUMN", help="Column to sort by; a leading - reverses the order.")
@click.option("--columns", metavar="NAMES", help="Columns to show, separated by commas.")
@click.option(
    "--format", "style", type=click.Choice(["table", "csv", "markdown", "json", "latex"]), default="table",
    show_default=True, help="Output format.",
)  # fmt: skip
def leaderboard(folder: str, sort: str | None, columns: str | None, style: str) -> None:
    """List the candidates of a run, best first, and those without a score with the reason.

    score_val is the score on the selection images, by which candidates are compared, with its 95% interval;
    score_test is the score of the winner on the test images. Higher is better. fit_time is in seconds,
    pred_time in seconds per image.
    """
    from autotl.cli import terminal
    from autotl.run import load
    from autotl.run_folder import table as board
    from autotl.run_folder.result_file import reading

    with reading(folder):
        result = load(folder).result
        rows = board.arrange(board.rows(result), sort=sort)
        if style == "table" and columns is None:
            terminal.leaderboard(result, rows)
            return
        chosen = [name.strip() for name in columns.split(",")] if columns else list(board.COLUMNS)
        emit(board.write(rows, columns=chosen, style=style))


@click.command(
    epilog="Example: autotl decide runs/photos --prefer speed --max-latency 10ms",
    short_help="Choose the winner again for another goal; no training.",
)
@RUN
@option("prefer", default="as in RUN")
@option("metric", default="as in RUN")
@options("max_params", "max_latency", "max_memory", "licence")
@click.option("--apply", is_flag=True, help="Write the new winner's model to RUN; needs a final fit of it.")
@click.option("--json", "as_json", is_flag=True, help="Print the new result.json.")
def decide(folder: str, apply: bool, as_json: bool, **goal: Any) -> None:
    """Choose the winner again for another goal, from the recorded results. Trains nothing.

    Options that are not given stay as in RUN. Nothing is written without --apply. A candidate that was only
    probed has no test score; `autotl fit RUN --candidate ID` trains it fully, in a new folder. Memory is
    measured only in a run with a limit on it; otherwise the size of the weights is compared with the limit.
    """
    from pathlib import Path

    from autotl.cli import terminal
    from autotl.records import encoding
    from autotl.report.wording import terminal as wording
    from autotl.run_folder import redecide
    from autotl.run_folder.result_file import reading

    with reading(folder):
        revision = redecide.revise(Path(folder), **converted(goal))
        if as_json:
            emit(encoding.encode(revision.state))
        else:
            terminal.outcome(revision.state)
            say()
            terminal.paragraph(wording.revision(folder, revision.state, _model_of(revision)))
        if apply:
            redecide.adopt(Path(folder), revision)
            if not as_json:
                say(f"Applied: {Path(folder) / 'model'} is now {revision.state.winner.candidate}.")  # type: ignore[union-attr]


def _model_of(revision: Revision) -> Literal["shipped", "fitted", "probed", "none"]:
    """Return what exists of the winner of a revision: the folder's model, a final fit, or a probe."""
    if revision.stands:
        return "shipped"
    if revision.fit is not None:
        return "fitted"
    return "none" if revision.state.winner is None else "probed"


@click.command(epilog="Example: autotl report runs/photos", short_help="Write the report of a run again.")
@RUN
def report(folder: str) -> None:
    """Write report.html and report.md of a run again, from the recorded results.

    Only the figures are drawn again; thumbnails come from the run folder, so the data may have been moved.
    Prints the path of the page.
    """
    from pathlib import Path

    from autotl.report import render as reporting
    from autotl.run import load
    from autotl.run_folder.result_file import reading

    with reading(folder):
        reporting.render(load(folder).result, Path(folder))
    say(str(Path(folder) / "report.html"))


COMMANDS: tuple[click.Command, ...] = (leaderboard, decide, report)
