"""Standard output is the command's alone, whatever plugins and their libraries print."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GUEST = """
import os, subprocess, sys
print("at import")
os.write(1, b"past Python\\n")
from autotl.hookspecs import hookimpl
from autotl.records import Score

@hookimpl
def register_scores():
    print("in a hook")
    subprocess.run(["echo", "from a child"])
    return [Score(name="mine", summary="mine", compute="loud_guest:f")]
"""


def autotl(tmp_path: Path, *arguments: str, guests: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "AUTOTL_PLUGINS": guests, "AUTOTL_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)]),
    }  # fmt: skip
    command = [sys.executable, "-m", "autotl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)


def test_a_plugin_that_prints_leaves_json_alone(tmp_path: Path) -> None:
    import json

    (tmp_path / "loud_guest.py").write_text(GUEST)
    done = autotl(tmp_path, "scores", "--json", guests="loud_guest")
    assert "mine" in {score["name"] for score in json.loads(done.stdout)}
    for text in ("at import", "past Python", "in a hook", "from a child"):
        assert text in done.stderr, text


@pytest.mark.parametrize("how", ["os._exit(3)", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_plugin_that_ends_the_process_at_import_is_named_and_the_command_works(
    tmp_path: Path, how: str
) -> None:
    (tmp_path / "deadly_guest.py").write_text(f"import os\n{how}\n")
    (tmp_path / "loud_guest.py").write_text(GUEST)
    for _ in range(2):  # imported, and as the cache has it
        done = autotl(tmp_path, "plugins", guests="deadly_guest,loud_guest")
        assert done.returncode == 0
        assert "loud_guest" in done.stdout
        assert "plugin 'deadly_guest', import: deadly_guest: its import ends the process" in done.stderr
    (tmp_path / "deadly_guest.py").write_text("# repaired\n" + GUEST)
    assert "ends the process" not in autotl(tmp_path, "plugins", guests="deadly_guest").stderr
