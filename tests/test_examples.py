"""Every example is run as its first lines say, on a few small images, with what is in the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from installed import environment
from made_images import stripes
from made_targets import COLOURS, discs, tiles

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
BUDGET = "40s"  # which a run may use up; a busy machine needs ten of it before the first model
SHORT = "25s"  # of runs on sixty small pictures


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with photos, some of them named as the CSV example wants, and checkpoints."""
    photos = stripes(tmp_path / "photos", each=20)
    (tmp_path / "new").mkdir()
    (tmp_path / "named").mkdir()
    for number, image in enumerate(sorted(photos.glob("*/*.png"))):
        person = f"p{number % 12}"
        shutil.copy(image, tmp_path / "named" / f"{image.parent.name}_{person}_{number:03d}.png")
        if number % 10 == 0:
            shutil.copy(image, tmp_path / "new")
    shutil.copytree(ROOT / "autotl" / "embedded", tmp_path / "checkpoints")
    return tmp_path


def run(desk: Path, *words: str) -> str:
    """Return what an example prints. `autotl` on the path is this one."""
    (desk / "bin").mkdir()
    command = desk / "bin" / "autotl"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m autotl "$@"\n')
    command.chmod(0o755)
    known = environment([])
    known["PATH"] = f"{command.parent}{os.pathsep}{known['PATH']}"
    runner = [sys.executable] if words[0].endswith(".py") else ["/bin/sh"]
    done = subprocess.run(
        [*runner, str(EXAMPLES / words[0]), *words[1:]],
        capture_output=True,
        text=True,
        check=False,
        cwd=desk,
        env=known,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_folder(desk: Path) -> None:
    shown = run(desk, "folder.sh", "photos", BUDGET, "new")
    assert "40" in shown and "Use autotl:" in shown
    assert (desk / "labels.csv").read_text().startswith("path,label,probability,")


@pytest.mark.slow
def test_from_csv(desk: Path) -> None:
    assert "Use autotl:" in run(desk, "from_csv.py", "named", BUDGET)


@pytest.mark.slow
def test_from_python(desk: Path) -> None:
    shown = run(desk, "from_python.py", "photos", BUDGET, "new/000.png")
    assert "score_val" in shown and "probability" in shown and "report.html" in shown


@pytest.mark.slow
def test_regression(desk: Path) -> None:
    discs(desk, 60)
    discs(desk / "more", 6, seed=1)
    shown = run(desk, "regression.py", "discs.csv", SHORT, "more/discs")
    assert "Use autotl:" in shown and "within ±" in shown
    lines = [line.split() for line in shown.splitlines() if line.strip().startswith("more/discs/")]
    truth = dict(line.split(",") for line in (desk / "more" / "discs.csv").read_text().splitlines()[1:])
    errors = [abs(float(value) - float(truth[path.removeprefix("more/")])) for path, value, *_ in lines]
    assert len(errors) == 6 and sum(errors) / 6 < 2.5  # always answering the median has about 4


@pytest.mark.slow
def test_several_labels(desk: Path) -> None:
    tiles(desk, 60)
    tiles(desk / "more", 6, seed=1)
    shown = run(desk, "several_labels.py", "tiles.csv", SHORT, "more/tiles")
    assert "Use autotl:" in shown and "red is predicted from a probability of" in shown
    rows = [line.split() for line in shown.splitlines() if line.strip().startswith("more/tiles/")]
    truth = dict(line.split(",") for line in (desk / "more" / "tiles.csv").read_text().splitlines()[1:])
    right = [
        (name in "".join(labels).split("|")) == (name in truth[path.removeprefix("more/")].split("|"))
        for path, *labels in rows
        for name in COLOURS
    ]
    assert len(rows) == 6 and sum(right) >= 14  # of 18


@pytest.mark.slow
def test_own_checkpoints_offline(desk: Path) -> None:
    shown = run(desk, "own_checkpoints_offline.sh", "photos", "checkpoints", BUDGET)
    assert "resnet14t_small" in shown.replace("autotl:resnet14t_small", "")


@pytest.mark.slow
def test_own_backbone(desk: Path) -> None:
    shown = run(desk, "own_backbone.py", "photos", BUDGET)
    assert "mine:net@64/" in shown and "autotl:mobilenet" in shown


def test_there_is_a_test_for_each() -> None:
    guests = Path(__file__).parent / "engine" / "test_guest_strategies.py"
    tested = "".join(file.read_text(encoding="utf-8") for file in (Path(__file__), guests))
    for path in [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.sh")]:
        assert f'"{path.name}"' in tested or f'"{path.stem}"' in tested
        assert len(path.read_text(encoding="utf-8").splitlines()) < 70
