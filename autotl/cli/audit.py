"""``replay`` and ``diff``: whether a run's results come out again, and what changed between two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from autotl.cli.outcome import RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autotl.run_folder.diff import Change, Comparison

_MOST = 12  # lines of a section


@click.command(
    epilog="Example: autotl replay runs/photos",
    short_help="Derive a run's results again and compare.",
)
@RUN
def replay(folder: str) -> None:
    """Derive scores, tests, leaderboard and verdict again from what the run recorded, and compare.

    Reads result.json, manifest.csv and the prediction files; needs no torch and no images. Says what the
    first difference is and exits with 1 if a single byte is not the same.
    """
    from pathlib import Path

    from autotl.errors import RunError
    from autotl.run import load
    from autotl.run_folder.replay import replay as again

    found = again(Path(folder))
    if found:
        first = found[0]
        more = f" and {len(found) - 1} more differences" if len(found) > 1 else ""
        raise RunError(
            f"{folder} does not come out again: {first.where} is recorded as {_short(first.recorded)}, its inputs"
            f" give {_short(first.derived)}{more}; expected the same bytes; a file was changed, or this is another"
            " version of autotl"
        )
    state = load(folder).result
    click.echo(
        f"The same, byte for byte: {len(state.trials)} trials, {len(state.leaderboard)} rows,"
        f" winner {state.decision.winner if state.decision else None}."
    )


@click.command(
    epilog="Example: autotl diff runs/monday runs/tuesday",
    short_help="What changed between two runs, and why.",
)
@click.argument("one", metavar="RUN1", type=click.Path(exists=True, file_okay=False))
@click.argument("other", metavar="RUN2", type=click.Path(exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def diff(one: str, other: str, as_json: bool) -> None:
    """What changed from RUN1 to RUN2: data, setup, candidates, scores and verdict, and why the verdict did."""
    from autotl.records.encoding import encode
    from autotl.run import load
    from autotl.run_folder.diff import compare

    found = compare(load(one).result, load(other).result)
    if as_json:
        click.echo(encode(found).decode(), nl=False)
        return
    click.echo("\n".join(_told(found)))


def _told(found: Comparison) -> list[str]:
    lines = ["Same verdict." if found.same_verdict else "Another verdict.", *found.why]
    for title, changes in (("Verdict", found.verdict), ("Data", found.data), ("Setup", found.setup)):
        lines += _section(title, [_change(change) for change in changes])
    lines += _section("Candidates in the first run alone", list(found.only_one))
    lines += _section("Candidates in the second run alone", list(found.only_other))
    moved = [
        f"{s.candidate}: {s.one:.1%} → {s.other:.1%} ({100 * (s.other - s.one):+.1f})" for s in found.scores
    ]
    return lines + _section("Scores", moved)


def _section(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"  and {len(lines) - _MOST} more, see --json"] if len(lines) > _MOST else []
    return ["", f"{title}:", *(f"  {line}" for line in lines[:_MOST]), *more]


def _change(change: Change) -> str:
    return f"{change.what}: {_short(change.one)} → {_short(change.other)}"


def _short(value: Any) -> str:
    from autotl.report.text import printable

    text = "nothing" if value is None or value in ("", []) else str(value)
    return printable(text if len(text) <= 120 else text[:117] + "...")


COMMANDS: tuple[click.Command, ...] = (replay, diff)
