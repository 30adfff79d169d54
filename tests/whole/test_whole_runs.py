"""A few whole runs: real pixels, the embedded backbones, the real worker, the real command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_images import stripes

import autotl
from autotl.run_folder import result_file


def command(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autotl", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        timeout=200,
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stripes(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    (photos / "across" / "broken.png").write_bytes((photos / "across" / "000.png").read_bytes()[:200])
    (photos / "across" / ".DS_Store").write_text("x")
    done = command(
        "run",
        photos,
        "--budget",
        "60s",
        "--offline",
        "--out",
        folder,
        "--backbones",
        "autotl:resnet*",
        cwd=folder.parent,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_it_learns_and_leaves_what_it_promises(run: Path) -> None:
    state = result_file.read(run)
    assert state.status == "finished"
    assert state.winner is not None and (state.winner.score_test or 0) > 0.85
    assert state.seconds["total"] < 60 * 1.05 + 10
    for name in (
        "result.json",
        "leaderboard.csv",
        "report.html",
        "manifest.csv",
        "events.jsonl",
        "config.toml",
        "model/model.json",
    ):
        assert (run / name).exists(), name
    assert "broken.png" in (run / "manifest.csv").read_text()
    assert not list(run.glob(".*")), "no work files are left"


def test_the_model_predicts_after_the_folder_was_moved(run: Path, photos: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    answers = autotl.load(moved).predict(
        [photos / "across" / "001.png", photos / "down" / "001.png", tmp_path / "no.png"]
    )
    assert answers["label"].tolist()[:2] == ["across", "down"]
    assert answers["error"].tolist()[2]


def test_predict_writes_csv(run: Path, photos: Path, tmp_path: Path) -> None:
    done = command("predict", run, photos / "down", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "path,label,probability,label_2,probability_2,warning,error"
    assert sum(line.split(",")[1] == "down" for line in lines[1:]) > 40


def test_a_script_without_a_main_guard_works(photos: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import autotl\n"
        f"run = autotl.recommend({str(photos)!r}, budget='40s', offline=True, backbones='autotl:resnet*',"
        " strategies=['linear_probe'], out='run')\n"
        "print(run.leaderboard['candidate'][0])\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "linear_probe" in done.stdout


def test_json_on_standard_output_and_nothing_else(photos: Path, tmp_path: Path) -> None:
    done = command(
        "run",
        photos,
        "--budget",
        "40s",
        "--offline",
        "--json",
        "--strategies",
        "knn",
        "--backbones",
        "autotl:resnet*",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["winner"]["strategy"] == "knn"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("empty",), "no labelled image"),
        (("one",), "one class"),
        (("missing",), "does not exist"),
        (("list.csv",), "no labelled image"),
        (("photos", "--backbones", "resnet81x"), "no backbone"),
        (("photos", "--budget", "1s"), "is too small"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    photos: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copytree(photos / "down", tmp_path / "one" / "down")
    (tmp_path / "list.csv").write_text("file,kind\na.png,x\n")
    (tmp_path / "photos").symlink_to(photos)
    done = command("run", *arguments, "--offline", "--quiet", "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
