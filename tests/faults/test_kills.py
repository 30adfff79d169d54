"""A run that is killed or interrupted while it writes is continued: no training twice, and the same decision."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from amounts import step
from made_images import pictures

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="a process is forked"),
]
HERE = Path(__file__).resolve().parent
NEVER = 10**6
MOMENTS = {name: tuple(range(6, 236, 12 * step(5))) for name in ("SIGKILL", "SIGINT")} | {"SIGHUP": (90,)}


def ended(source: Path, out: Path, name: str, moments: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return a record for each moment, see moments.py; the first is of a run that nothing disturbs."""
    words = [
        sys.executable,
        str(HERE / "moments.py"),
        str(source),
        str(out),
        name,
        str(NEVER),
        *map(str, moments),
    ]
    paths = [str(HERE.parents[1]), str(HERE.parent), str(HERE)]
    found = subprocess.run(
        words,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        timeout=280,
        check=False,
    )
    records = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(records) == 1 + len(moments), found.stderr.decode()
    return records


@pytest.mark.parametrize("name", MOMENTS)
def test_a_run_is_continued(name: str, tmp_path: Path) -> None:
    source = pictures(tmp_path / "few", each=8, classes=3)
    sound, *records = ended(source, tmp_path / "runs", name, MOMENTS[name])
    assert sound["left"]["status"] == "finished"
    code = -signal.SIGKILL if name == "SIGKILL" else 130
    for record in records:
        about = json.dumps(record)
        assert record["ended"] == (code if record["moment"] < sound["files"] else 0), about
        if record["ended"] == 0:
            continue
        left, after = record["left"], record.get("after")
        if after is None:  # before the first result
            assert left == "nothing" or name == "SIGKILL", about
            assert record["moment"] < sound["files"] / 3, about
            continue
        assert after["status"] == "finished", about
        assert after["winner"] == sound["left"]["winner"], about
        assert after["recipes"][: len(left["recipes"])] == left["recipes"], about
        assert len(set(after["recipes"])) == len(after["recipes"]), about
        assert name == "SIGKILL" or record["report"], about
