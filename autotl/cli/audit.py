"""``replay`` and ``diff``: derive a run's results again, and compare two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from autotl.cli.echo import emit, say
from autotl.cli.options import RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autotl.run_folder.diff import Change, Comparison

_NAMED = 3  # names of a list
_PERCENT = frozenset({"score", "test score"})
_MOST = 12  # lines of a section


@click.command(
    epilog="Example: autotl replay runs/photos",
    short_help="Derive the results of a run again and compare.",
)
@RUN
def replay(folder: str) -> None:
    """Derive scores, significance tests, leaderboard and winner again from the recorded inputs, and compare.

    Reads result.json, manifest.csv and the prediction files; needs no torch and no images. If any byte
    differs, prints the first difference and exits with 1.
    """
    from pathlib import Path

    from autotl.errors import RunError
    from autotl.plugins import provenance
    from autotl.report.wording import sentence
    from autotl.run import load
    from autotl.run_folder.replay import replay as differences_of
    from autotl.run_folder.result_file import reading

    with reading(folder):
        differences = differences_of(Path(folder))
    if differences:
        first = differences[0]
        more = f" and {len(differences) - 1} more differences" if len(differences) > 1 else ""
        raise RunError(
            f"{folder} is not reproduced: {first.where} is recorded as {_short(first.recorded)}, but its inputs give"
            f" {_short(first.derived)}{more}; expected the same bytes; restore changed files, or use the version of"
            " autotl that wrote the run"
        )
    state = load(folder).result
    say(
        f"Reproduced byte for byte: {_number(len(state.trials), 'trial')},"
        f" {_number(len(state.leaderboard), 'leaderboard row')},"
        f" winner {state.decision.winner if state.decision else None}."
    )
    for difference in provenance.differences(state.plugins):
        click.echo(f"Note: {sentence(difference)}")


@click.command(
    epilog="Example: autotl diff runs/monday runs/tuesday",
    short_help="Compare two runs.",
)
@click.argument("first", metavar="RUN1", type=click.Path(exists=True, file_okay=False))
@click.argument("second", metavar="RUN2", type=click.Path(exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--html", "page", type=click.Path(dir_okay=False), metavar="PAGE", help="Write a page with both runs side by side."
)  # fmt: skip
def diff(first: str, second: str, as_json: bool, page: str | None) -> None:
    """Compare RUN1 and RUN2: data, setup, candidates, scores and winner, with the reasons for another winner."""
    from pathlib import Path

    from autotl.records.encoding import encode
    from autotl.run import load
    from autotl.run_folder.diff import compare
    from autotl.run_folder.result_file import reading, with_text

    with reading(first), reading(second):
        results = load(first).result, load(second).result
        if page is not None:
            from autotl.report import side_by_side

            side_by_side.write((Path(first), Path(second)), results, Path(page))
        comparison = compare(*results)
        if as_json:
            emit(encode(with_text(comparison)))
            return
        say("\n".join(_lines(comparison)))
        if page is not None:
            say(f"\nPage: {page}")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _lines(comparison: Comparison) -> list[str]:
    verdict = "Same winner." if comparison.same_verdict else "Another winner."
    from autotl.report.format import percent, points
    from autotl.report.wording import sentences

    lines = [verdict, *(f"{sentence}." for sentence in sentences(comparison.why))]
    sections = (("Decision", comparison.verdict), ("Data", comparison.data), ("Setup", comparison.setup))
    for title, changes in sections:
        lines += _section(title, [_change(change) for change in changes])
    lines += _section("Candidates only in RUN1", list(comparison.only_one))
    lines += _section("Candidates only in RUN2", list(comparison.only_other))
    moved = [
        f"{s.candidate}: {percent(s.one)} → {percent(s.other)} ({points(s.other - s.one)})"
        for s in comparison.scores
    ]
    return lines + _section("Scores", moved)


def _section(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"  and {len(lines) - _MOST} more, see --json"] if len(lines) > _MOST else []
    return ["", f"{title}:", *(f"  {line}" for line in lines[:_MOST]), *more]


def _change(change: Change) -> str:
    shown = _percent if change.what in _PERCENT else _short
    return f"{change.what}: {shown(change.one)} → {shown(change.other)}"


def _percent(score: float | None) -> str:
    """Return a score in percent."""
    from autotl.report.format import percent

    return "nothing" if score is None else percent(score)


def _short(value: Any) -> str:
    from autotl.report.format import printable

    if isinstance(value, (list, tuple)) and value:  # names are never cut
        more = f" and {len(value) - _NAMED} more" if len(value) > _NAMED else ""
        return printable(", ".join(str(name) for name in value[:_NAMED]) + more)
    text = "nothing" if value is None or value in ("", []) else str(value)
    return printable(text if len(text) <= 120 else text[:117] + "...")


COMMANDS: tuple[click.Command, ...] = (replay, diff)
