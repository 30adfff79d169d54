"""Runs of the real engine that are killed: no process is left, no trial is repeated, and in the end there is a model."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from amounts import ASKED
from made_images import pictures

from autotl.records.result import is_probe
from autotl.run_folder import result_file

BUDGET = 30.0
OPTIONS = ["--backbones", "autotl:mobilenetv3_small_050", "--offline", "--quiet"]
if not ASKED:  # nothing but heads: such a run ends by itself, soon
    OPTIONS += ["--strategies", "linear_probe", "--strategies", "knn"]
# How many events the run has written when it is killed, and the seconds after that.
MOMENTS = [(number, 0.37 * (number % 4)) for number in range(20)] if ASKED else [(7, 0.2)]
SECONDS = 120.0  # that an undisturbed run and its continuation need at most, on a machine with other programs

pytestmark = [
    pytest.mark.torch,
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL"),
]


def begin(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "autotl", "run", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def events(folder: Path) -> int:
    try:
        return (folder / "events.jsonl").read_bytes().count(b"\n")
    except OSError:
        return 0


def recipes(folder: Path) -> list[str]:
    """Return the trainings of a run that have a score."""
    try:
        trials = json.loads((folder / "result.json").read_bytes()).get("trials", [])
    except OSError:
        return []
    return [f"{trial['trial']['candidate']} {trial['trial']['epochs']:g}" for trial in trials]


@pytest.mark.timeout(len(MOMENTS) * 2 * SECONDS)
def test_a_killed_run_is_continued(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    record_property("faults", len(MOMENTS))
    source = pictures(tmp_path / "few", each=12, classes=2)
    for place, (number, seconds) in enumerate(MOMENTS):
        folder = tmp_path / f"run{place}"
        process = begin(str(source), *OPTIONS, "--budget", f"{BUDGET:g}s", "--out", str(folder))
        until = time.monotonic() + SECONDS
        while events(folder) < number and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(seconds)
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        process.communicate()
        assert not psutil.wait_procs(children, timeout=10)[1], "the worker outlives the run"
        before = recipes(folder)
        about = f"killed after {number} events and {seconds:g} s, with {before}"
        if not (folder / "config.toml").exists():  # it had hardly begun
            assert number == 0, about
            continue
        after = begin("--continue", str(folder), "--offline", "--quiet", "--budget", f"{BUDGET:g}s")
        _, said = after.communicate(timeout=SECONDS)
        assert after.returncode == 0, f"{about}: {said.decode()}"
        state = result_file.read(folder)
        probes = [trial for trial in state.trials if is_probe(trial) and not trial.trial.control]
        made = [f"{trial.trial.candidate.id} {trial.trial.epochs:g}" for trial in probes]
        assert state.status == "finished" and len(set(made)) == len(made), about
        assert recipes(folder)[: len(before)] == before, about
        assert (folder / "model" / "model.json").is_file(), about
