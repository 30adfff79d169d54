"""The package as it is installed: the wheel holds what a first run needs, and finds it with no source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LARGEST = 8_000_000  # bytes
ASKED = """
import sys
from pathlib import Path
import autotl
from autotl.ranking import similarity
from autotl.plugins.manager import load_plugins
from autotl.records import Settings
print(Path(autotl.__file__).parent)
for name, spec in sorted(load_plugins().backbones(None, Settings(offline=True)).items()):
    if name.startswith("autotl:"):
        print(name, Path(spec.weights.location).is_file())
print(*(reference.domain for reference in similarity.references()))
assert "torch" not in sys.modules
"""


def test_a_wheel_brings_backbones_and_reference_and_stays_small(tmp_path: Path) -> None:
    wheels = pytest.importorskip("hatchling.builders.wheel")
    [made] = wheels.WheelBuilder(str(ROOT)).build(directory=str(tmp_path / "dist"), versions=["standard"])
    assert Path(made).stat().st_size <= LARGEST
    with zipfile.ZipFile(made) as wheel:
        assert all(name.startswith(("autotl/", "autotl-")) for name in wheel.namelist())
        wheel.extractall(tmp_path / "installed")
    told = subprocess.run(
        [sys.executable, "-P", "-c", ASKED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert told[0] == str(tmp_path / "installed" / "autotl")
    assert len(told[1:-1]) == 3 and all(line.endswith("True") for line in told[1:-1]), told
    assert told[-1] == "imagenet-1k"
