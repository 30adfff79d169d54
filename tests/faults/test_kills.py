"""A run that is killed or interrupted while it writes is continued: no training twice, and the same decision."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from amounts import step
from made_images import pictures

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="a process is forked"),
]
HERE = Path(__file__).resolve().parent
NEVER = "SIGINT:1000000"  # nothing disturbs this run
NUMBERS = range(6, 236, 12 * step(10))  # of the 237 files that the run begins to write
EARLY = range(1, 18, step(8))  # before the first result
MOMENTS = [f"{name}:{number}" for name in ("SIGKILL", "SIGINT") for number in NUMBERS] + ["SIGHUP:90"]
MOMENTS += [f"SIGKILL:{number}" for number in EARLY if number not in NUMBERS]
FIRST = 3  # files, until the options are written
TIMEOUT = 900
CODES = {"SIGKILL": -signal.SIGKILL, "SIGINT": 130, "SIGHUP": 130}


@pytest.mark.timeout(TIMEOUT + 60)
def test_a_run_is_continued(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    record_property("faults", len(MOMENTS))
    source, paths = pictures(tmp_path / "few", each=8, classes=3), (HERE.parents[1], HERE.parent, HERE)
    found = subprocess.run(
        [sys.executable, str(HERE / "moments.py"), str(source), str(tmp_path / "runs"), NEVER, *MOMENTS],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        timeout=TIMEOUT,
        check=False,
    )
    records = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(records) == 1 + len(MOMENTS), found.stderr.decode()
    sound, *others = records
    assert sound["left"]["status"] == "finished" and sound["files"] >= NUMBERS[-1]
    for record in others:
        about = json.dumps(record)
        assert record["ended"] == CODES[record["signal"]], about
        if record["left"] == "nothing":  # interrupted before the first result: the folder is removed
            assert record["signal"] == "SIGINT" and record["moment"] < 18, about
            continue
        if record["left"] == "no options":  # killed before the first file was whole
            assert record["moment"] <= FIRST, about
            continue
        before, after = record["left"], record["after"]
        if before == "options":  # killed before the first result: begun again
            assert record["signal"] == "SIGKILL" and record["moment"] < 18, about
            before, record["report"] = {"recipes": []}, False
        assert after["status"] == "finished", about
        assert after["winner"] == sound["left"]["winner"], about
        assert after["recipes"][: len(before["recipes"])] == before["recipes"], about
        assert len(set(after["recipes"])) == len(after["recipes"]), about
        assert record["report"] or record["signal"] == "SIGKILL", about
