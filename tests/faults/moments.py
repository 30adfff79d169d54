"""A simulated run that is killed while it writes, in a process of its own: a process that imports once and forks.

Arguments: the images, a folder to write runs to, and the moments, such as SIGKILL:60 for the time when the run has
begun to write 60 files. It prints a line of JSON for each: how the run ended, and what its continuation came to.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import simulated_run
from cheap import make_cheap
from full_disk import FullDisk
from simulated_run import World

from autotl import pipeline
from autotl.cli.signals import interrupt_once
from autotl.errors import BudgetError, RunError
from autotl.hookspecs import hookimpl
from autotl.plugins import manager
from autotl.records.result import Recommendation, is_probe
from autotl.run import Run
from autotl.run_folder import result_file

OPTIONS: dict[str, Any] = {"budget": 300.0, "backbones": ("mine:small",)}


class At(FullDisk):
    """Sends a signal to its own process when the n-th file is begun, half of whose content is then written."""

    def __init__(self, *below: Path, moment: int, number: int) -> None:
        super().__init__(*below, full_at=moment)
        self.number = number

    def refuse(self, path: str | None = None) -> None:
        self.refused += 1
        if self.refused == 1:
            os.kill(os.getpid(), self.number)


def continued(folder: Path) -> Recommendation:
    original = pipeline.recommend
    pipeline.recommend = lambda options, **given: original(  # type: ignore[assignment]
        options, **given | {"started": 0.0, "tools": World().tools}
    )
    try:
        Run(folder).extend()
    except BudgetError:  # hardly any time was left
        Run(folder).extend("1m")
    return result_file.read(folder)


def summary(state: Recommendation) -> dict[str, Any]:
    """Return what a run came to: status, decision, and the trainings that it made."""
    probes = [trial for trial in state.trials if is_probe(trial) and not trial.trial.control]
    return {
        "status": state.status,
        "winner": state.winner.candidate if state.winner else None,
        "recipes": [f"{trial.trial.candidate.id} {trial.trial.epochs:g}" for trial in probes],
    }


def in_a_fork(task: Callable[[], dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    """Run a task in a process of its own; return how that ended, as a signal's negative number or an exit code."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            os.write(writing, json.dumps(task()).encode())
            code = 0
        except KeyboardInterrupt:
            code = 130
        except BaseException as error:
            os.write(writing, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        content = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, json.loads(content or b"{}")


def run(source: Path, folder: Path, moment: int, number: int) -> dict[str, Any]:
    interrupt_once()
    with At(folder, moment=moment, number=number).mounted() as disk:
        World().run(source, folder, **OPTIONS)
    return {"files": disk.made}


def look(folder: Path) -> dict[str, Any]:
    """Return what a killed run left, and what its continuation comes to."""
    try:
        before = result_file.read(folder)
    except RunError as error:
        if (folder / "config.toml").is_file():
            return {"left": "options", "after": summary(continued(folder))}
        return {"left": "no options" if folder.exists() else "nothing", "message": str(error)}
    reported = (folder / "report.html").is_file()
    after = before if before.status == "finished" else continued(folder)
    return {"left": summary(before), "report": reported, "after": summary(after)}


def main(source: Path, out: Path, moments: list[str]) -> None:
    offering = SimpleNamespace(
        __name__="simulated_run", register_backbones=hookimpl(lambda profile, settings: simulated_run.SPECS)
    )
    original = manager.load_plugins
    pipeline.load_plugins = lambda: original([offering])
    make_cheap(pytest.MonkeyPatch())
    for moment in moments:
        name, number = moment.split(":")
        folder = out / f"{name}-{number}"
        line: dict[str, Any] = {"signal": name, "moment": int(number)}
        line["ended"], answer = in_a_fork(lambda: run(source, folder, int(number), getattr(signal, name)))  # noqa: B023
        left = in_a_fork(lambda: look(folder))[1]  # noqa: B023
        print(json.dumps(line | answer | left), flush=True)  # noqa: T201 (a program of its own)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
