"""The leaderboard of a run: its columns, its order, and its forms (DataFrame, CSV, Markdown, JSON, LaTeX).

Higher scores are better, always. fit_time is in seconds; pred_time in seconds an image.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from autotl.errors import UnknownNameError
from autotl.records import Fact
from autotl.report.format import csv_line, printable
from autotl.report.wording import joined

if TYPE_CHECKING:
    import pandas as pd

Style = Literal["table", "csv", "markdown", "json", "latex"]
Row = dict[str, Any]

COLUMNS = (
    "candidate",
    "backbone",
    "input_size",
    "strategy",
    "unfreeze",
    "status",
    "score_val",
    "ci_low",
    "ci_high",
    "expected",
    "score_test",
    "in_winners_set",
    "fit_time",
    "pred_time",
    "parameters",
    "macs",
    "epochs",
    "rows",
    "control",
    "reason",
)
_ASCENDING = {"fit_time", "pred_time", "parameters", "macs", "ci_width"}  # of these, less is better


def rows(result: object) -> list[Row]:
    """Return the leaderboard of a result (the record or its JSON), every column present, best first."""
    lines = msgspec.to_builtins(result)["leaderboard"]
    return [{name: line.get(name) for name in COLUMNS} | {"reason": _reason(line)} for line in lines]


def _reason(line: Row) -> str:
    return joined(msgspec.convert(line.get("facts", ()), tuple[Fact, ...]))


def arrange(lines: Sequence[Row], *, sort: str | None = None) -> list[Row]:
    """Sort rows by a column, best or alphabetically first; a leading ``-`` reverses; gaps come last.

    Raises `UnknownNameError` for a column that is not there.
    """
    if sort is None:
        return list(lines)
    name = sort.removeprefix("-")
    _known([name])
    filled = [line for line in lines if line[name] is not None]
    gaps = [line for line in lines if line[name] is None]
    numbers = all(isinstance(line[name], (int, float)) for line in filled)
    downward = numbers and name not in _ASCENDING
    filled.sort(
        key=lambda line: line[name] if numbers else str(line[name]),
        reverse=downward != sort.startswith("-"),
    )
    return filled + gaps


def write(lines: Iterable[Row], *, columns: Sequence[str] = COLUMNS, style: str = "csv") -> str:
    """Return the leaderboard as text that ends in a newline.

    Raises `UnknownNameError` for a column that is not there.
    """
    _known(columns)
    table = [[line[name] for name in columns] for line in lines]
    if style == "json":
        picked = [dict(zip(columns, values, strict=True)) for values in table]
        return msgspec.json.format(msgspec.json.encode(picked), indent=1).decode() + "\n"
    if style == "csv":
        return "".join(map(csv_line, (columns, *table)))
    cells = [[printable(" ".join(_text(value).split())) for value in values] for values in table]
    if style == "table":
        return _plain(columns, cells)
    if style == "markdown":
        return _markdown(columns, cells)
    return _latex(columns, cells)


def frame(lines: Sequence[Row]) -> pd.DataFrame:
    """Return the leaderboard as a DataFrame, a row a candidate."""
    import pandas as pd

    table = pd.DataFrame(lines, columns=list(COLUMNS))
    integers = ["input_size", "parameters", "rows"]
    floats = [
        "score_val",
        "ci_low",
        "ci_high",
        "expected",
        "score_test",
        "fit_time",
        "pred_time",
        "macs",
        "epochs",
    ]
    kinds: dict[str, Any] = {**dict.fromkeys(integers, "Int64"), **dict.fromkeys(floats, "float64")}
    return table.astype(kinds)


def _known(columns: Iterable[str]) -> None:
    for name in columns:
        if name not in COLUMNS:
            raise UnknownNameError("column", name, COLUMNS)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _plain(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return columns side by side, as wide as their longest value."""
    lines = [list(columns), *cells]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    padded = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
    return "".join(f"{line}\n" for line in padded)


def _markdown(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    def row(values: Iterable[str]) -> str:
        escaped = (value.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ") for value in values)
        return "| " + " | ".join(escaped) + " |\n"

    return row(columns) + row("---" for _ in columns) + "".join(row(values) for values in cells)


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "_": r"\_",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\n": " ",
    }
)


def _latex(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    def row(values: Iterable[str]) -> str:
        return "  " + " & ".join(value.translate(_LATEX) for value in values) + r" \\" + "\n"

    head = r"\begin{tabular}{" + "l" * len(columns) + "}\n"
    rules = ("  \\hline\n", "  \\hline\n", "  \\hline\n")
    body = rules[0] + row(columns) + rules[1] + "".join(row(values) for values in cells) + rules[2]
    return head + body + r"\end{tabular}" + "\n"
