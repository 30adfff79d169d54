"""The command line with streams that are closed, left by their reader or in another encoding, and without a home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from example_run import run_folder

from autotl.cli import streams
from autotl.progress.live import until_it_breaks
from autotl.records import Event

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell starts the commands"),
]
AUTOTL = f"{sys.executable} -m autotl"
ROOT = Path(streams.__file__).parents[2]
NO_PASSWD = """
import pwd

def missing(*_):
    raise KeyError("uid not found")

pwd.getpwuid = pwd.getpwnam = missing
"""


def shell(command: str, folder: Path, **variables: str | None) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, value in variables.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    return subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, cwd=folder, env=environment, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in it."""
    return run_folder(tmp_path_factory.mktemp("streams") / "run").parent


@pytest.mark.parametrize(
    "closed",
    ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"],
)
@pytest.mark.parametrize("command", ["leaderboard run", "leaderboard run --format csv", "--help"])
def test_closed_streams(folder: Path, command: str, closed: str) -> None:
    found = shell(f"{AUTOTL} {command} {closed}", folder)
    assert found.returncode == 0
    assert b"Traceback" not in found.stdout + found.stderr
    assert (found.stdout == b"") == (">&-" in closed.replace("2>&-", "")), (
        "the output is still whole or absent"
    )


@pytest.mark.parametrize("closed", ["<&- 2>&-", "<&- >&- 2>&-"])
def test_an_error_without_a_stream_is_still_an_exit_code(folder: Path, closed: str) -> None:
    assert shell(f"{AUTOTL} leaderboard missing {closed}", folder).returncode == 2


@pytest.mark.parametrize(
    "command", ["leaderboard run", "leaderboard run --format csv", "--help", "backbones"]
)
def test_a_reader_that_leaves(folder: Path, command: str) -> None:
    found = shell(f"{AUTOTL} {command} | head -1", folder)
    assert found.stdout.count(b"\n") == 1 and found.stderr == b""


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "ascii:strict", "utf-8:strict", "cp1252", "utf-16"])
@pytest.mark.parametrize("command", ["leaderboard run", "decide run --help", "leaderboard caf\udce9猫"])
def test_output_in_any_encoding(folder: Path, command: str, encoding: str) -> None:
    found = shell(f"{AUTOTL} {command}", folder, PYTHONIOENCODING=encoding)
    assert found.returncode == (2 if "猫" in command else 0)
    assert b"Traceback" not in found.stderr
    if encoding.startswith(("latin", "ascii")) and found.returncode == 0:
        assert b"\\u" not in found.stdout, "tables and sentences are readable"


@pytest.mark.parametrize("command", ["leaderboard run", "backbones", "cache"])
@pytest.mark.parametrize("encoding", ["C", "POSIX"])
def test_a_user_without_home_and_passwd_entry(
    folder: Path, tmp_path: Path, command: str, encoding: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_PASSWD)
    gone = dict.fromkeys(("HOME", "AUTOTL_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"))
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    found = shell(f"{AUTOTL} {command}", folder, **gone, PYTHONPATH=paths, LC_ALL=encoding, PYTHONUTF8="0")
    assert found.returncode == 0, found.stderr
    assert not (folder / "~").exists(), "no folder of that name is made"


@pytest.mark.parametrize("text", ["猫", "caf\udce9", "a\udce9─–猫", "\ud800"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_any_text_is_encoded(text: str, encoding: str) -> None:
    streams.prepare()
    encoded = text.encode(encoding, streams.NAMES)
    assert (b"\xe9" in encoded) == ("\udce9" in text), "the bytes of a name stay what they are"


def test_a_broken_stream_is_not_written_to_again() -> None:
    calls = []

    def show(event: Event) -> None:
        calls.append(event)
        raise BrokenPipeError

    shown = until_it_breaks(show)
    for _ in range(3):
        shown(Event(time=1.0, stage="load", message="3 images", left=59.0))
    assert len(calls) == 1
