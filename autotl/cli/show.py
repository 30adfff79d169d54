"""What goes to standard output: tables of at most 80 columns, colours only in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from autotl.records import Profile
    from autotl.records.result import Recommendation
    from autotl.run import Run
    from autotl.stages.dry_run import Plan

WIDTH = 80
_STATUS = {"stopped": "stopped early", "diverged": "diverged", "failed": "failed", "skipped": "not tried"}


def console() -> Console:
    """Standard output: as wide as the terminal up to 100 columns, else 80."""
    from rich.console import Console

    made = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=False)
    made.width = min(made.width, 100) if made.is_terminal else WIDTH
    return made


def show_outcome(run: Run, *, as_json: bool) -> None:
    """The end of a run: leaderboard, recommendation, where the report is; or result.json."""
    if as_json:
        click.echo((run.path / "result.json").read_text(encoding="utf-8"), nl=False)
        return
    outcome(run.result)
    out = console()
    out.print()
    for name, what in (("report.html", "Report"), ("model", "Model")):
        if (run.path / name).exists():
            out.print(_text(f"{what}: {run.path / name}"), soft_wrap=True)


def outcome(state: Recommendation) -> None:
    """Leaderboard and recommendation."""
    from autotl.report import forecast, render
    from autotl.run_folder import table as board

    leaderboard(state, board.rows(state))
    out = console()
    out.print()
    out.print(_text(render.summary(state)))
    if compared := forecast.compared(state):
        out.print()
        out.print(_text(compared))


def words(text: str) -> None:
    """Plain sentences, wrapped."""
    console().print(_text(text))


def leaderboard(result: Any, rows: Sequence[dict[str, Any]], *, most: int = 20) -> None:
    """The leaderboard as a table; candidates without a score follow as a list of reasons."""
    from rich import box
    from rich.table import Table

    from autotl.report import wording
    from autotl.report.text import duration

    held_against = [row for row in rows if row.get("control") and row["score_val"] is not None]
    scored = [row for row in rows if row["score_val"] is not None and not row.get("control")]
    rest = [row for row in rows if row["score_val"] is None]
    out = console()
    if not scored:
        out.print("No candidate has a score yet.")
    else:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
        table.add_column("", no_wrap=True, width=1)
        table.add_column("backbone", overflow="fold", ratio=1, min_width=12)
        table.add_column("px", justify="right", no_wrap=True)
        table.add_column("strategy", no_wrap=True)
        table.add_column("score", justify="right", no_wrap=True)
        table.add_column("95 %", justify="right", no_wrap=True)
        table.add_column("fit", justify="right", no_wrap=True)
        table.add_column("1 image", justify="right", no_wrap=True)
        table.expand = True
        winner = result.winner.candidate if result.winner else None
        for row in scored[:most]:
            won = row["candidate"] == winner
            mark = "*" if won else "=" if row["in_winners_set"] else ""
            table.add_row(
                mark,
                _text(row["backbone"] or row["candidate"]),
                str(row["input_size"] or ""),
                _text(recipe(row)),
                f"{100 * row['score_val']:.1f}",
                interval(row["ci_low"], row["ci_high"]),
                "" if row["fit_time"] is None else duration(row["fit_time"]),
                "" if row["pred_time"] is None else duration(row["pred_time"]),
                style="bold green" if won else None,
            )
        _print(table)
        if len(scored) > most:
            out.print(f"  and {len(scored) - most} more, see leaderboard.csv")
        ties = sum(bool(row["in_winners_set"]) for row in scored)
        out.print(_legend(result.metric, winner is not None, ties))
    for row in held_against:
        out.print(
            _text(
                f"{wording.control(row['control'])}: {100 * row['score_val']:.1f} ({row['candidate']})", "dim"
            )
        )
    if rest:
        _show_rest(out, rest)


def _legend(metric: str, won: bool, ties: int) -> Any:
    parts = [f"score: {metric.replace('_', ' ')} in percent on images the choice rests on"]
    if won:
        parts.append("* recommended")
    if ties > 1:
        parts.append("= as good within the margin of error")
    return _text("; ".join(parts), "dim")


def _show_rest(out: Console, rest: Sequence[dict[str, Any]], most: int = 8) -> None:
    out.print()
    out.print("Without a score:")
    for row in rest[:most]:
        status = _STATUS.get(row["status"], row["status"])
        reason = f" ({row['reason']})" if row["reason"] else ""
        out.print(_text(f"  {row['candidate']}: {status}{reason}"))
    if len(rest) > most:
        out.print(f"  and {len(rest) - most} more, see leaderboard.csv")


def recipe(row: dict[str, Any]) -> str:
    """Strategy and depth: ``fine_tune:2``."""
    depth = "" if row["unfreeze"] in {0, None} else f":{row['unfreeze']}"
    return f"{row['strategy']}{depth}"


def interval(low: float | None, high: float | None) -> str:
    """An interval in percent, or nothing."""
    return "" if low is None or high is None else f"{100 * low:.1f}–{100 * high:.1f}"


def rows_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    elastic: int = -1,
    wrap: bool = True,
) -> None:
    """A plain table for the listing commands. Where room is short the `elastic` column wraps or is cut.

    Laid out by hand: thousands of rows would keep rich busy for seconds.
    """
    from textwrap import wrap as folded

    from autotl.report.text import printable

    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max([len(name), *(len(row[n]) for row in cells)]) for n, name in enumerate(columns)]
    stretched = elastic % len(columns)
    room = _width() - sum(widths) - len(widths) + 1 + widths[stretched]
    widths[stretched] = min(widths[stretched], max(12, room))

    def line(row: Sequence[str]) -> str:
        placed = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(columns, row, widths, strict=True)
        ]
        return " ".join(placed).rstrip()

    click.echo(line(columns))
    click.echo("─" * (sum(widths) + len(widths) - 1))
    for row in cells:
        cell, width = row[stretched], widths[stretched]
        if len(cell) <= width:
            parts = [cell]
        elif wrap:
            parts = folded(cell, width, break_on_hyphens=False)
        else:
            parts = [cell[: width - 1] + "…"]
        click.echo(line([*row[:stretched], parts[0], *row[stretched + 1 :]]))
        for more in parts[1:]:
            click.echo(line([more if n == stretched else "" for n in range(len(columns))]))


def _width() -> int:
    return console().width


def _print(table: Table) -> None:
    """Prints a table; without the padding at the ends of lines where it goes to a file."""
    out = console()
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as captured:
        out.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values in two columns."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(_text(name), _text(value))
    _print(table)


def profile(found: Profile) -> None:
    """A profile: figures, classes, findings."""
    low, high = found.sides
    facts(
        [
            ("images", f"{found.images:,} ({file_size(found.bytes)})"),
            ("classes", f"{len(found.classes):,}"),
            ("largest : smallest", f"{found.imbalance:.1f} : 1"),
            ("shorter side", f"{found.side} px, mostly {low} to {high}"),
            ("without colour", f"{found.gray:.0%}"),
        ]
    )
    out = console()
    out.print()
    ordered = sorted(zip(found.classes, found.counts, strict=True), key=lambda pair: (-pair[1], pair[0]))
    shown = ordered if len(ordered) <= 20 else [*ordered[:10], ("...", -1), *ordered[-10:]]
    rows_table(
        ("class", "images"), [(n, "" if c < 0 else f"{c:,}") for n, c in shown], right=("images",), elastic=0
    )
    out.print()
    if not found.findings:
        out.print("Nothing unusual was found.")
    for finding in found.findings:
        done = f" ({finding.action})" if finding.action else ""
        out.print(_text(f"- {finding.what}{done}"))


def plan(found: Plan) -> None:
    """What a run would begin with: a line a backbone, and what was left out."""
    from autotl.cli.options import short
    from autotl.report.text import duration

    rows = [
        (
            one.backbone,
            str(one.input_size),
            "" if one.parameters is None else short(one.parameters),
            f"{one.download:.0f} MB" if one.download else "",
            duration(one.embed),
            duration(one.tune),
            one.licence or "",
        )
        for one in found.planned
    ]
    columns = ("backbone", "px", "params", "download", "embed", "tune", "licence")
    rows_table(columns, rows, right=columns[1:6], elastic=0)
    out = console()
    for skip in found.skipped[:8]:
        out.print(_text(f"  {skip.name}: not tried ({skip.reason})"))
    fetched = (
        f"{found.downloads:.0f} MB would be fetched in the background."
        if found.downloads
        else "Nothing would be fetched."
    )
    out.print()
    out.print(
        _text(
            f"{found.images:,} images in {found.classes} classes; {len(found.planned)} backbones with"
            f" {', '.join(found.strategies)}. embed: forecast for all images; tune: {found.epochs:g} epochs of"
            f" fine-tuning at the native size. A first model after about {duration(found.floor)}, the end"
            f" within {duration(found.budget)}. {fetched} Nothing was trained."
        )
    )


def file_size(number: float) -> str:
    """``12 MB``."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number:.0f} bytes"


def _text(text: str, style: str = "") -> Any:
    from rich.text import Text

    from autotl.report.text import printable

    return Text("\n".join(printable(line) for line in text.split("\n")), style=style)
