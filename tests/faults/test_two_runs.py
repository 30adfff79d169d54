"""One writer for a run folder: the second is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import call, one_line
from example_run import full_folder

from autotl.errors import RunError
from autotl.options import Options
from autotl.run_folder import lock
from autotl.run_folder.journal import claimed

WRITER = """
import sys
from autotl.run_folder.lock import hold

with hold(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    """A folder that another process holds until the test ends."""
    folder = tmp_path / "run"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield folder
        process.kill()


@pytest.mark.process
def test_a_second_run_with_one_out_is_told(taken: Path) -> None:
    with (
        pytest.raises(RunError, match="is being written by another autotl"),
        claimed(Options(source="photos", out=str(taken))),
    ):
        pytest.fail("two runs write to one folder")


@pytest.mark.process
def test_a_run_that_is_written_cannot_be_continued_or_decided(taken: Path) -> None:
    full_folder(taken, images=60, pictures=False)
    assert "another autotl" in one_line(call(("run", "--continue", "RUN", "--budget", "+1m"), taken))
    assert "another autotl" in one_line(call(("decide", "RUN", "--apply"), taken))
    assert one_line(call(("leaderboard", "RUN"), taken)) == ""


@pytest.mark.process
def test_the_lock_of_a_killed_run_holds_nobody_up(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        process.kill()
    assert (tmp_path / lock.FILE).exists()
    with claimed(Options(source="photos", out=str(tmp_path))) as folder:
        assert folder == tmp_path
    assert not (tmp_path / lock.FILE).exists()


def test_a_folder_that_is_not_empty_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="is not empty"), claimed(Options(source="photos", out=str(tmp_path))):
        pytest.fail("a folder that is not empty is taken")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_one_process_may_hold_a_folder_twice(tmp_path: Path) -> None:
    with lock.hold(tmp_path):
        with lock.hold(tmp_path):
            assert (tmp_path / lock.FILE).exists()
        assert (tmp_path / lock.FILE).exists()
    assert not (tmp_path / lock.FILE).exists()
