"""The commands that read a run folder, called in this process: a fault must end in a result or in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from autotl import pipeline
from autotl.cli import main

READERS: dict[str, tuple[str, ...]] = {
    "leaderboard": ("leaderboard", "RUN"),
    "csv": ("leaderboard", "RUN", "--format", "csv"),
    "decide": ("decide", "RUN", "--prefer", "speed"),
    "apply": ("decide", "RUN", "--apply"),
    "report": ("report", "RUN"),
    "replay": ("replay", "RUN"),
    "diff": ("diff", "RUN", "RUN"),
}


def call(words: tuple[str, ...], folder: Path) -> Result:
    return CliRunner().invoke(main, [str(folder) if word == "RUN" else word for word in words])


def one_line(result: Result) -> str:
    """Return the error of a command that ended in order; fail for a traceback and for a longer message."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError("a traceback") from result.exception
    assert result.exit_code in {0, 1}, result.output
    if result.exit_code == 0:
        return ""
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert line.isprintable()
    return line


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def continued(folder: Path, tools: Callable[[], pipeline.Tools], patch: Any, budget: str = "+1m") -> Result:
    """``run --continue`` on the simulated engine."""
    original = pipeline.recommend
    with patch.context() as inner:
        inner.setattr(
            pipeline,
            "recommend",
            lambda options, **given: original(options, **given | {"started": 0.0, "tools": tools()}),
        )
        return CliRunner().invoke(main, ["run", "--continue", str(folder), "--budget", budget, "--quiet"])
