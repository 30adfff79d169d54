"""Names of files and classes are data on every medium: a terminal, a spreadsheet, a page, JSON."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from commands import READERS, call, one_line
from example_run import full_folder

from autotl import predict
from autotl.cli import main
from autotl.predict import Prediction
from autotl.report.format import cell, csv_line, printable, uncelled
from autotl.run_folder import manifest

NASTY = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\link",
    "\x9b2J",
    "\u202egnp.exe",
    "a\rb",
    "a\nb",
    "\x08\x08\x08",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "-2+3",
    "\t=1",
    "\r=1",
    '"; DROP',
    "<script>alert(1)</script>",
    "`rm`|*_#[x](y)",
)
CONTROLS = {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e"} - {"\n"}
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return full_folder(tmp_path_factory.mktemp("names") / "run", NASTY, images=6 * len(NASTY), pictures=False)


@pytest.mark.parametrize("name", NASTY)
def test_a_name_comes_back_from_a_csv_and_is_no_formula(name: str) -> None:
    ((first, second),) = csv.reader(io.StringIO(csv_line([name, 1.5]), newline=""))
    assert uncelled(first) == name and second == "1.5"
    assert not first.startswith(FORMULAS)
    assert not CONTROLS & set(printable(name))


def test_numbers_stay_numbers() -> None:
    assert [cell(text) for text in ("-1", "+2.5", "0")] == ["-1", "+2.5", "0"]
    assert csv_line([-0.25, None, "a,b"]) == '-0.25,,"a,b"\n'


def test_classes_come_back_from_the_manifest(run: Path) -> None:
    assert set(manifest.read(run / "manifest.csv").label) == set(NASTY)


@pytest.mark.parametrize("style", ["csv", "jsonl"])
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_predictions(style: Any, stream: type[io.StringIO]) -> None:
    out = stream()
    rows = [Prediction(name, ((name, 0.75),), None) for name in NASTY]
    with predict.writer(style, out, 1) as write:
        for row in rows:
            write(row)
    text = out.getvalue()
    if stream is Terminal:
        assert not CONTROLS & set(text)
    elif style == "csv":
        read = list(csv.reader(io.StringIO(text, newline="")))
        assert [uncelled(line[0]) for line in read[1:]] == list(NASTY)
        assert not [value for line in read for value in line if value.startswith(FORMULAS)]
    else:
        assert [json.loads(line)["label"] for line in text.splitlines()] == list(NASTY)


@pytest.mark.parametrize("command", ["leaderboard", "decide", "replay", "diff"])
def test_a_terminal_gets_no_control_character(command: str, run: Path) -> None:
    result = call(READERS[command], run)
    one_line(result)
    assert not CONTROLS & set(result.output)


@pytest.mark.slow
def test_a_report_of_such_classes_is_written(run: Path) -> None:
    assert one_line(call(READERS["report"], run)) == ""
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "\x1b" not in page
    assert not CONTROLS - {"\t"} & set((run / "report.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\u202eb", "\x9b2J"])
def test_errors_quote_names_without_control_characters(name: str, tmp_path: Path) -> None:
    for words in (["report", name], ["leaderboard", ".", name], ["run", str(tmp_path / name)], ["x" + name]):
        result = CliRunner().invoke(main, words)
        assert result.exit_code in {1, 2}
        assert not CONTROLS & set(result.output), result.output
    (tmp_path / "list.csv").write_text(f"{name},other\nx,y\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["run", str(tmp_path / "list.csv")])
    assert result.exit_code == 1 and not CONTROLS & set(result.output)
