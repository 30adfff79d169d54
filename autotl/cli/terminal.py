"""Output of the commands on standard output: tables of at most 100 columns, colours in a terminal only."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from autotl.cli.echo import emit

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from autotl.records import Profile
    from autotl.records.evaluation import Evaluation, LabelSetEvaluation, NumberEvaluation
    from autotl.records.result import Recommendation
    from autotl.run import Run
    from autotl.stages.dry_run import Plan

WIDTH, WIDEST, NARROWEST = 80, 100, 40  # columns: into a file, and the limits in a terminal
ELASTIC = 12  # columns that the elastic column of a table keeps at least
NAME_WIDTH = 24  # columns for a backbone's name, below which a row of the leaderboard takes two lines
ALWAYS = 4  # columns of the leaderboard that the narrowest terminal shows: mark, size, strategy, score
SHOWN_ROWS, SHOWN_REASONS, SHOWN_CAUTIONS = 20, 8, 6


def console() -> Console:
    """Return standard output, as wide as the terminal or $COLUMNS within limits."""
    from rich.console import Console

    out = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=False)
    given = os.environ.get("COLUMNS", "")
    width = out.width if out.is_terminal else int(given) if given.isdecimal() else WIDTH
    out.width = max(NARROWEST, min(width, WIDEST))
    return out


def show_outcome(run: Run, *, as_json: bool) -> None:
    """Print the outcome of a run: leaderboard, recommendation and the path of the report; or result.json."""
    if as_json:
        emit((run.path / "result.json").read_bytes())
        return
    outcome(run.result)
    out = console()
    out.print()
    for name, title in (("report.html", "Report"), ("model", "Model")):
        if (run.path / name).exists():
            out.print(_text(f"{title}: {run.path / name}"), soft_wrap=True)
    problems(run.result.problems)


def problems(texts: Sequence[str]) -> None:
    """Print the problems of plugins, which are the last lines."""
    if texts:
        click.echo("\nProblems of plugins:")
    for text in texts[:SHOWN_REASONS]:
        paragraph(f"  {text}")
    if len(texts) > SHOWN_REASONS:
        click.echo(f"  and {len(texts) - SHOWN_REASONS} more, see result.json")


def outcome(state: Recommendation) -> None:
    """Print leaderboard, recommendation, and the forecast beside what the run took."""
    from autotl.report import render
    from autotl.report.wording import terminal as wording
    from autotl.report.wording.label_columns import further
    from autotl.run_folder import table as board

    leaderboard(state, board.rows(state))
    blocks = [
        wording.forecast_outcome(state),
        render.summary(state, warned=False),
        "\n".join(further(column, state.metric) for column in state.label_columns[1:]),
        wording.higher_scores(state),
    ]
    for text in blocks:
        if text:
            click.echo()
            paragraph(text)
    _cautions(state)


def _cautions(state: Recommendation) -> None:
    """Print what a reader must know before the figures above are believed."""
    from autotl.report import cautions
    from autotl.report.wording.page import as_sentence

    warnings = cautions.warnings(state)
    if not warnings:
        return
    click.echo("\n" + click.style("Beware:", fg="yellow", bold=True))
    for text in warnings[:SHOWN_CAUTIONS]:
        paragraph(f"  {as_sentence(text)}")
    if len(warnings) > SHOWN_CAUTIONS:
        click.echo(f"  and {len(warnings) - SHOWN_CAUTIONS} more, see report.html")


def paragraph(text: str, style: str = "") -> None:
    """Print sentences, wrapped between words: an identifier is never cut, nor a number from its unit.

    An indented line hangs.
    """
    from textwrap import wrap

    from autotl.report.format import NARROW

    for line in re.sub(r"--[\w-]+ '[^']*'", lambda option: option[0].replace(" ", NARROW), text).split("\n"):
        hanging = "    " if line.startswith(" ") else ""
        for part in wrap(
            NARROW.join(map(_printable, line.split(NARROW))),
            console().width,
            subsequent_indent=hanging,
            break_on_hyphens=False,
            break_long_words=False,
        ):
            plain = _printable(part)
            click.echo(click.style(plain, dim=True) if style == "dim" else plain)


def leaderboard(result: Recommendation, rows: Sequence[dict[str, Any]]) -> None:
    """Print the leaderboard as a table; controls and candidates without a score follow as lines."""
    from autotl.records import Kind
    from autotl.report import recorded
    from autotl.report.wording import terminal as wording

    controls = [row for row in rows if row.get("control") and row["score_val"] is not None]
    scored = [row for row in rows if row["score_val"] is not None and not row.get("control")]
    rest = [row for row in rows if row["score_val"] is None]
    winner = result.winner.candidate if result.winner else None
    if not scored:
        click.echo("No candidate has a score yet.")
    else:
        _scored_table(scored[:SHOWN_ROWS], winner)
        if len(scored) > SHOWN_ROWS:
            click.echo(f"  and {len(scored) - SHOWN_ROWS} more, see leaderboard.csv")
        ties = sum(bool(row["in_winners_set"]) for row in scored)
        tied = [row["score_val"] for row in scored if row["in_winners_set"]]
        legend = wording.legend(
            result.metric,
            winner=winner is not None,
            ties=ties,
            folds=result.data.folds,
            behind=max(tied) - min(tied) if tied else 0.0,
        )
        paragraph(legend, "dim")
    for row in controls:
        paragraph(f"{wording.control(row['control'])}: {100 * row['score_val']:.1f}", "dim")
    ranked = {
        row.candidate: row.backbone
        for row in result.leaderboard
        if row.facts and all(fact.kind is Kind.RANKED_TOO_LOW for fact in row.facts)
    }
    waiting = [ranked[row["candidate"]] for row in rest if row["candidate"] in ranked]
    rest = [row for row in rest if row["candidate"] not in ranked]
    if waiting:
        click.echo()
        paragraph(f"{wording.ranked_too_low(waiting)}.")
    if rest:
        click.echo("\nWithout a score:")
        for row in rest[:SHOWN_REASONS]:
            reason = recorded.reason(row)
            status = wording.STATUS.get(row["status"], row["status"])
            paragraph(f"  {row['candidate']}: {status}{f' ({reason})' if reason else ''}")
        if len(rest) > SHOWN_REASONS:
            click.echo(f"  and {len(rest) - SHOWN_REASONS} more, see leaderboard.csv")


_LEADERBOARD = ("", "backbone", "px", "strategy", "score", "95%", "fit", "1 image")
_NUMBERS = ("px", "score", "95%", "fit", "1 image")


def _scored_table(scored: Sequence[dict[str, Any]], winner: str | None) -> None:
    """Print rows in one line each where names have room, otherwise in two: mark and name, then the figures."""
    from autotl.report.format import bare_names, name_parts

    names = [row["backbone"] or row["candidate"] for row in scored]
    bare = bare_names(names)
    cells = [_cells(row, winner) for row in scored]
    width = console().width
    others = [
        max(len(title), *(len(row[n]) for row in cells)) for n, title in enumerate(_LEADERBOARD) if n != 1
    ]
    room = width - sum(others) - len(others)
    gap = 2 if room - len(others) >= NAME_WIDTH else 1
    room -= (gap - 1) * len(others)
    bold = [row["candidate"] == winner for row in scored]
    if room >= min(NAME_WIDTH, max(len(bare[name]) for name in names)):
        lines = [[row[0], bare[name], *row[2:]] for name, row in zip(names, cells, strict=True)]
        rows_table(_LEADERBOARD, lines, right=_NUMBERS, elastic=1, bold=bold, gap=gap)
        return
    titles = ("", *_LEADERBOARD[2:])
    above = [
        f"{row[0]:<2}" + "\n  ".join(name_parts(bare[name], width - 2))
        for name, row in zip(names, cells, strict=True)
    ]
    lines = [["", *row[2:]] for row in cells]
    widths = [max(len(title), *(len(row[n]) for row in lines)) for n, title in enumerate(titles)]
    widths[2] = max(ELASTIC, *(len(word) for row in lines for word in row[2].split()))  # wraps between words
    kept = len(titles)
    while kept > ALWAYS and sum(widths[:kept]) + 2 * (kept - 1) > width:
        kept -= 1
    lines = [row[:kept] for row in lines]
    rows_table(titles[:kept], lines, right=_NUMBERS, elastic=2, bold=bold, above=above, gap=2)


def _cells(row: dict[str, Any], winner: str | None) -> list[str]:
    from autotl.report.format import duration, interval

    return [
        _printable(text)
        for text in (
            "*" if row["candidate"] == winner else "=" if row["in_winners_set"] else "",
            "",
            str(row["input_size"] or ""),
            recipe(row),
            f"{100 * row['score_val']:.1f}",
            interval(row["ci_low"], row["ci_high"]),
            "" if row["fit_time"] is None else duration(row["fit_time"]),
            "" if row["pred_time"] is None else duration(row["pred_time"]),
        )
    ]


def recipe(row: dict[str, Any]) -> str:
    """Return strategy, depth and hyperparameters: ``fine_tune:2 lr=0.0003``."""
    from autotl.records.candidate_id import hyper_of

    depth = "" if row["unfreeze"] in {0, None} else f":{row['unfreeze']}"
    hyper = hyper_of(row["candidate"])
    return f"{row['strategy']}{depth}{f' {hyper}' if hyper else ''}"


def rows_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    elastic: int = -1,
    bold: Sequence[bool] = (),
    above: Sequence[str] = (),
    gap: int = 1,
) -> None:
    """Print a plain table with `gap` spaces between columns.

    Where room is short the `elastic` column wraps between words; an identifier that is too long stands on a line
    of its own. `bold` marks rows; `above` are lines that stand above their row. Laid out by hand: thousands of
    rows would keep rich busy for seconds.
    """
    from textwrap import wrap as wrapped

    cells = [[_printable(cell) for cell in row] for row in rows]
    widths = [max([len(name), *(len(row[n]) for row in cells)]) for n, name in enumerate(columns)]
    stretched = elastic % len(columns)
    room = console().width - sum(widths) - gap * (len(widths) - 1) + widths[stretched]
    widths[stretched] = min(widths[stretched], max(ELASTIC, room))

    def line(row: Sequence[str]) -> str:
        placed = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for name, cell, width in zip(columns, row, widths, strict=True)
        ]
        return (" " * gap).join(placed).rstrip()

    click.echo(line(columns))
    click.echo("─" * (sum(widths) + gap * (len(widths) - 1)))
    for number, row in enumerate(cells):
        cell, width = row[stretched], widths[stretched]
        printed = [_printable(text) for text in above[number].split("\n")] if above else []
        if len(cell) > width and max(map(len, cell.split())) > width:  # an identifier: on a line of its own
            printed.append((" " * gap).join([*map(str.ljust, row[:stretched], widths), cell]))
            printed.append(line([*[""] * (stretched + 1), *row[stretched + 1 :]]))
        else:
            parts = [cell] if len(cell) <= width else wrapped(cell, width, break_on_hyphens=False)
            printed.append(line([*row[:stretched], parts[0], *row[stretched + 1 :]]))
            printed += [
                line([more if n == stretched else "" for n in range(len(columns))]) for more in parts[1:]
            ]
        for text in printed:
            click.echo(click.style(text, fg="green", bold=True) if bold and bold[number] else text)


def _print(table: Table) -> None:
    """Print a table; without the padding at the ends of lines where it goes to a file."""
    out = console()
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as captured:
        out.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(_text(name), _text(value))
    _print(table)


def profile(profiled: Profile) -> None:
    """Print a profile: figures, classes, findings."""
    from autotl.report import cautions, recorded
    from autotl.report.format import file_size, percent
    from autotl.report.wording.profile import counted_as, target_facts, unlabelled

    low, high = profiled.sides
    facts(
        [
            ("images", f"{profiled.images:,} ({file_size(profiled.bytes)})"),
            *target_facts(profiled),
            *(
                [("largest : smallest class", f"{recorded.imbalance(profiled):.1f} : 1")]
                if profiled.numbers is None
                else []
            ),
            ("shorter side", f"median {profiled.side} px, 90% from {low} to {high} px"),
            ("grayscale", percent(profiled.gray, 0)),
            *(
                [("without a label", unlabelled(profiled.unlabelled))]
                if profiled.unlabelled is not None
                else []
            ),
        ]
    )
    click.echo()
    counted = list(recorded.counted(profiled))
    ordered = counted if profiled.numbers else sorted(counted, key=lambda pair: (-pair[1], pair[0]))
    listed = ordered if len(ordered) <= 20 else [*ordered[:10], ("...", -1), *ordered[-10:]]
    rows_table(
        (counted_as(profiled.target), "images"),
        [(n, "" if c < 0 else f"{c:,}") for n, c in listed],
        right=("images",),
        elastic=0,
    )
    for guess in recorded.reading(profiled.reading):
        paragraph(f"- {guess}")
    click.echo()
    if not profiled.findings:
        click.echo("No problems found.")
    for finding in profiled.findings:
        action = recorded.action(finding)
        paragraph(f"- {cautions.with_files(finding)}{f' ({action})' if action else ''}")


def evaluation(found: Evaluation | LabelSetEvaluation | NumberEvaluation) -> None:
    """Print an evaluation: classes, confusions, thresholds, and the sentences on the whole."""
    from autotl.records.evaluation import LabelSetEvaluation, NumberEvaluation
    from autotl.report.wording import evaluation as wording

    if isinstance(found, NumberEvaluation):
        _evaluation_of_numbers(found)
    elif isinstance(found, LabelSetEvaluation):
        _evaluation_of_labels(found)
    else:
        _evaluation_of_classes(found)
    click.echo()
    for text in wording.sentences(found):
        paragraph(text)


def _evaluation_of_numbers(found: NumberEvaluation) -> None:
    from autotl.report.wording import numbers

    facts(numbers.figures(found))
    if found.bins:
        click.echo()
        lines = [numbers.bin_line(each) for each in found.bins]
        columns = ("prediction", "images", "mean absolute error", "bias", "in interval")
        rows_table(columns, [tuple(line.values()) for line in lines], right=columns[1:])


def _evaluation_of_labels(found: LabelSetEvaluation) -> None:
    from autotl.report.wording import label_sets

    names = ("name", "images", "average_precision", "threshold", "precision", "recall", "f1")
    lines = [label_sets.label_line(each) for each in found.labels[:SHOWN_ROWS]]
    columns = ("label", "images", "average precision", "threshold", "precision", "recall", "F1")
    rows_table(
        columns, [tuple(str(line[name]) for name in names) for line in lines], right=columns[1:], elastic=0
    )
    if len(found.labels) > SHOWN_ROWS:
        click.echo(f"  and {len(found.labels) - SHOWN_ROWS} more, see --json")


def _evaluation_of_classes(found: Evaluation) -> None:
    from autotl.report.format import interval, percent

    lines = sorted(found.classes, key=lambda line: line.recall.value if line.recall else 2.0)
    rows = [
        (
            line.name,
            f"{line.images:,}",
            "" if line.recall is None else percent(line.recall.value),
            "" if line.recall is None else interval(line.recall.low, line.recall.high),
            percent(line.precision),
        )
        for line in lines[:SHOWN_ROWS]
    ]
    columns = ("class", "images", "recall", "95%", "precision")
    rows_table(columns, rows, right=columns[1:], elastic=0)
    if len(lines) > SHOWN_ROWS:
        click.echo(f"  and {len(lines) - SHOWN_ROWS} more, see --json")
    if found.confusions:
        click.echo()
        confused = [(true, predicted, f"{count:,}") for true, predicted, count in found.confusions]
        rows_table(("true class", "predicted class", "images"), confused, right=("images",), elastic=0)
    if found.thresholds:
        click.echo()
        cuts = [
            (f"{cut.probability:.1f}", percent(cut.precision), percent(cut.recall))
            for cut in found.thresholds
        ]
        titles = (f"{found.positive} from", "precision", "recall")
        rows_table(titles, cuts, right=titles, elastic=0)


def plan(planned: Plan) -> None:
    """Print what a run would start with: a row for each backbone, and those that are skipped."""
    from autotl.report import recorded
    from autotl.report.format import duration, short_count
    from autotl.report.wording import terminal as wording

    rows = [
        (
            backbone.backbone,
            str(backbone.input_size),
            "" if backbone.parameters is None else short_count(backbone.parameters),
            f"{backbone.download:.0f} MB" if backbone.download else "",
            duration(backbone.embed),
            duration(backbone.tune),
            backbone.licence or "",
        )
        for backbone in planned.planned
    ]
    for guess in recorded.reading(planned.reading):
        paragraph(guess)
    columns = ("backbone", "px", "params", "download", "embed", "tune", "licence")
    rows_table(columns, rows, right=columns[1:6], elastic=0)
    for skip in planned.skipped[:SHOWN_REASONS]:
        paragraph(f"  {skip.name}: not tried ({recorded.reason(skip)})")
    click.echo()
    stages = [
        (row.stage, duration(row.seconds), wording.planned(fixed=row.fixed)) for row in planned.time_plan
    ]
    rows_table(("stage", "time", ""), stages, right=("time",))
    click.echo()
    paragraph(wording.plan(planned))


def _printable(text: str) -> str:
    from autotl.report.format import printable

    return printable(text)


def _text(text: str) -> Any:
    from rich.text import Text

    return Text("\n".join(_printable(line) for line in text.split("\n")))
