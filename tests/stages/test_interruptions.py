"""Runs that are cut short: Ctrl-C, termination, kill -9 of the command, kill -9 of its worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from PIL import Image

from autotl.cli import main
from autotl.run_folder import result_file

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as POSIX knows them"),
]
PATIENCE = 120.0  # seconds to wait for what takes a few on an idle machine


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds of noise, told apart by no more than their grain, so that no run ends early."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    generator = np.random.default_rng(0)
    for label, grain in (("coarse", 4), ("fine", 5)):
        (folder / label).mkdir(parents=True)
        for number in range(60):
            noise = Image.fromarray(generator.integers(0, 255, (grain, grain, 3), dtype=np.uint8))
            noise.resize((40, 40), Image.Resampling.NEAREST).save(folder / label / f"{number:03d}.png")
    return folder


@contextmanager
def started(photos: Path, run: Path, budget: str = "5m") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "autotl", "run", str(photos), "--out", str(run)]
    command += ["--budget", budget, "--offline", "--backbones", "autotl:mobilenet*"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE:.0f} s for {what}")


def scored(run: Path, process: subprocess.Popen[str], trials: int = 1) -> None:
    """Waits until so many trainings have finished."""

    def ready() -> bool:
        if process.poll() is not None:
            raise AssertionError(f"it ended by itself: {process.communicate()[1]}")
        try:
            told = json.loads((run / "result.json").read_bytes())["trials"]
        except FileNotFoundError:
            return False
        return sum(trial["score_val"] is not None for trial in told) >= trials

    wait_for(ready, f"{trials} finished trainings")


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def predicts(run: Path, photos: Path) -> bool:
    image = str(photos / "fine" / "000.png")
    found = CliRunner().invoke(main, ["predict", str(run), image])
    lines = found.output.splitlines()
    return found.exit_code == 0 and lines[1].startswith(image) and lines[1].endswith(",")


def ranked(run: Path) -> bool:
    found = CliRunner().invoke(main, ["leaderboard", str(run), "--format", "csv"])
    return found.exit_code == 0 and "autotl:mobilenet" in found.output


def test_after_kill_9_the_folder_is_read_and_predicts(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with started(photos, run) as process:
        scored(run, process)
        children = workers(process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert children, "there was a worker"
        alive = psutil.wait_procs(children, timeout=PATIENCE)[1]
        assert not alive, "the worker does not outlive the command"
    assert result_file.read(run).status == "running"
    assert ranked(run)
    assert predicts(run, photos)


@pytest.mark.parametrize(
    "presses", [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGINT, signal.SIGINT)]
)
def test_ctrl_c_keeps_the_best_model_and_writes_the_report(
    photos: Path, tmp_path: Path, presses: tuple[int, ...]
) -> None:
    run = tmp_path / "run"
    with started(photos, run) as process:
        scored(run, process, 2)
        children = workers(process)
        begun = time.monotonic()
        for press in presses:
            process.send_signal(press)
            time.sleep(0.1)
        process.wait(PATIENCE)
        took = time.monotonic() - begun
        output, errors = process.communicate()
    assert process.returncode == 130, errors
    assert took < 5, "seconds until it had ended"
    assert "Traceback" not in errors
    assert not psutil.wait_procs(children, timeout=PATIENCE)[1]
    state = result_file.read(run)
    assert state.status == "interrupted" and state.winner is not None
    assert state.winner.candidate in output.replace("\n", " ") or state.winner.backbone in output
    assert (run / "report.html").exists() and (run / "leaderboard.csv").exists()
    assert not list(run.glob(".*")), "no work files are left"
    shipped = json.loads((run / "model" / "model.json").read_bytes())
    assert shipped["backbone"]["name"] == state.winner.backbone
    assert shipped["input_size"] == state.winner.input_size
    assert predicts(run, photos)


def test_ctrl_c_before_anything_was_learnt_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with started(photos, run) as process:
        wait_for(run.exists, "the run folder")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not run.exists() or result_file.read(run).status == "interrupted"


def test_a_worker_that_is_killed_is_replaced_and_the_run_goes_on(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with started(photos, run, budget="25s") as process:
        scored(run, process)
        (worker,) = workers(process)
        worker.kill()
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    state = result_file.read(run)
    assert state.status == "finished" and state.winner is not None
    assert (run / "model" / "model.safetensors").exists()
