"""Ctrl-C while the command starts: it ends at once, without a traceback of autotl and without a folder."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_images import pictures

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as POSIX knows them"),
]
# A line is printed as soon as the command has set what Ctrl-C does; what Python does before is its own.
COMMAND = """
import signal
import autotl.__main__ as command

original = signal.signal

def set_and_print(*arguments):
    original(*arguments)
    print(flush=True)

signal.signal = set_and_print
command.main()
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("data") / "photos")


@pytest.mark.parametrize(
    "milliseconds", [0, 1, 3, 6, 10, 15, 20, 30, 40, 50, 60, 80, 100, 150, 200, 300, 400]
)
def test_ctrl_c_in_the_first_moments(photos: Path, tmp_path: Path, milliseconds: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "run", str(photos), "--out", "out", "--offline", "--budget", "5m"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(milliseconds / 1000)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode in (-signal.SIGINT, 130)
    assert b"Traceback" not in errors, errors
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_is_ignored_stays_so(photos: Path, tmp_path: Path, number: signal.Signals) -> None:
    """As nohup and a shell's & ask for: the error of the missing folder comes in spite of the signal."""
    name = number.name
    code = (
        "import os, signal, sys, threading, time; import autotl.__main__ as command;"
        f"signal.signal(signal.{name}, signal.SIG_IGN);"
        "threading.Thread(target=lambda: [(time.sleep(0.02), os.kill(os.getpid(), signal."
        f"{name})) for _ in range(50)], daemon=True).start(); command.main()"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, "run", "missing", "--out", "out"],
        capture_output=True, cwd=tmp_path, timeout=120, check=False,
    )  # fmt: skip
    assert found.returncode == 1 and b"does not exist" in found.stderr
