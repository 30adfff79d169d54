"""``leaderboard``, ``report`` and ``predict``: what to do with a run folder."""

from __future__ import annotations

import click

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
    from autotl import leaderboard as board
    from autotl.cli import show
    from autotl.run import load

    result = load(folder).result
    rows = board.arrange(board.rows(result), sort=sort)
    if style == "table" and columns is None:
        show.leaderboard(result, rows)
        return
    chosen = [name.strip() for name in columns.split(",")] if columns else list(board.COLUMNS)
    click.echo(board.write(rows, columns=chosen, style=style), nl=False)


@click.command(epilog="Example: autotl report runs/photos", short_help="Write a run's report again.")
@RUN
def report(folder: str) -> None:
    """Write report.html and report.md of a run again, from what it recorded.

    Nothing is computed anew but the drawings; pictures are those that the run kept, so the data may have
    moved. Prints where the page is.
    """
    from pathlib import Path

    from autotl import report as reporting
    from autotl.run import load

    reporting.render(load(folder).result, Path(folder))
    click.echo(str(Path(folder) / "report.html"))


@click.command(
    epilog="Example: autotl predict runs/photos new-photos/ one.jpg > labels.csv",
    short_help="What the model of a run says of images.",
)
@RUN
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True,
              help="Where to compute.")  # fmt: skip
def predict(folder: str, paths: tuple[str, ...], device: str) -> None:
    """What the model of a run says of images, as CSV: path, label, probability, error.

    PATH is an image, a folder (searched for images) or - for a list of paths on standard input. What
    cannot be read becomes a row with its error.
    """
    import csv
    import sys

    from autotl.errors import DatasetError
    from autotl.run import load

    found = load(folder).predictions([line for path in paths for line in _lines(path)], device=device)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("path", "label", "probability", "error"))
    good = bad = 0
    for row in found:
        bad += row.error is not None
        good += row.error is None
        probability = "" if row.probability is None else f"{row.probability:.6f}"
        writer.writerow((row.path, row.label or "", probability, row.error or ""))
    sys.stdout.flush()
    if bad:
        click.echo(f"{bad} of {good + bad} could not be read; see the column error", err=True)
    if not good:
        raise DatasetError(
            "none of the paths is an image that can be read; expected image files or folders of them"
        )


def _lines(path: str) -> list[str]:
    if path != "-":
        return [path]
    import sys

    return [line.rstrip("\r\n") for line in sys.stdin if line.strip()]


COMMANDS: tuple[click.Command, ...] = (leaderboard, predict, report)
